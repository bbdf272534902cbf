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

from billing.accounts import access
from billing.accounts.access import Caller
from billing.models import Account


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
        every = access.accounts_of(user)
        active = [account for account in every if account.active]
        if not active:
            return render(request, "usage/no_account.html", {"inactive": every}, status=403)
        own = cast("MemberRequest", request)
        own.accounts, own.account = active, access.chosen(active, request.session)
        own.tollgate_caller = Caller(own.account, frozenset({"read"}), user=user)
        return view(own, *args, **kwargs)

    return page
