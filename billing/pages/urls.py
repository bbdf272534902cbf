"""The customers' addresses under /usage/; the overview itself is composed in config."""

from django.urls import path

from billing.pages import alerts, member

urlpatterns = [
    path("account/", member.choose, name="usage-account"),
    path("alerts/", alerts.page, name="usage-alerts"),
    path("alerts/read/", alerts.read_all, name="usage-alerts-read"),
    path("alerts/<uuid:alert>/read/", alerts.read, name="usage-alert-read"),
]
