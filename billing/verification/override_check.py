"""Checks the times of account limits: what was in force when decides what a statement charges."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from billing.models import EndedOverride, LimitOverride
from billing.verification.differences import CheckedPart, CheckedRow, compare
from billing.verification.scans import AccountRange


def compare_overrides(accounts: AccountRange) -> CheckedPart:
    """The times of each account's overrides of a limit, current and ended: in order, and never two at once."""
    spans: dict[tuple[Any, ...], list[tuple[datetime | None, datetime | None, str, Any]]] = {}
    for model in (EndedOverride, LimitOverride):
        for row in model.objects.filter(accounts.where()):
            until = row.until if isinstance(row, EndedOverride) else None
            limit = (row.account_id, row.meter_id, row.per)
            spans.setdefault(limit, []).append((row.since, until, model._meta.db_table, row.pk))
    return compare(row for limit in spans.values() for row in _span_rows(limit))


def _span_rows(spans: list[tuple[datetime | None, datetime | None, str, Any]]) -> Iterator[CheckedRow]:
    earlier: datetime | None = None
    ordered = sorted(spans, key=lambda span: (span[1] is None, span[1] or span[0], span[0] is not None))
    for since, until, table, pk in ordered:
        pairs: dict[str, tuple[object, object]] = {}
        if earlier is not None:
            pairs["since"] = (since, since if since and since >= earlier else earlier)
        if since and until:
            pairs["until"] = (until, max(since, until))
        yield CheckedRow(table, (pk,), pairs)
        earlier = until or earlier
