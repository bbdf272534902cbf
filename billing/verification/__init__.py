"""Checks that derived figures equal the ledger."""
