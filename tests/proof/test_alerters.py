"""Many processes record, sweep and deliver at once: a threshold creates one alert, one e-mail and one webhook call."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from typing import Any

import pytest

from billing.alerts import alerts
from billing.models import Account, Delivery, UsageAlert
from tests.billing.alert_rows import create_webhook
from tests.billing.plan_limits import set_limits
from tests.billing.receiver import run_receiver
from tests.proof import children
from tests.proof.alerter import AT

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.real_clock(reason="starts processes that sweep"),
]


@pytest.fixture
def now() -> datetime:
    """When the account is created: the child processes sweep and record at this time, whatever their clock says."""
    return AT


def run_together(*tasks: str) -> list[str]:
    """Starts one process per task, all at once. Returns their output."""
    environment = children.environment() | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
    processes = [subprocess.Popen([sys.executable, "-m", "tests.proof.alerter", task], **pipes) for task in tasks]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=120)[0].strip() for process in processes]
    assert "" not in outputs
    return outputs


def test_a_threshold_that_fifty_calls_cross_at_once_creates_one_alert_one_email_and_one_webhook_call(
    account: Account,
) -> None:
    set_limits({"video_calls": 60}, hard=False)
    with run_receiver() as receiver:
        create_webhook(receiver.url)
        outputs = run_together(*(f"ten-{number}" for number in range(5)), "sweep", "sweep")
        assert outputs[:5] == ["10"] * 5
        later = run_together("sweep", "sweep", "sweep")
        assert sum(map(int, outputs[5:] + later)) == 2  # 80 %, and projected
        assert list(UsageAlert.objects.order_by("threshold").values_list("threshold", flat=True)) == [0, 80]
        Delivery.objects.filter(alert__threshold=0).delete()

        assert sum(map(int, run_together("deliver", "deliver", "deliver"))) == 2
        assert len(receiver.requests) == 1
    assert sorted(Delivery.objects.values_list("email", "state", "attempts")) == [
        ("", "delivered", 1),
        ("operator@example.com", "delivered", 1),
    ]
    assert alerts.sweep(AT).alerts == 0
