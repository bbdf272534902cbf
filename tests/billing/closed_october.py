"""Shared by the tests of segments: calls with a cost, October closed by its job, and the segments of its statement."""

from __future__ import annotations

from typing import Any

from billing import jobs as billing_jobs
from billing.models import Account, Statement, UsageLog
from billing.plans import plans
from lib.money import NANO
from tests.billing.ledger_rows import assert_ledger_consistent
from tests.billing.usage import record
from tests.frozen_clock import Clock, utc

CLOSES_AT = "2026-11-04T01:00"  # October, 72 hours of grace, and an hour of margin


def record_call(account: Account, when: str, usd: str, event_id: str = "e0", **fields: Any) -> UsageLog:
    (log,) = record(account, utc(when), {"event_id": event_id, "cost_usd": usd, **fields})
    return log


def close(clock: Clock, when: str = CLOSES_AT) -> None:
    clock.move_to(when)
    billing_jobs.close_periods(utc(when))
    assert_ledger_consistent()


def october() -> Statement:
    return Statement.objects.get(period="2026-10-01")


def amounts(statement: Statement) -> list[tuple[str | None, int, int, int | None]]:
    """Each segment's plan, use from and to, and allowance, in whole USD."""
    return [
        (
            plans.current().plans[part["plan"]].slug if part["plan"] else None,
            part["used_from_nano"] // NANO,
            part["used_to_nano"] // NANO,
            None if part["allowance_nano"] is None else part["allowance_nano"] // NANO,
        )
        for part in statement.segments or []
    ]
