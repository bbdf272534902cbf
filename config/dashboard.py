"""The operators' first page: spend of a month by provider and category, what needs a look, and the service's health.

Every figure comes from billing.reports and monitoring.health, as in the API; this module only arranges them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from billing import reports
from billing.reports import Period, Share, Summary
from monitoring import health


@dataclass(frozen=True, slots=True)
class Bar:
    """A provider's part of the spend; `width` in per cent of the largest."""

    share: Share
    width: int


def context(request: HttpRequest, at: datetime) -> dict[str, Any]:
    """What templates/admin/index.html shows; an impossible `period` in the address is the current one."""
    if not request.user.has_perm("billing.view_usagelog"):
        return {}
    period = _period(request.GET.get("period"), at)
    summary = reports.summary(None, period, at)
    return {
        "summary": summary,
        "pace": reports.pace(summary, at),
        "bars": _bars(summary),
        "months": reports.months(at),
        "logs_url": logs_url(period),
        "health": health.snapshot(),
        "api_url": request.build_absolute_uri("/api/v1/usage/"),
    }


def health_card(request: HttpRequest) -> HttpResponse:
    """The live part of the health card; one measurement serves every open tab."""
    return render(request, "admin/health_card.html", {"health": health.snapshot()})


def logs_url(period: Period) -> str:
    """The change list of the period's logs."""
    return f"{reverse('admin:billing_usagelog_changelist')}?days={period.name}"


def _period(name: str | None, at: datetime) -> Period:
    try:
        return reports.named_period(None, name) if name else reports.current_period(None, at)
    except ValueError:
        return reports.current_period(None, at)


def _bars(summary: Summary) -> list[Bar]:
    most = max((share.cost_nano for share in summary.providers), default=0)
    return [Bar(share, share.cost_nano * 100 // most) for share in summary.providers if most]
