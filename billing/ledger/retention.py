"""How long the usage log keeps client addresses and user agents, and how long the minutes of providers are kept.

Run by the job `erase_addresses`. The log itself stays: what a call was and cost is kept for ever, and so is the digest by which
a repeat is known.
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
from lib.retention import BATCH, OF_MINUTES, Rule

PERSONAL = ~Q(ip_address="") | ~Q(user_agent="")
FIRST = UUID(int=0)


def prune(at: datetime) -> str:
    return f"{retention.told(retention.run(RULES, at))} erased"


def _addresses(before: datetime) -> int:
    return _older(before).filter(PERSONAL).count()


def _erase_addresses(before: datetime) -> int | None:
    return retry.on_deadlock(partial(_erased, before))


@transaction.atomic
def _erased(before: datetime) -> int | None:
    """One batch of logs in the order of their receipt, and up to which one that is: those before are never read again."""
    log_ids = list(_older(before).order_by("id").values_list("id", flat=True)[:BATCH])
    if not log_ids:
        return None
    batch = UsageLog.objects.filter(id__gte=log_ids[0], id__lte=log_ids[-1])
    erased: int = batch.filter(PERSONAL).update(ip_address="", user_agent="")
    ErasureCursor.objects.get_or_create(what=ErasureCursor.ADDRESSES, defaults={"log": FIRST})
    ErasureCursor.objects.filter(what=ErasureCursor.ADDRESSES, log__lt=log_ids[-1]).update(log=log_ids[-1])
    return erased


def _older(before: datetime) -> QuerySet[UsageLog]:
    """Logs that were received before, and not looked at yet. Ids rise with the time of receipt."""
    mark = ErasureCursor.objects.filter(what=ErasureCursor.ADDRESSES).first()
    return UsageLog.objects.filter(id__gt=mark.log if mark else FIRST, id__lt=ids.least_of(before)).order_by()


def _minutes() -> int:
    return int(settings.KEEP_MINUTES_DAYS)


RULES = (
    Rule("logs with an address or user agent", lambda: int(settings.KEEP_ADDRESSES_DAYS), _addresses, _erase_addresses),
    retention.of_spans("minutes of providers", _minutes, ProviderMinute.objects, by="minute", span=OF_MINUTES),
)
