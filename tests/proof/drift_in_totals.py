"""Kinds of drift in rollups and archives."""

from __future__ import annotations

from datetime import date
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import F

from billing.models import (
    Account,
    Archive,
    ArchivedEvent,
    ArchivedUsage,
    PlatformDay,
    ProviderMinute,
    UsageDay,
    UsageLog,
    UsageModel,
)
from lib import ids
from tests.proof.drifts import Drift, Key, account_id, changing

OTHER_ID = UUID("01900000-0000-7000-8000-000000000001")


def _paris_day(**values: Any) -> Key:
    assert UsageDay.objects.filter(account_id=account_id("paris"), day=date(2026, 10, 20)).update(**values)
    return account_id("paris"), date(2026, 10, 20)


def _delete_days() -> Key:
    UsageDay.objects.filter(account_id=account_id("tokyo")).delete()
    return (account_id("tokyo"),)


def _invent_day() -> Key:
    key = (account_id("old"), date(2026, 10, 3), "openai", "openai", "text")
    names = ("account_id", "day", "declared", "actual", "category")
    UsageDay.objects.create(**dict(zip(names, key, strict=True)), calls=1)
    return key


def _change_model() -> Key:
    UsageModel.objects.filter(account_id=account_id("paris"), period=date(2026, 10, 15)).update(
        cost_nano=F("cost_nano") - 1
    )
    return account_id("paris"), date(2026, 10, 15)


def _change_estimated_calls() -> Key:
    key = (account_id("paris"), date(2026, 10, 15), "openai", "drift-1")
    assert UsageModel.objects.filter(pk=key).update(estimated_calls=0)
    return key


def _change_platform_day() -> Key:
    PlatformDay.objects.filter(day=date(2026, 12, 20)).update(tokens_total=F("tokens_total") + 1)
    return (date(2026, 12, 20),)


def _change_minute() -> Key:
    minute = ProviderMinute.objects.order_by("minute").first()
    assert minute
    ProviderMinute.objects.filter(pk=minute.pk).update(errors=F("calls") + 1)
    return (minute.minute,)


ROLLUP_DRIFTS = (
    Drift("cost of a day", "usage_days", partial(_paris_day, cost_nano=F("cost_nano") + 1)),
    Drift("calls of a day", "usage_days", partial(_paris_day, calls=F("calls") - 9)),
    Drift("estimated calls of a day", "usage_days", partial(_paris_day, estimated_calls=F("estimated_calls") + 1)),
    Drift("estimated calls of a model", "usage_models", _change_estimated_calls),
    Drift("fallback calls of a day", "usage_days", partial(_paris_day, fallback_calls=F("fallback_calls") + 1)),
    Drift("deleted days", "usage_days", _delete_days),
    Drift("invented day", "usage_days", _invent_day),
    Drift("cost of a model", "usage_models", _change_model),
    Drift("tokens of a day of the platform", "platform_days", _change_platform_day),
    Drift("errors of a minute", "provider_minutes", _change_minute),
)


def _archive_key() -> Key:
    return account_id("old"), date(2026, 7, 1)


def _delete_archived_event() -> Key:
    assert ArchivedEvent.objects.first().delete()  # type: ignore[union-attr]  # there are four
    return _archive_key()


def _change_archived_usage() -> Key:
    ArchivedUsage.objects.filter(account_id=account_id("old")).update(cost_nano=F("cost_nano") + 1)
    return (account_id("old"), date(2026, 7, 10))


def _delete_archive() -> Key:
    Archive.objects.all().delete()
    return _archive_key()


def _change_file(text: bytes) -> Key:
    path = next(Path(settings.ARCHIVE_DIR).rglob("*.csv.gz"))
    path.write_bytes(path.read_bytes()[: -len(text)] + text)
    return _archive_key()


def _return_archived_log() -> Key:
    """A log that was archived, and is in the database again."""
    log = UsageLog.objects.get(event_id="august")
    log.pk, log.event_key, log.usage_period = ids.new_id(), OTHER_ID, date(2026, 7, 1)
    log.save(force_insert=True)
    return _archive_key()


ARCHIVE_DRIFTS = (
    Drift("deleted archived event", "archives", _delete_archived_event),
    Drift("archived total", "usage_days", _change_archived_usage),
    Drift("deleted archive", "archived_events", _delete_archive),
    Drift("deleted logs of an archive", "archives", changing(Archive, {}, deleted=3)),
    Drift("logs of an archive", "archives", changing(Archive, {}, logs=5)),
    Drift("checksum of a file", "archives", changing(Archive, {}, sha256="0" * 64)),
    Drift("byte of a file", "archives", partial(_change_file, b"drift")),
    Drift("archived log in the database", "archives", _return_archived_log),
    Drift("account without its archive", "accounts", changing(Account, {"external_id": "old"}, has_archive=False)),
)

DRIFTS = (*ROLLUP_DRIFTS, *ARCHIVE_DRIFTS)
