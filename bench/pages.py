"""Every page that people see, by name: for the browser tests and for `make shots`. A newly registered model is in at once."""

from __future__ import annotations

from django.contrib import admin

FIRST_ROW = "#result_list tbody a[href*='/change/']"  # a list's first record, where it has one

STRANGER = {"login": "/admin/login/", "not-found": "/nothing-is-here/"}
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


def lists() -> dict[str, str]:
    """The changelist of every model in the admin."""
    metas = [model._meta for model in admin.site._registry]  # noqa: SLF001 - there is no public way to ask
    return {f"{meta.app_label}-{meta.model_name}": f"/admin/{meta.app_label}/{meta.model_name}/" for meta in metas}
