"""Writing usage logs, each exactly once, and finding the ones that are stored. Called inside metering's transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import cache, lru_cache, reduce
from operator import attrgetter, or_
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import psycopg
from django.db import IntegrityError, connection, models, transaction
from django.db.models import QuerySet

from billing.charges import call_profile
from billing.charges.call_profile import CallProfile
from billing.models import ArchivedEvent, UsageLog
from billing.models.usage import ProviderDisplay
from lib import copy_binary, postgres, upsert
from lib.postgres import Array

Key = tuple[int, bytes]  # account, event_key

ACCOUNTS = 200  # accounts in one look-up
COPY_FROM = 50  # rows from which on COPY is quicker than an INSERT
PROBE = (
    8  # keys of a batch that are looked up first: an INSERT of repeats is dear, and a COPY that fails leaves dead rows
)


class NewLog(msgspec.Struct, gc=False, kw_only=True):
    """A log on its way into the table: its kind, and the columns that this does not tell. Ids are their 16 bytes.

    The account and the dates have defaults, as they are said inside the transaction.
    """

    kind: CallProfile
    id: bytes
    account_id: int = 0
    event_id: str
    event_key: bytes
    digest: bytes
    tokens_input: int
    tokens_output: int
    tokens_total: int
    tokens_cached: int
    tokens_cache_write: int
    units: dict[str, int | str]
    cost_input: int
    cost_output: int
    cost_other: int
    cost_total: int
    price_id: int | None
    cost_source: str
    response_time_ms: int
    status_code: int
    error_message: str
    retry_count: int
    request_bytes: int | None
    response_bytes: int | None
    user_agent: str
    ip_address: str
    timestamp: datetime
    received_at: datetime
    usage_day: date = date.min
    usage_period: date = date.min
    late_for: date | None = None
    metadata: dict[str, Any]
    is_billable: bool
    effective_nano: int
    is_priced: bool
    voided_at: datetime | None = None

    @property
    def failed(self) -> bool:
        return self.status_code >= 400

    @property
    def category(self) -> str:
        return self.kind.category

    @property
    def shown_provider(self) -> str:
        return self.kind.detection.actual_provider

    @property
    def shown_confidence(self) -> str:
        return self.kind.detection.confidence


class Known(ProviderDisplay, msgspec.Struct, gc=False):
    """What an answer to a repeat needs of the log that was there first. Ids are their 16 bytes."""

    id: bytes
    account_id: int
    event_key: bytes
    digest: bytes
    provider: str
    actual_provider_name: str | None
    confidence: str
    cost_total: int
    cost_source: str


StoredLog = NewLog | Known  # what stands under a key after an insert


def key_of(log: StoredLog) -> Key:
    return log.account_id, log.event_key


def stored(wanted: Iterable[Key], archives: Collection[int]) -> dict[Key, Known]:
    """The logs among `wanted` that are stored already; of accounts in `archives`, those too that are in a file by now.

    The log is asked first: what leaves it between the two questions is found by the second.
    """
    keys = list(wanted)
    found = _known(keys, LOGS)
    gone = [key for key in keys if key[0] in archives and key not in found]
    return {**found, **_known(gone, ARCHIVED)}


def _known(keys: Sequence[Key], among: _Among) -> dict[Key, Known]:
    if not keys:
        return {}
    many = connection.vendor == "postgresql" and len(keys) > 1
    logs = _known_by_pairs(keys, among) if many else _known_by_account(keys, among)
    return {key_of(log): log for log in logs}


def _known_by_account(wanted: Iterable[Key], among: _Among) -> Iterator[Known]:
    """One condition an account: two long lists side by side would be searched as their product."""
    by_account: dict[int, list[UUID]] = {}
    for account, key in set(wanted):
        by_account.setdefault(account, []).append(UUID(bytes=key))
    of_each = [models.Q(account_id=account, event_key__in=event_keys) for account, event_keys in by_account.items()]
    for start in range(0, len(of_each), ACCOUNTS):
        logs: QuerySet[Any] = QuerySet(among.model).filter(reduce(or_, of_each[start : start + ACCOUNTS]))
        for id_, account, key, digest, *others in logs.values_list(among.id, *Known.__struct_fields__[1:]):
            yield Known(id_.bytes, account, key.bytes, digest.bytes, *others)


def _known_by_pairs(wanted: Sequence[Key], among: _Among) -> list[Known]:
    """The same in binary and prepared, with ids as bytes: a third of the cost."""
    columns: list[Any] = [Array(column) for column in zip(*wanted, strict=True)]
    with postgres.hot_cursor(connection) as cursor:
        cursor.execute(among.pairs, columns)
        return [Known(*row) for row in cursor.fetchall()]


class _Among(NamedTuple):
    """Where events are known: the table, and its column with the log's id."""

    model: type[models.Model]
    id: str

    @property
    def pairs(self) -> str:
        return (
            f"SELECT uuid_send(log.{self.id}), log.account_id, uuid_send(log.event_key), uuid_send(log.digest),"  # noqa: S608
            " log.provider, log.actual_provider_name, log.confidence, log.cost_total, log.cost_source"
            " FROM unnest(%s::bigint[], %s::uuid[]) AS wanted (account, key)"
            f" JOIN {self.model._meta.db_table} log ON log.account_id = wanted.account AND log.event_key = wanted.key"
        )


LOGS, ARCHIVED = _Among(UsageLog, "id"), _Among(ArchivedEvent, "log")


def looks_repeated(keys: Sequence[Key], archives: Collection[int]) -> bool:
    """Whether some of a few keys of a large batch are stored, so that it pays to look all of them up before the work."""
    few = keys[:: max(len(keys) // PROBE, 1)]
    return len(keys) >= COPY_FROM and bool(stored(few, archives))


def insert(logs: Mapping[Key, NewLog], archives: Collection[int]) -> Mapping[Key, StoredLog]:
    """Insert what is new, and return what now stands under each key: the log itself, or the one that was there first.

    Sorted by key, so that writers of the same events wait for each other in one order. A key that comes back with nothing
    is a fault (MySQL's INSERT IGNORE hides refused values): raises LookupError, and the transaction must roll back.
    """
    standing = _inserted(logs, archives)
    if not archives:
        return standing
    inserted = [key for key, log in logs.items() if key[0] in archives and standing[key].id == log.id]
    return {**standing, **_taken_back(logs, inserted)}


def _taken_back(logs: Mapping[Key, NewLog], inserted: Sequence[Key]) -> dict[Key, Known]:
    """Those just inserted whose events are archived: they leave the log again.

    Asked after the insert, which waits for whoever is deleting the log of such an event: an answer of before could be old.
    """
    archived = _known(inserted, ARCHIVED)
    if archived:
        ids = [UUID(bytes=logs[key].id) for key in archived]
        delete(UsageLog.objects.filter(account_id__in={account for account, _ in archived}, id__in=ids))
    return archived


def delete(logs: QuerySet[UsageLog]) -> None:
    """These logs, and nothing else: Django's own way would look for their adjustments first, and these stay."""
    logs._raw_delete(logs.db)  # noqa: SLF001 - as its name says


def _inserted(logs: Mapping[Key, NewLog], archives: Collection[int]) -> Mapping[Key, StoredLog]:
    if _all_inserted([logs[key] for key in sorted(logs)]):
        return logs
    found = stored(logs, archives)
    missing = [log.event_id for key, log in logs.items() if key not in found]
    if missing:
        raise LookupError(f"{len(missing)} events were neither stored nor known, the first being {missing[0]!r}")
    return {key: log if found[key].id == log.id else found[key] for key, log in logs.items()}


def _all_inserted(logs: Sequence[NewLog]) -> bool:
    """Insert what is new; whether all were."""
    if connection.vendor == "postgresql" and len(logs) >= COPY_FROM and _copy(logs):
        return True
    return not logs or _insert(logs) == len(logs)


def _insert(logs: Sequence[NewLog]) -> int:
    """Insert what is new, on every database; how many that were."""
    rows = [_adapted((*log.kind.row, *_own_of(log))) for log in logs]
    return upsert.insert_new(connection, UsageLog._meta.db_table, COLUMNS, rows)


def _adapted(row: tuple[Any, ...]) -> list[Any]:
    """The values as the database's driver takes them."""
    return [adapt(value) if adapt else value for adapt, value in zip(_adapters(connection.vendor), row, strict=True)]


@cache
def _adapters(vendor: str) -> list[Callable[[Any], Any] | None]:
    return [_adapter(FIELDS[column], vendor) for column in COLUMNS]


def _adapter(field: models.Field[Any, Any], vendor: str) -> Callable[[Any], Any] | None:
    if isinstance(field, models.JSONField):
        return lambda value: json.dumps(value, ensure_ascii=False)
    if isinstance(field, models.UUIDField):
        native = connection.features.has_native_uuid_field
        if vendor == "postgresql":
            return lambda value: UUID(bytes=value)
        return (lambda value: str(UUID(bytes=value))) if native else bytes.hex
    return None


def _copy(logs: Sequence[NewLog]) -> bool:
    """Insert all of them by COPY, or none where one is stored already."""
    packed = copy_binary.rows(map(_packed, logs))
    try:
        with transaction.atomic(), postgres.cursor(connection) as cursor, cursor.copy(_copy_statement()) as copy:
            copy.write(packed)
    except IntegrityError:
        return False
    return True


@cache
def _copy_statement() -> psycopg.sql.SQL:
    columns = ", ".join(f'"{column}"' for column in (*FIXED, *VARYING, *REPEATING, *call_profile.COLUMNS))
    return psycopg.sql.SQL(f'COPY "{UsageLog._meta.db_table}" ({columns}) FROM STDIN (FORMAT BINARY)')


def _packed(log: NewLog) -> bytes:
    """A row: the columns of one length at once, then those that vary, and from memory those that seldom do."""
    fixed, varying = _pack_fixed(_fixed_of(log)), _each_packed(VARYING, _varying_of(log))
    return b"".join((fixed, *varying, _packed_again(_repeating_of(log)), _packed_kind(log.kind)))


@lru_cache(maxsize=4096)
def _packed_again(values: tuple[Any, ...]) -> bytes:
    return b"".join(_each_packed(REPEATING, values))


@lru_cache(maxsize=4096)
def _packed_kind(kind: CallProfile) -> bytes:
    return b"".join(_each_packed(call_profile.COLUMNS, kind.row))


def _each_packed(columns: tuple[str, ...], values: tuple[Any, ...]) -> list[bytes]:
    return [pack(value) for pack, value in zip(_packers(columns), values, strict=True)]


@cache
def _packers(columns: tuple[str, ...]) -> list[copy_binary.Pack]:
    return list(map(_packer, columns))


def _packer(column: str) -> copy_binary.Pack:
    field = FIELDS[column]
    pack = next(pack for kind, pack in PACKERS if isinstance(field, kind))
    return copy_binary.nullable(pack) if field.null else pack


# The code of copy_binary.Run for columns that always have a value of the same length.
CODES: tuple[tuple[type[models.Field[Any, Any]], str], ...] = (
    (models.UUIDField, "16s"),
    (models.BigIntegerField, "q"),
    (models.ForeignKey, "q"),
    (models.PositiveSmallIntegerField, "h"),
    (models.PositiveIntegerField, "i"),
    (models.BooleanField, "?"),
)
PACKERS: tuple[tuple[type[models.Field[Any, Any]], copy_binary.Pack], ...] = (
    (models.BigIntegerField, copy_binary.int8),
    (models.BooleanField, copy_binary.boolean),
    (models.JSONField, copy_binary.jsonb),
    (models.DateTimeField, copy_binary.moment),
    (models.DateField, copy_binary.day),
    (models.TextField, copy_binary.text),
    (models.CharField, copy_binary.text),
)
FIELDS: dict[str, models.Field[Any, Any]] = {field.attname: field for field in UsageLog._meta.concrete_fields}
OWN = NewLog.__struct_fields__[1:]  # all but its kind
COLUMNS = (*call_profile.COLUMNS, *OWN)
_CODES = {
    column: code
    for column in OWN
    for kind, code in CODES
    if isinstance(FIELDS[column], kind) and not FIELDS[column].null
}
FIXED = tuple(_CODES)
REPEATING = (
    *("price_id", "cost_source", "user_agent", "ip_address"),
    *("received_at", "usage_day", "usage_period", "late_for", "voided_at"),
)
VARYING = tuple(column for column in OWN if column not in (*FIXED, *REPEATING))
_pack_fixed = copy_binary.run(list(_CODES.values()), width=len(COLUMNS))
_own_of, _fixed_of = attrgetter(*OWN), attrgetter(*FIXED)
_varying_of, _repeating_of = attrgetter(*VARYING), attrgetter(*REPEATING)
