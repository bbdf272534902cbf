"""Limits, the decisions under them, and reservations."""

__all__ = ["decisions", "limit_status", "limits", "operations", "reservations"]
