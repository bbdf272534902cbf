"""Reads usage events from other systems' files: CSV, JSON Lines and JSON documents, by formats that are data."""

__all__ = ["formats", "options", "shipped_formats", "usage_file"]
