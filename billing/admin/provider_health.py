"""The live part of the Provider health card."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path

from billing.reports import provider_health


def urls(site: admin.AdminSite) -> list[Any]:
    return [path("provider-health/", site.admin_view(_render_chips), name="provider_health")]


@permission_required("billing.view_usagelog", raise_exception=True)
def _render_chips(request: HttpRequest) -> HttpResponse:
    """Renders the latest cached measurement, which all open tabs share."""
    return render(request, "admin/provider_chips.html", {"providers": provider_health.latest()})
