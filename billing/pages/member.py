"""Whose page it is: an account of the person who is logged in. Every page under /usage/ goes through `page`.

What is not that account's does not exist. Operators have the admin, and are sent there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from billing.access import Caller
from billing.models import Account, Membership

CHOSEN = "usage_account"  # of the session: the id of the account that is looked at
MOST = 100  # accounts that one person may switch between

View = Callable[..., HttpResponseBase]  # takes the request, the account, and what the address names


def page(view: View) -> View:
    """The view with the account that the session chose, or the first one; membership is looked up at every request."""

    @never_cache
    @login_required
    @wraps(view)
    def of_member(request: HttpRequest, **named: Any) -> HttpResponseBase:  # noqa: ANN401
        user: Any = request.user
        if user.is_staff:
            return redirect("admin:index")
        mine = accounts_of(user)
        if not mine:
            return render(request, "usage/no_account.html", status=403)
        account = next((one for one in mine if one.pk == request.session.get(CHOSEN)), mine[0])
        caller = Caller(account=account, scopes=frozenset({"read"}), user=user)
        request.tollgate_caller = caller  # type: ignore[attr-defined]  # the request log reads it
        request.member_of = mine  # type: ignore[attr-defined]  # templates/usage/base.html offers them
        return view(request, account, **named)

    return of_member


def accounts_of(user: Any) -> list[Account]:  # noqa: ANN401 - the project's user model
    """The active accounts that a user belongs to, by their ids. One query."""
    memberships = Membership.objects.filter(user=user, account__active=True).select_related("account")
    return [one.account for one in memberships.order_by("account__external_id")[:MOST]]


@require_POST
@page
def choose(request: HttpRequest, _account: Account) -> HttpResponseBase:
    """Look at another account of one's own; the id of somebody else's changes nothing."""
    wanted = request.POST.get("account", "")
    for one in accounts_of(request.user):
        if one.external_id == wanted:
            request.session[CHOSEN] = one.pk
    return redirect("usage")
