"""Everything that is derived, against the ledger: verify_ledger and the nightly job compare the same."""

from __future__ import annotations

from collections.abc import Iterator

from billing import ledger_check, statements
from billing.ledger_check import Part


def parts() -> Iterator[Part]:
    """Rollups, projections and statements, part by part, all in one snapshot."""
    with ledger_check.snapshot():
        yield from ledger_check.check()
        yield from statements.check()
