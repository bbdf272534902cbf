"""The API's addresses of billing, under /api/v1/."""

from django.urls import path

from billing.api.accounts import AccountsView, AccountView
from billing.api.logs import LogsView, LogView, VoidView
from billing.api.usage import SummaryView, UsageView

urlpatterns = [
    path("usage/", UsageView.as_view(), name="usage"),
    path("usage/logs/", LogsView.as_view(), name="usage-logs"),
    path("usage/logs/<uuid:id>/", LogView.as_view(), name="usage-log"),
    path("usage/logs/<uuid:id>/void/", VoidView.as_view(), name="usage-log-void"),
    path("usage/summary/", SummaryView.as_view(), name="usage-summary"),
    path("accounts/", AccountsView.as_view(), name="accounts"),
    path("accounts/<str:external_id>/", AccountView.as_view(), name="account"),
]
