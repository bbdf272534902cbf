"""API keys, callers and their permissions. A secret is returned once, at creation; only its hash is stored."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Q

from billing.models import Account, ApiKey
from lib import retry

LAST_USED_INTERVAL = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated caller: an API key, a staff user or a customer. `account` None means the whole platform."""

    account: Account | None
    scopes: frozenset[str]
    key: ApiKey | None = None
    user: AbstractBaseUser | None = None
    is_authenticated: bool = True  # DRF checks this attribute on request.user

    @property
    def account_id(self) -> int | None:
        return self.account.id if self.account else None

    @property
    def key_id(self) -> int | None:
        return self.key.id if self.key else None

    @property
    def name(self) -> str:
        """The name that is recorded as the actor of a change."""
        return self.user.get_username() if self.user else str(self.key)

    @property
    def may_state_cost(self) -> bool:
        return self.account is None or self.account.may_state_cost


SESSION_ACCOUNT_KEY = "account"  # session key: id of the account that the user has selected
MAX_ACCOUNTS_PER_USER = 200  # in the account switcher


def accounts_of(user: AbstractBaseUser) -> list[Account]:
    """The accounts that the user is a member of, active or not, sorted by their displayed name. One query."""
    accounts = Account.objects.filter(memberships__user_id=user.pk).order_by("pk")[:MAX_ACCOUNTS_PER_USER]
    return sorted(accounts, key=lambda account: (account.name or account.external_id).casefold())


def selected_account(active: Sequence[Account], session: Mapping[str, Any]) -> Account:
    """The account selected in the session if the user is still a member of it, otherwise the first active one."""
    return next((account for account in active if account.pk == session.get(SESSION_ACCOUNT_KEY)), active[0])


@retry.atomic
def create_key(
    *,
    name: str,
    scopes: Sequence[str],
    at: datetime,
    account: Account | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Store a key; return it with its token `tg_<prefix>_<secret>` (256 random bits), which can't be read again later."""
    prefix, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        name=name,
        prefix=prefix,
        secret_hash=_hash(secret),
        scopes=sorted(set(scopes)),
        account=account,
        created_at=at,
        expires_at=expires_at,
    )
    return key, f"tg_{prefix}_{secret}"


def find_key(token: str, *, at: datetime) -> ApiKey | None:
    """The usable key of a token, or None. One query, uncached: a revoked key is refused from the next request on."""
    scheme, _, rest = token.partition("_")
    prefix, _, secret = rest.partition("_")
    if scheme != "tg" or not secret or not prefix.isascii() or not prefix.isalnum():
        return None
    key = ApiKey.objects.select_related("account").filter(prefix=prefix).first()
    if key is None or not hmac.compare_digest(key.secret_hash, _hash(secret)) or not key.usable(at):
        return None
    return key


def record_key_use(key: ApiKey, *, at: datetime) -> None:
    """Update the key's `last_used_at`, at most once a minute."""
    if key.last_used_at is None or key.last_used_at <= at - LAST_USED_INTERVAL:
        stale = Q(last_used_at=None) | Q(last_used_at__lte=at - LAST_USED_INTERVAL)
        retry.on_deadlock(lambda: ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=at))


def revoke(key: ApiKey, *, at: datetime) -> None:
    """Revoke the key. Idempotent: the first `revoked_at` is kept."""
    retry.on_deadlock(lambda: ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=at))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
