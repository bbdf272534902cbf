"""Whose pages these are: the member's account, found once a request. Every page of an account goes through `member`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import cast

from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache

from billing.access import Caller
from billing.models import Account

CHOSEN = "account"  # in the session: the id of the account that was chosen last
MOST = 200  # accounts of one user in the switcher


class MemberRequest(HttpRequest):
    """A request of somebody who is a member of `account`, and of all of `accounts`."""

    account: Account
    accounts: list[Account]
    tollgate_caller: Caller  # the request log reads it


def member(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Log in strangers, send staff to their own pages, and tell those who have no account; else call the view.

    Membership is read anew for every request: whoever was taken out of an account sees no more of it.
    """

    @wraps(view)
    @never_cache
    def page(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        user = request.user
        if not isinstance(user, User):
            return redirect_to_login(request.get_full_path(), reverse("usage:login"))
        if user.is_staff:
            return redirect("admin:index")
        every = accounts_of(user)
        active = [account for account in every if account.active]
        if not active:
            return render(request, "usage/no_account.html", {"inactive": every}, status=403)
        own = cast("MemberRequest", request)
        own.accounts, own.account = active, _chosen(request, active)
        own.tollgate_caller = Caller(own.account, frozenset({"read"}), user=user)
        return view(own, *args, **kwargs)

    return page


def accounts_of(user: User) -> list[Account]:
    """The accounts that the user is a member of, active or not, in the order of their names."""
    found = Account.objects.filter(memberships__user=user).order_by("pk")[:MOST]
    return sorted(found, key=lambda account: (account.name or account.external_id).casefold())


def _chosen(request: HttpRequest, active: list[Account]) -> Account:
    """The account chosen last, where the user is still in it; else the first."""
    chosen = request.session.get(CHOSEN)
    return next((account for account in active if account.pk == chosen), active[0])
