"""Checks that derived figures equal the ledger."""

__all__ = ["rollup_check", "verify"]
