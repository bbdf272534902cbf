"""Figures prepared for the operators' and the customers' pages."""

__all__ = ["account_page", "cards", "charge_page", "dashboards", "needs_attention", "service_figures"]
