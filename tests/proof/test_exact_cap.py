"""R4: sixteen processes race for the room under one cap: it is granted exactly, not one too many and not one too few."""

from __future__ import annotations

import subprocess
import sys

import pytest

from billing.accounts import accounts
from billing.limits import limits
from billing.models import Account, UsageReservation
from billing.verification import rollup_check
from tests.billing.caps import cap
from tests.proof import children
from tests.proof.reserver import ACCOUNT, AT

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.real_clock(reason="starts sixteen processes that reserve"),
]

PROCESSES, ATTEMPTS, CAP = 16, 50, 100


@pytest.fixture
def account() -> Account:
    account = accounts.new(external_id=ACCOUNT, at=AT)
    account.save(force_insert=True)
    return account


def test_sixteen_processes_are_granted_exactly_the_cap(account: Account) -> None:
    cap({"video_calls": CAP})
    reservers = [_reserver(number) for number in range(PROCESSES)]
    for reserver in reservers:
        assert reserver.stdout is not None
        assert reserver.stdout.readline() == "ready\n"
    for reserver in reservers:
        assert reserver.stdin is not None
        reserver.stdin.write("go\n")
        reserver.stdin.flush()
    answers = [_answer(reserver) for reserver in reservers]

    assert [sum(column) for column in zip(*answers, strict=True)] == [CAP, PROCESSES * ATTEMPTS - CAP]
    settled = UsageReservation.objects.filter(state="settled").count()
    (video,) = [one for one in limits.standing(account, AT) if one.limit.meter.slug == "video_calls"]
    assert (video.used, video.reserved) == (settled, CAP - settled)
    assert settled > 0
    assert [str(one) for part in rollup_check.check() for one in part.differences] == []


def _reserver(number: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.proof.reserver", f"p{number}", str(ATTEMPTS)]
    environment = children.environment() | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _answer(reserver: subprocess.Popen[str]) -> list[int]:
    out, _ = reserver.communicate(timeout=300)
    assert reserver.returncode == 0
    return [int(number) for number in out.split()]
