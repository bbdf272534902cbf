"""Usage events, and the readers that extract them from files, legacy tables and vendors' responses."""

__all__ = [
    "call_failures",
    "event_responses",
    "events",
    "legacy_rows",
    "legacy_tables",
    "lines",
    "unread_fields",
    "usage_parts",
]
