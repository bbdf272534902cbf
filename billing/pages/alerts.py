"""A customer's alerts: those that are unread first, and marked as read one by one or all at once."""

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
from billing.pages.base import MemberRequest, member

UNREAD, READ = 100, 50  # on a page


class Told(NamedTuple):
    """An alert as a row of the page."""

    alert: UsageAlert
    badge: str
    threshold: str
    sentence: str


@require_GET
@member
def page(request: MemberRequest) -> HttpResponse:
    before = _id(request.GET.get("before", ""))
    unread, more = alerts.page(request.account, unread=True, size=UNREAD)
    read, older = alerts.page(request.account, unread=False, before=before, size=READ)
    shown = {"unread": _told(unread), "more": more, "read": _told(read), "older": older, "before": before}
    return render(request, "usage/alerts.html", {**shown, "section": "alerts"})


@require_POST
@member
def read(request: MemberRequest, id: UUID) -> HttpResponse:  # noqa: A002 - as in the API
    if alerts.find(request.account, id) is None:
        raise Http404
    alerts.mark_read(alerts.of(request.account).filter(pk=id), timezone.now())
    return redirect("usage:overview" if request.POST.get("next") == "overview" else "usage:alerts")


@require_POST
@member
def read_all(request: MemberRequest) -> HttpResponse:
    """Those that the page showed, and older ones: what was raised since then stays unread."""
    newest = _id(request.POST.get("newest", ""))
    if newest is None:
        raise Http404
    alerts.mark_read(alerts.of(request.account).filter(pk__lte=newest), timezone.now())
    return redirect("usage:alerts")


def _told(found: Sequence[UsageAlert]) -> list[Told]:
    return [Told(one, alert_text.badge(one), alert_text.threshold(one), alert_text.sentence(one)) for one in found]


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
