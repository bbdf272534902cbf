"""Authentication by API key (`Authorization: Bearer tg_…`) or session, and permissions by scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest
from django.utils import timezone
from rest_framework import authentication, exceptions, permissions

from billing.accounts import access
from billing.accounts.access import Caller
from billing.api import throttling
from billing.models import ApiKey

if TYPE_CHECKING:
    from rest_framework.request import Request

    from billing.api.api_view import ApiView

# The permission that gives staff each scope; the groups Viewer and Operator have them.
STAFF_PERMISSIONS = {
    "read": "billing.view_usagelog",
    "ingest": "billing.add_usagelog",
    "limits": "billing.view_account",
    "manage": "billing.change_account",
}


class KeyAuthentication(authentication.BaseAuthentication):
    """Authenticates `Authorization: Bearer tg_<prefix>_<secret>` with one query."""

    def authenticate(self, request: Request) -> tuple[Caller, ApiKey] | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        now = timezone.now()
        key = access.find_key(token.strip(), at=now)
        if key is None:
            raise _failure(request._request)
        access.record_key_use(key, at=now)
        caller = Caller(account=key.account, scopes=frozenset(key.scopes), key=key)
        request._request.tollgate_caller = caller  # type: ignore[attr-defined]
        return caller, key

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="tollgate"'


def _failure(request: HttpRequest) -> exceptions.APIException:
    """Counts a request without a usable key. A usable one is never counted: others may share its address."""
    if throttling.allow_anonymous(request):
        return exceptions.AuthenticationFailed("The API key is not valid.")
    return exceptions.Throttled(throttling.seconds_to_wait())


class SessionAuthentication(authentication.SessionAuthentication):
    """Authenticates a logged-in user: staff by their permissions, customers for their selected account."""

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        if getattr(request._request, "user", None) is None or not request._request.user.is_authenticated:
            return None
        self.enforce_csrf(request)
        caller = _session_caller(request._request)
        request._request.tollgate_caller = caller  # type: ignore[attr-defined]  # the request log reads it
        return caller, None


class HasScope(permissions.BasePermission):
    """Requires the view's `required_scope`, and of staff its `staff_permission` too. A scope of None is public."""

    def has_permission(self, request: Request, view: ApiView) -> bool:  # type: ignore[override]  # the view has a scope
        scope = view.required_scope
        if scope is None:
            return True
        if not isinstance(request.user, Caller):
            raise exceptions.NotAuthenticated
        if scope not in request.user.scopes:
            raise exceptions.PermissionDenied(f"This request needs the scope {scope!r}.")
        permission = view.staff_permission
        user: Any = request.user.user if request.user.account is None else None  # staff only: customers have an account
        if permission and user and not user.has_perm(permission):
            raise exceptions.PermissionDenied(f"This request needs the permission {permission!r}.")
        return True


def _session_caller(request: HttpRequest) -> Caller:
    user: Any = request.user
    if user.is_staff:
        scopes = frozenset(scope for scope, permission in STAFF_PERMISSIONS.items() if user.has_perm(permission))
        return Caller(account=None, scopes=scopes, user=user)
    active = [account for account in access.accounts_of(user) if account.active]
    if not active:
        raise exceptions.PermissionDenied("This user is not a member of an active account.")
    return Caller(account=access.selected_account(active, request.session), scopes=frozenset({"read"}), user=user)
