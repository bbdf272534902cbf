"""Many processes record, sweep and deliver at once: a threshold makes one alert, one mail and one webhook."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from billing.alerts import alerts
from billing.models import Account, Delivery, UsageAlert
from tests.billing.alerted import webhook
from tests.billing.caps import cap
from tests.billing.receiver import receiving
from tests.proof import children
from tests.proof.alerter import AT

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.real_clock(reason="starts processes that sweep"),
]


def answers(*whats: str) -> list[str]:
    """What processes say that begin together."""
    environment = children.environment() | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
    found = [subprocess.Popen([sys.executable, "-m", "tests.proof.alerter", what], **pipes) for what in whats]
    for process in found:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in found:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate(timeout=120)[0].strip() for process in found]
    assert "" not in told
    return told


def test_one_threshold_that_fifty_calls_cross_at_once_is_one_alert_one_mail_and_one_webhook(account: Account) -> None:
    cap({"video_calls": 60}, hard=False)
    with receiving() as receiver:
        webhook(receiver.url)
        told = answers(*(f"ten-{number}" for number in range(5)), "sweep", "sweep")
        assert told[:5] == ["10"] * 5
        assert sum(map(int, told[5:])) + sum(map(int, answers("sweep", "sweep", "sweep"))) == 2  # 80 %, and projected
        assert list(UsageAlert.objects.order_by("threshold").values_list("threshold", flat=True)) == [0, 80]
        Delivery.objects.filter(alert__threshold=0).delete()

        assert sum(map(int, answers("deliver", "deliver", "deliver"))) == 2
        assert len(receiver.got) == 1
    assert sorted(Delivery.objects.values_list("email", "state", "attempts")) == [
        ("", "delivered", 1),
        ("operator@example.com", "delivered", 1),
    ]
    assert alerts.sweep(AT).alerts == 0
