"""Registers the admin pages of providers, rules and prices."""

from providers.admin import prices, proposals, rules

__all__ = ["prices", "proposals", "rules"]
