"""Readers of vendors' responses. Pure."""

from billing.events.vendor_responses.reading import Reader, Reading, read

__all__ = ["Reader", "Reading", "read"]
