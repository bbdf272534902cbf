"""Stored usage logs, their rollups, log search, retention, and closed periods."""

__all__ = [
    "closed_periods",
    "ledger",
    "log_search",
    "quantities",
    "retention",
    "rollups",
    "row_checksum",
    "slot_compaction",
]
