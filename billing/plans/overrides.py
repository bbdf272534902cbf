"""Changes of account limits. What an override said until a change is stored: statements need what was in force when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from billing.accounts import accounts
from billing.models import Account, EndedOverride, LimitOverride
from billing.plans import plans
from lib import retry

TERMS = ("meter_id", "per", "amount", "hard", "expires_on")  # what an override allows, and until when


@retry.atomic
def change(
    account: Account, *, saved: Sequence[LimitOverride] = (), deleted: Sequence[LimitOverride] = (), at: datetime
) -> None:
    """Store new and edited overrides of the account and delete others, all as of `at`; one transaction.

    An edit of the reason alone changes no terms.
    """
    accounts.lock(account.pk)
    stored = LimitOverride.objects.in_bulk([row.pk for row in (*saved, *deleted) if row.pk])
    for override in deleted:
        if override.pk in stored:
            _end(stored[override.pk], at)
    LimitOverride.objects.filter(pk__in=[override.pk for override in deleted]).delete()
    for override in saved:
        _save(override, stored.get(override.pk), at)
    plans.bump_config_version(account)


def _save(override: LimitOverride, stored: LimitOverride | None, at: datetime) -> None:
    if stored and all(getattr(stored, name) == getattr(override, name) for name in TERMS):
        override.save(update_fields=["reason"])
        return
    if stored:
        _end(stored, at)
    override.since = at
    override.save()


def _end(stored: LimitOverride, at: datetime) -> None:
    """Record what the stored override said until `at`."""
    terms = {name: getattr(stored, name) for name in (*TERMS, "since", "reason")}
    EndedOverride.objects.create(account_id=stored.account_id, until=at, **terms)
