"""The only write path for usage events, metered calls and imports."""

__all__ = ["bulk_import", "metering"]
