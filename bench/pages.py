"""All pages by name, for the browser tests and `make shots`. Models registered in the admin are included automatically."""

from __future__ import annotations

from django.contrib import admin

FIRST_RECORD = "#result_list tbody a[href*='/change/']"  # the link to the first record of a list

FIRST_LOG = "table.data tbody a[href^='/usage/']"  # the link to a customer's first log or statement

ANONYMOUS = {
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
    "import-file": "/admin/billing/usageimport/upload/",
    "price-begun": "/admin/providers/price/add/?units=input_tokens,output_tokens",
    "price-proposals-all-new": "/admin/providers/priceproposal/all-new/genai/",
    "api": "/api/v1/",
    "api-logs": "/api/v1/usage/logs/?page_size=2",
    "api-record": "/api/v1/usage/",
    "api-not-found": "/api/v1/nothing-is-here/",
    "api-docs": "/api/v1/docs/",
}
# Pages that exist only with demo data.
DEMO_DATA_ONLY = {"account-usage": "/admin/billing/account/1/usage/"}


def changelists() -> dict[str, str]:
    """The changelist of every model in the admin."""
    metas = [model._meta for model in admin.site._registry]  # noqa: SLF001 - no public API
    return {f"{meta.app_label}-{meta.model_name}": f"/admin/{meta.app_label}/{meta.model_name}/" for meta in metas}
