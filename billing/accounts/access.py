"""API keys: made, recognised, and what a caller may do. A secret is shown once and stored as its hash."""

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

LAST_USED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: a key, a member of staff, or a customer. `account` None means the whole platform."""

    account: Account | None
    scopes: frozenset[str]
    key: ApiKey | None = None
    user: AbstractBaseUser | None = None
    is_authenticated: bool = True  # what DRF asks of a user

    @property
    def account_id(self) -> int | None:
        return self.account.id if self.account else None

    @property
    def key_id(self) -> int | None:
        return self.key.id if self.key else None

    @property
    def name(self) -> str:
        """Who that is, for records of what was done."""
        return self.user.get_username() if self.user else str(self.key)

    @property
    def may_state_cost(self) -> bool:
        return self.account is None or self.account.may_state_cost


CHOSEN = "account"  # in a session: the id of the account that its user looks at
MOST_ACCOUNTS = 200  # of one user, to choose from


def accounts_of(user: AbstractBaseUser) -> list[Account]:
    """The accounts that the user is a member of, active or not, by what they are called on pages. One query."""
    found = Account.objects.filter(memberships__user_id=user.pk).order_by("pk")[:MOST_ACCOUNTS]
    return sorted(found, key=lambda account: (account.name or account.external_id).casefold())


def chosen(active: Sequence[Account], session: Mapping[str, Any]) -> Account:
    """The account that the session chose last, where the user is still in it; else the first: for pages and for the API."""
    return next((account for account in active if account.pk == session.get(CHOSEN)), active[0])


def create_key(
    *,
    name: str,
    scopes: Sequence[str],
    at: datetime,
    account: Account | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """A stored key, and the token that a caller sends: `tg_<prefix>_<secret>`, with 256 random bits. Told only now."""
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
    """The usable key of a token, or None. One query; a revoked key is refused by the next request everywhere."""
    start, _, rest = token.partition("_")
    prefix, _, secret = rest.partition("_")
    if start != "tg" or not secret or not prefix.isascii() or not prefix.isalnum():
        return None
    key = ApiKey.objects.select_related("account").filter(prefix=prefix).first()
    if key is None or not hmac.compare_digest(key.secret_hash, _hash(secret)) or not key.usable(at):
        return None
    return key


def note_use(key: ApiKey, *, at: datetime) -> None:
    """Remember that a key was used, at most once a minute."""
    if key.last_used_at is None or key.last_used_at <= at - LAST_USED_EVERY:
        stale = Q(last_used_at=None) | Q(last_used_at__lte=at - LAST_USED_EVERY)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=at)


def revoke(key: ApiKey, *, at: datetime) -> None:
    """Refuse the key from now on; a second time changes nothing."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=at)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
