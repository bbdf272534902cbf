"""Checks that the ledger agrees with itself, and all derived figures with it."""

__all__ = ["differences", "rollup_check", "verify"]
