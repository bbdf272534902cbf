"""Registers billing's admin pages."""

from billing.admin import (
    accounts,
    alerts,
    archives,
    imports,
    invitations,
    keys,
    logs,
    plans,
    repricing,
    statements,
    subscriptions,
    unread_fields,
)

__all__ = [
    "accounts",
    "alerts",
    "archives",
    "imports",
    "invitations",
    "keys",
    "logs",
    "plans",
    "repricing",
    "statements",
    "subscriptions",
    "unread_fields",
]
