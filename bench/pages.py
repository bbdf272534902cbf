"""Every page that people see, by name: for the browser tests and for `make shots`. A newly registered model is in at once."""

from __future__ import annotations

from django.contrib import admin

FIRST_ROW = "#result_list tbody a[href*='/change/']"  # a list's first record, where it has one

FIRST_LOG = "table.data tbody a[href^='/usage/']"  # a customer's first log, or statement

STRANGER = {
    "login": "/admin/login/",
    "not-found": "/nothing-is-here/",
    "customer-login": "/usage/login/",
    "customer-reset": "/usage/password/reset/",
    "customer-reset-sent": "/usage/password/reset/sent/",
    "customer-reset-done": "/usage/password/reset/done/",
    "customer-no-invitation": "/usage/invitation/",
}
CUSTOMER = {
    "customer-overview": "/usage/?view=compact",
    "customer-detailed": "/usage/?view=detailed",
    "customer-logs": "/usage/logs/",
    "customer-logs-filtered": "/usage/logs/?status=failed&period=all",
    "customer-logs-nothing": "/usage/logs/?q=nothing-is-here",
    "customer-alerts": "/usage/alerts/",
    "customer-statements": "/usage/statements/",
    "customer-plan": "/usage/plan/",
    "customer-password": "/usage/password/",
}
OPERATOR = {
    "overview": "/admin/",
    "monitoring": "/admin/monitoring/",
    "monitoring-30-days": "/admin/monitoring/?span=30d",
    "service": "/admin/service/",
    "change-password": "/admin/password_change/",
    "app": "/admin/auth/",
    "unpriced": "/admin/billing/unpriced/",
    "reprice": "/admin/billing/correctionbatch/reprice/?unpriced=on",
    "price-begun": "/admin/providers/price/add/?units=input_tokens,output_tokens",
    "price-proposals-all-new": "/admin/providers/priceproposal/all-new/genai/",
    "api": "/api/v1/providers/",
    "api-not-found": "/api/v1/nothing-is-here/",
    "api-docs": "/api/v1/docs/",
}
# On demo data only, where the first account is there.
SEEDED = {"account-usage": "/admin/billing/account/1/usage/"}


def lists() -> dict[str, str]:
    """The changelist of every model in the admin."""
    metas = [model._meta for model in admin.site._registry]  # noqa: SLF001 - there is no public way to ask
    return {f"{meta.app_label}-{meta.model_name}": f"/admin/{meta.app_label}/{meta.model_name}/" for meta in metas}
