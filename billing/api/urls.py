"""URLs of the billing API, under /api/v1/."""

from django.urls import path

from billing.api.accounts import AccountsView, AccountView
from billing.api.alerts import AlertsView, ReadView
from billing.api.dashboard import DashboardView, TrendsView
from billing.api.health import ProvidersHealthView
from billing.api.logs import LogsView, LogView, ResolveView, VoidView
from billing.api.plans import PlansView
from billing.api.preflight import PreflightView
from billing.api.prices import PricesView
from billing.api.providers import DetectView, ProvidersView
from billing.api.reservations import ReleaseView, ReservationsView, SettleView
from billing.api.subscriptions import CancelView, RenewalsView, StatementsView, SubscribeView, SubscriptionView
from billing.api.usage import SummaryView, UsageView

urlpatterns = [
    path("usage/", UsageView.as_view(), name="usage"),
    path("usage/logs/", LogsView.as_view(), name="usage-logs"),
    path("usage/logs/<uuid:id>/", LogView.as_view(), name="usage-log"),
    path("usage/logs/<uuid:id>/void/", VoidView.as_view(), name="usage-log-void"),
    path("usage/logs/<uuid:id>/resolve/", ResolveView.as_view(), name="usage-log-resolve"),
    path("usage/summary/", SummaryView.as_view(), name="usage-summary"),
    path("usage/trends/", TrendsView.as_view(), name="usage-trends"),
    path("dashboard/", DashboardView.as_view(), name="dashboard"),
    path("health/providers/", ProvidersHealthView.as_view(), name="health-providers"),
    path("preflight/", PreflightView.as_view(), name="preflight"),
    path("reservations/", ReservationsView.as_view(), name="reservations"),
    path("reservations/<uuid:id>/settle/", SettleView.as_view(), name="reservation-settle"),
    path("reservations/<uuid:id>/release/", ReleaseView.as_view(), name="reservation-release"),
    path("alerts/", AlertsView.as_view(), name="alerts"),
    path("alerts/<uuid:id>/read/", ReadView.as_view(), name="alert-read"),
    path("providers/", ProvidersView.as_view(), name="providers"),
    path("providers/detect/", DetectView.as_view(), name="providers-detect"),
    path("prices/", PricesView.as_view(), name="prices"),
    path("plans/", PlansView.as_view(), name="plans"),
    path("accounts/", AccountsView.as_view(), name="accounts"),
    path("accounts/<str:external_id>/", AccountView.as_view(), name="account"),
    path("accounts/<str:external_id>/subscription/", SubscriptionView.as_view(), name="subscription"),
    path("accounts/<str:external_id>/subscribe/", SubscribeView.as_view(), name="subscribe"),
    path("accounts/<str:external_id>/cancel/", CancelView.as_view(), name="subscription-cancel"),
    path("accounts/<str:external_id>/renewals/", RenewalsView.as_view(), name="renewals"),
    path("accounts/<str:external_id>/statements/", StatementsView.as_view(), name="statements"),
]
