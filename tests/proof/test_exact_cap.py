"""R4: sixteen processes compete for one limit, which is granted exactly: not one call too many or too few.

Also where the server's default isolation level is stricter, and through PgBouncer in both of its ways.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from django.db import connection

from billing.accounts import accounts
from billing.limits import limits
from billing.models import Account, UsageReservation
from tests.billing.ledger_rows import rollup_differences
from tests.billing.plan_limits import set_limits
from tests.proof import children, pooler
from tests.proof.reserver import ACCOUNT, AT
from tests.proof.strict_default import strict_default

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.real_clock(reason="starts sixteen processes that reserve"),
]

PROCESS_COUNT, ATTEMPTS, LIMIT = 16, 50, 100
FEWER = 6  # processes where only the way to the server differs
POSTGRESQL = pytest.mark.skipif("postgres" not in os.environ.get("DATABASE_URL", ""), reason="only on PostgreSQL")


@pytest.fixture
def account() -> Account:
    account = accounts.build(external_id=ACCOUNT, at=AT)
    account.save(force_insert=True)
    return account


def test_sixteen_processes_are_granted_exactly_the_limit(account: Account) -> None:
    prepared = compete(account, PROCESS_COUNT)
    assert all(prepared) == (connection.vendor == "postgresql")  # each session has prepared its statements


@POSTGRESQL
def test_the_server_may_have_a_stricter_default_isolation_level(account: Account) -> None:
    with strict_default():
        compete(account, FEWER)


@POSTGRESQL
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_through_a_pooler_the_limit_is_exact_as_well(account: Account, mode: str) -> None:
    with tempfile.TemporaryDirectory(prefix="pooler-") as folder, pooler.running(Path(folder), mode) as url:
        prepared = compete(account, FEWER, DATABASE_URL=url, DATABASE_POOLER=mode)
    assert all(prepared) == (mode == "session")
    assert any(prepared) == (mode == "session")


def compete(account: Account, processes: int, **variables: str) -> list[int]:
    """Let the processes compete and check the outcome. Returns how many statements each session had prepared."""
    set_limits({"video_calls": LIMIT})
    commands = [["tests.proof.reserver", f"p{number}", str(ATTEMPTS)] for number in range(processes)]
    granted, refused, prepared = zip(*children.race(commands, **variables), strict=True)

    assert (sum(granted), sum(refused)) == (LIMIT, processes * ATTEMPTS - LIMIT)
    settled = UsageReservation.objects.filter(state="settled").count()
    (video,) = [status for status in limits.statuses(account, AT) if status.limit.meter.slug == "video_calls"]
    assert (video.used, video.reserved) == (settled, LIMIT - settled)
    assert settled > 0
    assert rollup_differences() == []
    return list(prepared)
