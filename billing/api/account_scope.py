"""Whose figures a request is about: the caller's own account, the one that it names, or the whole platform."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Q
from django.http import Http404

from billing.accounts import accounts
from billing.accounts.access import Caller
from billing.models import Account, Membership
from lib import ids

if TYPE_CHECKING:
    from rest_framework.request import Request


def caller_of(request: Request) -> Caller:
    if not isinstance(request.user, Caller):
        raise TypeError("the view has no required_scope")
    return request.user


def account_of(request: Request, named: str | None) -> Account | None:
    """The account meant, None for the whole platform. What is not the caller's does not exist: Http404."""
    own = caller_of(request).account
    if not named:
        return own
    if own is None or own.external_id == named:
        return own or _found(accounts.get(named))
    return _found(_also_own(request, named))


def _also_own(request: Request, named: str) -> Account | None:
    """A customer may be a member of several accounts; a key is bound to one."""
    user = caller_of(request).user
    mine = Q(account__active=True, account__external_key=ids.key_of(named), user_id=user.pk if user else None)
    membership = Membership.objects.select_related("account").filter(mine).first()
    return membership.account if membership else None


def _found(account: Account | None) -> Account:
    if account is None:
        raise Http404
    return account
