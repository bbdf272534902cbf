"""`/usage/alerts/`: an account's alerts, newest first, read and unread; and marking them as read."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from billing import alerts
from billing.models import Account
from billing.pages import member

SIZE = 50


@member.page
def page(request: HttpRequest, account: Account) -> HttpResponse:
    """One page of them; `?before=` goes on from an alert, `?unread=1` leaves out what was read."""
    unread = True if request.GET.get("unread") else None
    found, older = alerts.page(account, unread=unread, before=_before(request), size=SIZE)
    context = {"account": account, "alerts": found, "older": older, "unread": unread}
    return render(request, "usage/alerts.html", context)


@require_POST
@member.page
def read(request: HttpRequest, account: Account, alert: UUID) -> HttpResponse:
    """Mark one as read. What is not this account's does not exist."""
    if alerts.find(account, alert) is None:
        raise Http404
    alerts.mark_read(alerts.of(account).filter(pk=alert), timezone.now())
    return redirect(_back(request))


@require_POST
@member.page
def read_all(request: HttpRequest, account: Account) -> HttpResponse:
    alerts.mark_read(alerts.of(account), timezone.now())
    return redirect(_back(request))


def _before(request: HttpRequest) -> UUID | None:
    try:
        return UUID(request.GET["before"]) if request.GET.get("before") else None
    except ValueError as error:
        raise Http404 from error


def _back(request: HttpRequest) -> str:
    """The page of ours on which the button was."""
    back = request.POST.get("back", "")
    return back if url_has_allowed_host_and_scheme(back, allowed_hosts=None) else reverse("usage-alerts")
