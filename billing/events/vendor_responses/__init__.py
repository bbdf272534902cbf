"""Readers of vendors' responses: one table of fields for each API shape. `reading` has the result and its interface,
`informational` why numbers are not counted.
"""

__all__ = ["informational", "reading"]
