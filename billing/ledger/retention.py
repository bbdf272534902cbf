"""Retention: erases client addresses and user agents of old logs, and deletes old provider minutes.

The logs themselves and their digests are kept forever, so that costs and duplicates stay known.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from billing.models import ErasureCursor, ProviderMinute, UsageLog
from lib import ids, retention, retry
from lib.retention import BATCH_ROWS, MINUTES_PER_BATCH, RetentionRule

PERSONAL = ~Q(ip_address="") | ~Q(user_agent="")
ZERO_ID = UUID(int=0)


def prune(at: datetime) -> str:
    return f"{retention.describe(retention.delete_due(RULES, at))} erased"


def _count_addresses(before: datetime) -> int:
    return _unprocessed_logs(before).filter(PERSONAL).count()


def _erase_addresses(before: datetime) -> int | None:
    return retry.on_deadlock(partial(_erase_batch, before))


@transaction.atomic
def _erase_batch(before: datetime) -> int | None:
    """Erase one batch in order of receipt and advance the cursor; earlier logs are never read again."""
    log_ids = list(_unprocessed_logs(before).order_by("id").values_list("id", flat=True)[:BATCH_ROWS])
    if not log_ids:
        return None
    batch = UsageLog.objects.filter(id__gte=log_ids[0], id__lte=log_ids[-1])
    erased: int = batch.filter(PERSONAL).update(ip_address="", user_agent="")
    ErasureCursor.objects.get_or_create(what=ErasureCursor.ADDRESSES, defaults={"log": ZERO_ID})
    ErasureCursor.objects.filter(what=ErasureCursor.ADDRESSES, log__lt=log_ids[-1]).update(log=log_ids[-1])
    return erased


def _unprocessed_logs(before: datetime) -> QuerySet[UsageLog]:
    """Logs received before `before` and after the cursor. Ids increase with the time of receipt."""
    cursor = ErasureCursor.objects.filter(what=ErasureCursor.ADDRESSES).first()
    return UsageLog.objects.filter(id__gt=cursor.log if cursor else ZERO_ID, id__lt=ids.min_id_at(before)).order_by()


def _keep_minutes_days() -> int:
    return int(settings.KEEP_MINUTES_DAYS)


RULES = (
    RetentionRule(
        "logs with an address or user agent",
        lambda: int(settings.KEEP_ADDRESSES_DAYS),
        _count_addresses,
        _erase_addresses,
    ),
    retention.time_bucket_rule(
        "minutes of providers", _keep_minutes_days, ProviderMinute.objects, column="minute", span=MINUTES_PER_BATCH
    ),
)
