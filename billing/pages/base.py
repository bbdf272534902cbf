"""Access to the customers' pages: the member's account, loaded once per request."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import cast

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache

from billing.accounts import access
from billing.accounts.access import Caller
from billing.models import Account


class MemberRequest(HttpRequest):
    """A request of a member of `accounts`; `account` is the selected one."""

    account: Account
    accounts: list[Account]
    tollgate_caller: Caller  # for the request log


def member_required(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Calls the view for members. Redirects anonymous users to the login and staff to the admin; 403 without an account.

    Reads the membership on every request, so that a removed member loses access at once.
    """

    @wraps(view)
    @never_cache
    def wrapper(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        user = request.user
        if not user.is_authenticated:
            return redirect_to_login(request.get_full_path(), reverse("usage:login"))
        if user.is_staff:
            return redirect("admin:index")
        accounts = access.accounts_of(user)
        active = [account for account in accounts if account.active]
        if not active:
            return render(request, "usage/no_account.html", {"inactive": accounts}, status=403)
        member_request = cast("MemberRequest", request)
        member_request.accounts, member_request.account = active, access.selected_account(active, request.session)
        member_request.tollgate_caller = Caller(member_request.account, frozenset({"read"}), user=user)
        return view(member_request, *args, **kwargs)

    return wrapper
