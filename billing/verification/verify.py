"""Everything that is derived, against the ledger: verify_ledger and the nightly job compare the same."""

from __future__ import annotations

from collections.abc import Iterator

from billing.verification import rollup_check, statement_check
from billing.verification.rollup_check import Part


def parts() -> Iterator[Part]:
    """Rollups, projections and statements, part by part, all in one snapshot."""
    with rollup_check.snapshot():
        yield from rollup_check.check()
        yield from statement_check.check()
