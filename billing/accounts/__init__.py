"""Accounts, API keys and members, invitations, and usage periods."""

__all__ = ["access", "accounts", "invitations", "usage_periods"]
