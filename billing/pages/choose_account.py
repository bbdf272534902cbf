"""Choosing among the accounts that one is a member of."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from billing.accounts.access import CHOSEN
from billing.pages.base import MemberRequest, member


@require_POST
@member
def switch(request: MemberRequest) -> HttpResponse:
    """What is not one's own does not exist."""
    for account in request.accounts:
        if account.external_id == request.POST.get("account"):
            request.session[CHOSEN] = account.pk
            return redirect("usage:overview")
    raise Http404
