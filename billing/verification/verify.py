"""Compares everything derived with the ledger."""

from __future__ import annotations

from collections.abc import Iterator

from billing.verification import rollup_check, statement_check
from billing.verification.rollup_check import CheckedPart


def check_all() -> Iterator[CheckedPart]:
    """Check rollups, projections and statements part by part, in one database snapshot."""
    with rollup_check.database_snapshot():
        yield from rollup_check.check()
        yield from statement_check.check()
