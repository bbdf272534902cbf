"""R4: sixteen processes compete for one limit, which is granted exactly: not one call too many or too few."""

from __future__ import annotations

import subprocess
import sys

import pytest

from billing.accounts import accounts
from billing.limits import limits
from billing.models import Account, UsageReservation
from billing.verification import rollup_check
from tests.billing.plan_limits import set_limits
from tests.proof import children
from tests.proof.reserver import ACCOUNT, AT

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.real_clock(reason="starts sixteen processes that reserve"),
]

PROCESS_COUNT, ATTEMPTS, LIMIT = 16, 50, 100


@pytest.fixture
def account() -> Account:
    account = accounts.build(external_id=ACCOUNT, at=AT)
    account.save(force_insert=True)
    return account


def test_sixteen_processes_are_granted_exactly_the_limit(account: Account) -> None:
    set_limits({"video_calls": LIMIT})
    reservers = [_start_reserver(number) for number in range(PROCESS_COUNT)]
    for reserver in reservers:
        assert reserver.stdout is not None
        assert reserver.stdout.readline() == "ready\n"
    for reserver in reservers:
        assert reserver.stdin is not None
        reserver.stdin.write("go\n")
        reserver.stdin.flush()
    counts = [_read_counts(reserver) for reserver in reservers]

    assert [sum(column) for column in zip(*counts, strict=True)] == [LIMIT, PROCESS_COUNT * ATTEMPTS - LIMIT]
    settled = UsageReservation.objects.filter(state="settled").count()
    (video,) = [status for status in limits.statuses(account, AT) if status.limit.meter.slug == "video_calls"]
    assert (video.used, video.reserved) == (settled, LIMIT - settled)
    assert settled > 0
    assert [str(difference) for part in rollup_check.check() for difference in part.differences] == []


def _start_reserver(number: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.proof.reserver", f"p{number}", str(ATTEMPTS)]
    environment = children.environment() | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _read_counts(reserver: subprocess.Popen[str]) -> list[int]:
    out, _ = reserver.communicate(timeout=300)
    assert reserver.returncode == 0
    return [int(number) for number in out.split()]
