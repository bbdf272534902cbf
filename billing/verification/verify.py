"""Compares everything derived with the ledger, page by page: docs/operations.md lists the checks.

Each page is one database snapshot, and everything that a check sums is in one page, so writers may go on meanwhile. A run
that was stopped or killed continues after its last page.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, Self
from uuid import UUID

from django.db import DatabaseError
from django.db.models import Q

from billing.ledger import rollups
from billing.ledger.rollups import Rollup
from billing.models import LedgerCheckProgress
from billing.verification import (
    adjustment_check,
    archive_check,
    log_check,
    minute_check,
    override_check,
    payment_check,
    period_check,
    projection_check,
    reservation_check,
    rollup_check,
    scans,
    statement_check,
    subscription_check,
)
from billing.verification.differences import CheckedPart, Difference, combine
from billing.verification.scans import AccountRange, Check, Scan
from lib import ids

logger = logging.getLogger(__name__)


def _rollup(rollup: Rollup, accounts: AccountRange | None) -> CheckedPart:
    return rollup_check.compare(rollup, accounts.where() if accounts else Q())


def _statements(accounts: AccountRange) -> CheckedPart:
    return combine(statement_check.check(accounts.where()))


SCANS = {
    "logs": Scan(
        log_check.next_page,
        {
            "log_keys": Check("event keys and event ids", log_check.compare_keys),
            "log_checksums": Check("columns that never change and checksums", log_check.compare_checksums),
            "log_costs": Check("costs and units x rates, tokens and their parts", log_check.compare_costs),
            "log_days": Check("days and periods, and the schedules of accounts", log_check.compare_days),
            "log_values": Check(
                "effective costs, voids and providers, and adjustments", projection_check.compare_values
            ),
            "log_corrections": Check("adjustments and the values before them", projection_check.compare_corrections),
        },
    ),
    "adjustments": Scan(
        adjustment_check.next_adjustments,
        {"adjustments": Check("adjustments and their logs, periods, reverts", adjustment_check.compare_adjustments)},
    ),
    "correction_batches": Scan(
        adjustment_check.next_batches,
        {"correction_batches": Check("batches and their adjustments", adjustment_check.compare_batches)},
    ),
    "accounts": Scan(
        scans.next_accounts,
        {
            "accounts": Check("keys, archives and closed periods of accounts", period_check.compare_accounts),
            "usage_days": Check("rollup of days and logs", partial(_rollup, rollups.USAGE_DAYS)),
            "usage_models": Check("rollup of models and logs", partial(_rollup, rollups.USAGE_MODELS)),
            "closed_periods": Check("closed periods and schedules", period_check.compare_closed_periods),
            "statement_existence": Check("closed periods and statements", period_check.compare_existence),
            "statement_sums": Check("lines, totals, dates, payment", payment_check.compare_statements),
            "statements": Check("statements and their sources", _statements),
            "subscriptions": Check("subscriptions and their last events", subscription_check.compare_subscriptions),
            "overrides": Check("overrides of limits and their times", override_check.compare_overrides),
            "holds": Check("holds and reservations", reservation_check.compare_holds),
            "archives": Check("archives, archived events, files", archive_check.compare_archives),
        },
    ),
    "subscription_events": Scan(
        subscription_check.next_events,
        {"subscription_events": Check("fees, lines, days x prices", subscription_check.compare_events)},
    ),
    "reservations": Scan(
        reservation_check.next_reservations,
        {"reservations": Check("states, times and grants", reservation_check.compare_reservations)},
    ),
    "platform_days": Scan(
        scans.whole_table,
        {"platform_days": Check("rollup of all accounts and logs", partial(_rollup, rollups.PLATFORM_DAYS))},
    ),
    "provider_minutes": Scan(
        scans.whole_table, {"provider_minutes": Check("counts of each minute", minute_check.compare_minutes)}
    ),
}
CHECKS = {name: check for scan in SCANS.values() for name, check in scan.checks.items()}


class Result(NamedTuple):
    """What one check has compared so far: rows, differences, and rows of which something cannot be checked."""

    rows: int = 0
    differences: int = 0
    not_checkable: int = 0

    def __add__(self, other: object) -> Result:
        if not isinstance(other, Result):
            return NotImplemented
        return Result(*(a + b for a, b in zip(self, other, strict=True)))

    def __str__(self) -> str:
        more = f", {self.not_checkable} not checkable" if self.not_checkable else ""
        return f"{self.rows} rows compared, {self.differences} differences{more}"


@dataclass(slots=True)
class Run:
    """A run of the checks: its position, and the result of each check so far."""

    started_at: datetime
    scan: str = next(iter(SCANS))
    cursor: str = scans.START
    results: dict[str, Result] = field(default_factory=dict)
    id: UUID = field(default_factory=ids.new_id)

    @property
    def total(self) -> Result:
        return sum(self.results.values(), Result())

    @classmethod
    def load(cls) -> Self | None:
        """The unfinished run that was saved last."""
        row = LedgerCheckProgress.objects.order_by("-saved_at").first()
        if row is None or row.scan not in SCANS:
            return None
        results = {name: Result(*counts) for name, counts in row.results.items() if name in CHECKS}
        return cls(row.started_at, row.scan, row.cursor, results, row.pk)

    def save(self, at: datetime) -> None:
        values: dict[str, Any] = {"saved_at": at, "scan": self.scan, "cursor": self.cursor, "results": self.results}
        if not LedgerCheckProgress.objects.filter(pk=self.id).update(**values):
            LedgerCheckProgress.objects.create(pk=self.id, started_at=self.started_at, **values)

    def delete(self) -> None:
        LedgerCheckProgress.objects.filter(pk=self.id).delete()


def check_all(run: Run, *, only: Collection[str] = ()) -> Iterator[list[CheckedPart]]:
    """Continue `run`, yielding the parts of each page; then its position is after that page. `only` names checks."""
    names = list(SCANS)
    for name in names[names.index(run.scan) :]:
        scan, cursor = SCANS[name], run.cursor if name == run.scan else scans.START
        checks = {key: check for key, check in scan.checks.items() if not only or key in only}
        next_cursor: str | None = cursor
        while checks and next_cursor is not None:
            with rollup_check.database_snapshot():
                page, next_cursor = scan.next_page(next_cursor)
                parts = [_compare(key, check, page, cursor=next_cursor) for key, check in checks.items()]
            _advance(run, name, next_cursor, parts)
            yield parts


def _compare(name: str, check: Check, page: Any, *, cursor: str | None) -> CheckedPart:  # noqa: ANN401 - any page
    """The result of one check of a page. A page that the check cannot read, such as one with damaged JSON, differs."""
    try:
        return replace(check.compare(page), check=name)
    except DatabaseError:
        raise
    except Exception as error:
        logger.exception("The ledger check %s cannot read a page", name)
        unreadable = Difference(name, (f"page before {cursor or 'the end'}",), {"readable": (repr(error), True)})
        return CheckedPart(0, [unreadable], check=name)


def _advance(run: Run, scan: str, cursor: str | None, parts: list[CheckedPart]) -> None:
    for part in parts:
        added = Result(part.rows, len(part.differences), part.not_checkable)
        run.results[part.check] = run.results.get(part.check, Result()) + added
    names = list(SCANS)
    if cursor is not None:
        run.scan, run.cursor = scan, cursor
    elif scan != names[-1]:
        run.scan, run.cursor = names[names.index(scan) + 1], scans.START
