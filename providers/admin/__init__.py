"""The admin pages of providers, rules and prices; importing registers them."""

from providers.admin import prices, proposals, rules

__all__ = ["prices", "proposals", "rules"]
