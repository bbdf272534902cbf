"""Gathers the unread fields of stored calls: which there are, how many calls have them, and of which accounts.

Logs are read once, in order of receipt, when every transaction that may still add one before them has ended. The calls since
then are counted anew by each run, so that a new field is listed within minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from uuid import UUID

from django.db.models import F, Q, QuerySet

from billing.charges import unread_decisions
from billing.events import unread_fields
from billing.models import ErasureCursor, UnreadField, UnreadFieldUse, UsageLog, UsageState
from lib import ids, keyset, retry

PAGE_SIZE = 5_000  # logs per transaction
SETTLED_AFTER = timedelta(hours=1)  # longer than a transaction lasts, see lib/retry.py
MAX_FIELDS = 2_000  # in the table: the names come from what callers send
ZERO_ID, LAST_ID = UUID(int=0), UUID(int=2**128 - 1)
CURSOR = ErasureCursor.UNREAD_FIELDS
FieldKey = tuple[str, str]  # reader, path without positions


@dataclass
class _Sighting:
    """Calls with one unread field; `spans` are the times of the first and the last of each account's.

    `is_decided`: some of them have no field that is still open.
    """

    calls: int = 0
    last_at: datetime | None = None
    value: str = ""
    model: str = ""
    is_decided: bool = False
    spans: dict[int, tuple[datetime, datetime]] = field(default_factory=dict)

    def add(self, log: UsageLog, value: int | str | None) -> None:
        self.calls += 1
        if self.last_at is None or log.timestamp >= self.last_at:
            self.last_at, self.model = log.timestamp, log.model_used
            self.value = self.value if value is None else str(value)
        first, last = self.spans.get(log.account_id, (log.timestamp, log.timestamp))
        self.spans[log.account_id] = min(first, log.timestamp), max(last, log.timestamp)


Sightings = dict[FieldKey, _Sighting]


def gather(at: datetime) -> tuple[int, list[UnreadField]]:
    """Gather the fields of all logs received before `at`.

    Returns the number of fields in those that were not read before, and the decided ones among their calls that should have
    been complete: they were recorded when the decision was not known yet.
    """
    seen: dict[FieldKey, bool] = {}
    while (sightings := _gather_page(ids.min_id_at(at - SETTLED_AFTER))) is not None:
        seen |= {key: sighting.is_decided or seen.get(key, False) for key, sighting in sightings.items()}
    decided = UnreadField.objects.filter(
        key__in=[unread_fields.key_of(*key) for key, is_decided in seen.items() if is_decided]
    )
    return len(seen.keys() | _count_recent().keys()), list(decided.order_by("pk"))


@retry.atomic
def _gather_page(before: UUID) -> Sightings | None:
    """Read one page of logs and advance the cursor; None where no log is left."""
    log_ids = list(_unread_logs(before).order_by("id").values_list("id", flat=True)[:PAGE_SIZE])
    if not log_ids:
        return None
    sightings = _sightings(UsageLog.objects.filter(id__gte=log_ids[0], id__lte=log_ids[-1]))
    for known, sighting in _store(sightings):
        known.update(calls=F("calls") + sighting.calls)
    ErasureCursor.objects.get_or_create(what=CURSOR, defaults={"log": ZERO_ID})
    ErasureCursor.objects.filter(what=CURSOR, log__lt=log_ids[-1]).update(log=log_ids[-1])
    return sightings


@retry.atomic
def _count_recent() -> Sightings:
    sightings = _sightings(_unread_logs(LAST_ID))
    UnreadField.objects.filter(recent_calls__gt=0).update(recent_calls=0)
    for known, sighting in _store(sightings):
        known.update(recent_calls=sighting.calls)
    return sightings


def _unread_logs(before: UUID) -> QuerySet[UsageLog]:
    cursor = ErasureCursor.objects.filter(what=CURSOR).first()
    return UsageLog.objects.filter(id__gt=cursor.log if cursor else ZERO_ID, id__lt=before)


def _sightings(logs: QuerySet[UsageLog]) -> Sightings:
    sightings: Sightings = {}
    columns = ("account_id", "timestamp", "model_used", "reading")
    decisions = unread_decisions.current().decisions
    incomplete = logs.exclude(usage_state=UsageState.COMPLETE).only(*columns)
    for log in chain.from_iterable(keyset.iter_pages(incomplete, size=PAGE_SIZE)):
        reading = log.reading or {}
        reader, unread, values = reading.get("reader", ""), reading.get("unread", ()), reading.get("unread_values", {})
        is_decided = not unread_fields.decide(reader, unread, values, decisions).unread
        examples = {unread_fields.field_of(path): value for path, value in values.items()}
        for path in {unread_fields.field_of(path) for path in unread}:
            sighting = sightings.setdefault((reader, path), _Sighting())
            sighting.add(log, examples.get(path))
            sighting.is_decided |= is_decided
    return sightings


def _store(sightings: Sightings) -> Iterator[tuple[QuerySet[UnreadField], _Sighting]]:
    """Add the fields, and the accounts that have them. Yields the row of each field, but for those beyond MAX_FIELDS."""
    keys = {key: unread_fields.key_of(*key) for key in sorted(sightings)}
    known = set(UnreadField.objects.filter(key__in=keys.values()).values_list("key", flat=True))
    room = max(MAX_FIELDS - UnreadField.objects.count(), 0)
    new = [UnreadField(key=id_, reader=key[0], path=key[1]) for key, id_ in keys.items() if id_ not in known][:room]
    UnreadField.objects.bulk_create(new, ignore_conflicts=True)
    pks = dict(UnreadField.objects.filter(key__in=keys.values()).values_list("key", "pk"))
    for key, id_ in keys.items():
        if id_ in pks:
            row, sighting = UnreadField.objects.filter(pk=pks[id_]), sightings[key]
            latest = {"last_at": sighting.last_at, "example_model": sighting.model, "example_value": sighting.value}
            row.filter(Q(last_at=None) | Q(last_at__lte=sighting.last_at)).update(**latest)
            _store_spans(pks[id_], sighting)
            yield row, sighting


def _store_spans(field_id: int, sighting: _Sighting) -> None:
    uses = [
        UnreadFieldUse(account_id=account, field_id=field_id, first_at=first, last_at=last)
        for account, (first, last) in sorted(sighting.spans.items())
    ]
    UnreadFieldUse.objects.bulk_create(uses, ignore_conflicts=True, batch_size=500)
    for use in uses:
        stored = UnreadFieldUse.objects.filter(account_id=use.account_id, field_id=field_id)
        stored.filter(first_at__gt=use.first_at).update(first_at=use.first_at)
        stored.filter(last_at__lt=use.last_at).update(last_at=use.last_at)
