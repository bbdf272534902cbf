"""Idempotency keys: a repeated key gets the stored answer, and the work does not run again.

Only successful answers are stored; a refused request may be sent again under the same key.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from billing.accounts import accounts
from billing.errors import Refused
from billing.models import Account, IdempotencyKey
from billing.plans import current_subscription
from lib import ids, retry

RETENTION = timedelta(days=400)  # longer than a yearly subscription
MAX_KEY_LENGTH = 256

Answer = dict[str, Any]


def run_once(account: Account, key: str | None, request: str, work: Callable[[], Answer], *, at: datetime) -> Answer:
    """Run `work` and store its answer under the key, or return the answer stored earlier; one transaction.

    `request` is the request in canonical form. Raises Refused where the key was used for a different request.
    """
    try:
        return _run_once(account, key, request, work, at)
    finally:
        current_subscription.invalidate(account)  # a rollback may have undone what is cached


@retry.atomic
def _run_once(account: Account, key: str | None, request: str, work: Callable[[], Answer], at: datetime) -> Answer:
    accounts.lock(account.pk)
    if key is None:
        return work()
    stored_key, digest = ids.lookup_key(key), ids.lookup_key(request)
    stored = IdempotencyKey.objects.filter(account=account, key=stored_key).first()
    if stored is None:
        answer = work()
        IdempotencyKey.objects.create(
            account=account, key=stored_key, digest=digest, answer=json.dumps(answer), created_at=at
        )
        return answer
    if stored.digest != digest:
        raise Refused(
            "idempotency_conflict", "This key was used for a different request. Use a new key.", "Idempotency-Key"
        )
    return dict(json.loads(stored.answer))


def prune(at: datetime) -> int:
    """Delete keys older than RETENTION. Returns how many."""
    return IdempotencyKey.objects.filter(created_at__lt=at - RETENTION).delete()[0]
