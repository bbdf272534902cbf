"""Requests that must not run twice: a key that an account has used before is answered as it was, and nothing is done.

Called by the API where a header `Idempotency-Key` is sent. Only answers are remembered, no refusals.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from billing.accounts import accounts
from billing.errors import Refused
from billing.models import Account, IdempotencyKey
from billing.plans import current_subscription
from lib import ids, retry

KEPT = timedelta(days=400)  # longer than any client repeats a request for a year's subscription
MOST = 256  # characters of a key


Answer = dict[str, Any]


def once(account: Account, key: str | None, asked: str, work: Callable[[], Answer], *, at: datetime) -> Answer:
    """What `work` answers, or what it answered when the account sent this key first; all in one transaction.

    `asked` is the request in canonical form. Raises Refused where the key came with another one.
    """
    try:
        return retry.on_deadlock(lambda: _once(account, key, asked, work, at))
    finally:
        current_subscription.forget(account)  # what was read before a rollback never was


@transaction.atomic
def _once(account: Account, key: str | None, asked: str, work: Callable[[], Answer], at: datetime) -> Answer:
    accounts.lock(account.pk)
    if key is None:
        return work()
    stored_key, digest = ids.key_of(key), ids.key_of(asked)
    first = IdempotencyKey.objects.filter(account=account, key=stored_key).first()
    if first is None:
        answer = work()
        IdempotencyKey.objects.create(
            account=account, key=stored_key, digest=digest, answer=json.dumps(answer), created_at=at
        )
        return answer
    if first.digest != digest:
        raise Refused("idempotency_conflict", "This key was sent with another request.", "Idempotency-Key")
    return dict(json.loads(first.answer))


def prune(at: datetime) -> int:
    """Forget the keys that are older than anyone repeats; how many."""
    return IdempotencyKey.objects.filter(created_at__lt=at - KEPT).delete()[0]
