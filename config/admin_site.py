"""The admin site: its title, its sidebar groups, and its index page."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponseBase
from django.urls import path, reverse
from django.utils import timezone

from config import dashboard, monitoring_page, service_page

# A registered model that is in no group appears under "More", so that no model is hidden.
GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Usage", ("billing.UsageLog", "billing.UsageImport", "billing.CorrectionBatch", "monitoring.ApiRequest")),
    (
        "Providers",
        (
            "providers.Provider",
            "providers.DetectionRule",
            "providers.Price",
            "providers.PriceProposal",
            "billing.UnreadField",
        ),
    ),
    (
        "Customers",
        (
            "billing.Account",
            "billing.Subscription",
            "billing.Statement",
            "billing.Membership",
            "billing.Invitation",
            "billing.ApiKey",
        ),
    ),
    ("Alerts", ("billing.UsageAlert", "billing.Delivery", "billing.Webhook")),
    ("Plans", ("billing.Plan", "billing.Meter", "billing.UsageReservation")),
    ("Service", ("monitoring.JobRun", "billing.Archive")),
    (
        "People and audit",
        (
            "auth.User",
            "auth.Group",
            "auditlog.LogEntry",
            "axes.AccessAttempt",
            "axes.AccessFailureLog",
            "axes.AccessLog",
        ),
    ),
)
# Pages without a model: group, name, URL name, and the required permission.
PAGES = (
    ("Providers", "Unpriced models", "admin:billing_unpriced", "billing.view_usagelog"),
    ("Service", "Monitoring", "admin:monitoring", "monitoring.view_apirequest"),
    ("Service", "Service", "admin:service", "monitoring.view_jobrun"),
)


class TollgateAdminSite(admin.AdminSite):
    site_title = "Tollgate"
    site_header = "Tollgate"
    index_title = "Overview"

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Models by group; the page of a single app (`app_label`) is not grouped."""
        apps = super().get_app_list(request, app_label)
        return apps if app_label else _grouped(apps, request)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:  # type: ignore[override]  # a CSV too
        """The dashboard, or one of its tables as CSV."""
        at = timezone.now()
        return dashboard.csv(request, at) or super().index(
            request, {**dashboard.context(request, at), **(extra_context or {})}
        )

    def get_urls(self) -> list[Any]:
        from billing.admin import provider_health, unpriced  # imports billing's admin pages, which need this site

        card = path("health-card/", self.admin_view(dashboard.health_card), name="health_card")
        pages = (provider_health, unpriced, monitoring_page, service_page)
        return [card, *(url for page in pages for url in page.urls(self)), *super().get_urls()]


def _grouped(apps: list[Any], request: HttpRequest) -> list[dict[str, Any]]:
    models = {model["model"]._meta.label: model for app in apps for model in app["models"]}
    groups = [
        _group(name, [*(models.pop(label) for label in labels if label in models), *_pages(name, request)])
        for name, labels in GROUPS
    ]
    groups.append(_group("More", list(models.values())))
    return [group for group in groups if group["models"]]


def _pages(group: str, request: HttpRequest) -> list[dict[str, Any]]:
    """The group's pages, as dicts like those the admin's templates expect for models."""
    return [
        {
            "name": name,
            "object_name": name.replace(" ", ""),
            "admin_url": reverse(url_name),
            "add_url": None,
            "page": True,
        }
        for page_group, name, url_name, permission in PAGES
        if page_group == group and request.user.has_perm(permission)
    ]


def _group(name: str, models: list[Any]) -> dict[str, Any]:
    """A dict like the one the admin's templates expect for an app; a group has no page."""
    return {
        "name": name,
        "app_label": name.lower().replace(" ", "-"),
        "app_url": "",
        "has_module_perms": True,
        "models": models,
    }
