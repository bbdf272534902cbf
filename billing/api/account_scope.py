"""Resolves the account of a request: the caller's own, the one it names, or none for the whole platform."""

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


def get_caller(request: Request) -> Caller:
    if not isinstance(request.user, Caller):
        raise TypeError("the view has no required_scope")
    return request.user


def resolve_account(request: Request, external_id: str | None) -> Account | None:
    """Returns the account, or None for the whole platform. Raises Http404 for an account that the caller may not see."""
    own = get_caller(request).account
    if not external_id:
        return own
    if own is None or own.external_id == external_id:
        return own or _or_404(accounts.get(external_id))
    return _or_404(_member_account(request, external_id))


def named_account(request: Request) -> Account | None:
    """Resolves the query parameter `account`. Raises Http404."""
    return resolve_account(request, request.query_params.get("account"))


def _member_account(request: Request, external_id: str) -> Account | None:
    """Returns the account if the user is a member: a customer may have several accounts, a key is bound to one."""
    user = get_caller(request).user
    is_member = Q(
        account__active=True, account__external_key=ids.lookup_key(external_id), user_id=user.pk if user else None
    )
    membership = Membership.objects.select_related("account").filter(is_member).first()
    return membership.account if membership else None


def _or_404(account: Account | None) -> Account:
    if account is None:
        raise Http404
    return account
