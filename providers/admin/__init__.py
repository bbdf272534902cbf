"""The admin pages of providers, rules and prices; importing registers them."""

from providers.admin import prices, rules

__all__ = ["prices", "rules"]
