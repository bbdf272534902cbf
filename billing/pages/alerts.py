"""A customer's alerts, unread ones first, and views that mark them as read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from billing.alerts import alert_text, alerts
from billing.models import UsageAlert
from billing.pages.base import MemberRequest, member_required

MAX_UNREAD, READ_PAGE_SIZE = 100, 50


class AlertRow(NamedTuple):
    """An alert as a row of the page."""

    alert: UsageAlert
    badge: str
    threshold: str
    message: str


@require_GET
@member_required
def alert_list(request: MemberRequest) -> HttpResponse:
    before = _parse_id(request.GET.get("before", ""))
    unread, more = alerts.list_page(request.account, unread=True, size=MAX_UNREAD)
    read, older = alerts.list_page(request.account, unread=False, before=before, size=READ_PAGE_SIZE)
    context = {"unread": _rows(unread), "more": more, "read": _rows(read), "older": older, "before": before}
    return render(request, "usage/alerts.html", {**context, "section": "alerts"})


@require_POST
@member_required
def mark_read(request: MemberRequest, id: UUID) -> HttpResponse:  # noqa: A002 - the URL parameter
    if alerts.find(request.account, id) is None:
        raise Http404
    alerts.mark_read(alerts.for_account(request.account).filter(pk=id), timezone.now())
    return redirect("usage:overview" if request.POST.get("next") == "overview" else "usage:alerts")


@require_POST
@member_required
def mark_all_read(request: MemberRequest) -> HttpResponse:
    """Marks the alerts up to the newest one on the page; alerts raised since then stay unread."""
    newest = _parse_id(request.POST.get("newest", ""))
    if newest is None:
        raise Http404
    alerts.mark_read(alerts.for_account(request.account).filter(pk__lte=newest), timezone.now())
    return redirect("usage:alerts")


def _rows(page: Sequence[UsageAlert]) -> list[AlertRow]:
    return [
        AlertRow(alert, alert_text.badge(alert), alert_text.threshold_label(alert), alert_text.message(alert))
        for alert in page
    ]


def _parse_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
