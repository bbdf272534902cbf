"""Readers of vendors' responses: one table of fields for each API shape. `reading` has the result and its interface."""

__all__ = ["reading"]
