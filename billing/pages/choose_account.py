"""Switches between the accounts of a member."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from billing.accounts.access import SESSION_ACCOUNT_KEY
from billing.pages.base import MemberRequest, member_required


@require_POST
@member_required
def choose(request: MemberRequest) -> HttpResponse:
    """Selects the account named in the form; 404 unless the user is its member."""
    for account in request.accounts:
        if account.external_id == request.POST.get("account"):
            request.session[SESSION_ACCOUNT_KEY] = account.pk
            return redirect("usage:overview")
    raise Http404
