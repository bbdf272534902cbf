"""Inserts usage logs exactly once and finds stored ones. Runs inside the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import cache, lru_cache, reduce
from operator import attrgetter, or_
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

import msgspec
import psycopg
from django.db import IntegrityError, connection, models, transaction
from django.db.models import QuerySet

from billing.charges import call_profile
from billing.charges.call_profile import CallProfile
from billing.ledger import row_checksum
from billing.models import ArchivedEvent, UsageLog, UsageState
from billing.models.usage import ProviderDisplay
from lib import copy_binary, postgres, upsert
from lib.postgres import BinaryArray

Key = tuple[int, bytes]  # account, event_key

ACCOUNTS_PER_QUERY = 200  # in a lookup without arrays
MIN_COPY_ROWS = 50  # from this many rows on, COPY is faster than INSERT
PROBE_KEYS = 8  # sample size; inserting duplicates is expensive, and a failed COPY leaves dead rows


class NewLog(ProviderDisplay, msgspec.Struct, gc=False, kw_only=True):
    """A log to insert: its profile, and the columns that the profile does not have. Ids are 16 bytes.

    The account and the dates have defaults because they are set inside the transaction.
    """

    profile: CallProfile
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
    counts_at: datetime | None = None
    metadata: dict[str, Any]
    is_billable: bool
    effective_nano: int
    is_priced: bool
    voided_at: datetime | None = None
    usage_state: str = UsageState.COMPLETE.value
    unpriced_reason: str | None = None
    calls: int = 1
    reading: dict[str, Any] | None = None
    resolved: ClassVar[None] = None  # set by corrections only
    checksum: int | None = None

    @property
    def category(self) -> str:
        return self.profile.category

    @property
    def display_provider(self) -> str:
        return self.profile.detection.actual_provider

    @property
    def display_confidence(self) -> str:
        return self.profile.detection.confidence


class ExistingLog(ProviderDisplay, msgspec.Struct, gc=False):
    """The columns of a stored log that the response to a duplicate needs. Ids are 16 bytes."""

    id: bytes
    account_id: int
    event_key: bytes
    digest: bytes
    provider: str
    actual_provider_name: str | None
    confidence: str
    cost_total: int
    cost_source: str
    usage_state: str
    unpriced_reason: str | None


StoredLog = NewLog | ExistingLog  # the log stored under a key after an insert


def key_of(log: StoredLog) -> Key:
    return log.account_id, log.event_key


def find_stored(keys: Iterable[Key], archives: Collection[int]) -> dict[Key, ExistingLog]:
    """The stored logs with these keys, including archived ones of the accounts in `archives`.

    Searches the logs first, so that a log archived between the two queries is found by the second.
    """
    keys = list(keys)
    logs = _find_logs(keys, USAGE_LOGS)
    missing = [key for key in keys if key[0] in archives and key not in logs]
    return {**logs, **_find_logs(missing, ARCHIVED_EVENTS)}


def _find_logs(keys: Sequence[Key], table: _LogTable) -> dict[Key, ExistingLog]:
    if not keys:
        return {}
    use_arrays = connection.vendor == "postgresql" and len(keys) > 1
    logs = _find_by_pairs(keys, table) if use_arrays else _find_by_account(keys, table)
    return {key_of(log): log for log in logs}


def _find_by_account(keys: Iterable[Key], table: _LogTable) -> Iterator[ExistingLog]:
    """One condition per account: with two long IN lists, the database would search their product."""
    by_account: dict[int, list[UUID]] = {}
    for account, key in set(keys):
        by_account.setdefault(account, []).append(UUID(bytes=key))
    conditions = [models.Q(account_id=account, event_key__in=event_keys) for account, event_keys in by_account.items()]
    for start in range(0, len(conditions), ACCOUNTS_PER_QUERY):
        logs: QuerySet[Any] = QuerySet(table.model).filter(reduce(or_, conditions[start : start + ACCOUNTS_PER_QUERY]))
        for id_, account, key, digest, *others in logs.values_list(table.id, *ExistingLog.__struct_fields__[1:]):
            yield ExistingLog(id_.bytes, account, key.bytes, digest.bytes, *others)


def _find_by_pairs(keys: Sequence[Key], table: _LogTable) -> list[ExistingLog]:
    """The same with binary arrays and a prepared statement: a third of the cost (PostgreSQL)."""
    columns: list[Any] = [BinaryArray(column) for column in zip(*keys, strict=True)]
    with postgres.prepared_cursor(connection) as cursor:
        cursor.execute(table.pairs_sql, columns)
        return [ExistingLog(*row) for row in cursor.fetchall()]


class _LogTable(NamedTuple):
    """A table that stores events, and its column with the log's id."""

    model: type[models.Model]
    id: str

    @property
    def pairs_sql(self) -> str:
        return (
            f"SELECT uuid_send(log.{self.id}), log.account_id, uuid_send(log.event_key), uuid_send(log.digest),"  # noqa: S608
            " log.provider, log.actual_provider_name, log.confidence, log.cost_total, log.cost_source,"
            " log.usage_state, log.unpriced_reason"
            " FROM unnest(%s::bigint[], %s::uuid[]) AS request (account, key)"
            f" JOIN {self.model._meta.db_table} log ON log.account_id = request.account AND log.event_key = request.key"
        )


USAGE_LOGS, ARCHIVED_EVENTS = _LogTable(UsageLog, "id"), _LogTable(ArchivedEvent, "log")


def sample_is_stored(keys: Sequence[Key], archives: Collection[int]) -> bool:
    """Whether a sample of a large batch is stored already; then looking up the whole batch first saves work."""
    sample = keys[:: max(len(keys) // PROBE_KEYS, 1)]
    return len(keys) >= MIN_COPY_ROWS and bool(find_stored(sample, archives))


def insert(logs: Mapping[Key, NewLog], archives: Collection[int]) -> Mapping[Key, StoredLog]:
    """Insert the new logs; return for each key the inserted log, or the one that was stored before.

    Inserts in key order, so that concurrent writers of the same events can't deadlock. Raises LookupError if a key is neither
    inserted nor found (MySQL's INSERT IGNORE hides rejected values); the transaction must then roll back.
    """
    results = _insert_or_find(logs, archives)
    if not archives:
        return results
    inserted = [key for key, log in logs.items() if key[0] in archives and results[key].id == log.id]
    return {**results, **_remove_archived(logs, inserted)}


def _remove_archived(logs: Mapping[Key, NewLog], inserted: Sequence[Key]) -> dict[Key, ExistingLog]:
    """Delete inserted logs whose events are archived; return the archived ones.

    Runs after the insert, which waits for a concurrent archive job: an earlier lookup could be outdated.
    """
    archived = _find_logs(inserted, ARCHIVED_EVENTS)
    if archived:
        ids = [UUID(bytes=logs[key].id) for key in archived]
        delete(UsageLog.objects.filter(account_id__in={account for account, _ in archived}, id__in=ids))
    return archived


def delete(logs: QuerySet[UsageLog]) -> None:
    """Delete the logs without Django's collector, which would query their adjustments; adjustments are kept."""
    logs._raw_delete(logs.db)  # noqa: SLF001 - Django has no public equivalent


def _insert_or_find(logs: Mapping[Key, NewLog], archives: Collection[int]) -> Mapping[Key, StoredLog]:
    if _insert_all([logs[key] for key in sorted(logs)]):
        return logs
    stored = find_stored(logs, archives)
    missing = [log.event_id for key, log in logs.items() if key not in stored]
    if missing:
        raise LookupError(f"{len(missing)} events were neither inserted nor found, the first one is {missing[0]!r}")
    return {key: log if stored[key].id == log.id else stored[key] for key, log in logs.items()}


def _insert_all(logs: Sequence[NewLog]) -> bool:
    """Insert the new logs with their checksums; return whether all were new."""
    for log in logs:
        log.checksum = row_checksum.compute(_profile_hash(log.profile), _hashed_values(log))
    if connection.vendor == "postgresql" and len(logs) >= MIN_COPY_ROWS and _copy(logs):
        return True
    return not logs or _insert(logs) == len(logs)


def _insert(logs: Sequence[NewLog]) -> int:
    """Insert the new logs on any database; return their number."""
    rows = [_adapt_row((*log.profile.row, *_own_values(log))) for log in logs]
    return upsert.insert_missing(connection, UsageLog._meta.db_table, COLUMNS, rows)


def _adapt_row(row: tuple[Any, ...]) -> list[Any]:
    """Convert the values for the database's driver."""
    return [adapt(value) if adapt else value for adapt, value in zip(_adapters(connection.vendor), row, strict=True)]


@cache
def _adapters(vendor: str) -> list[Callable[[Any], Any] | None]:
    return [_adapter(FIELDS[column], vendor) for column in COLUMNS]


_encode_json = json.JSONEncoder(ensure_ascii=False).encode  # created once: `json.dumps` would create one for each value


def _adapter(field: models.Field[Any, Any], vendor: str) -> Callable[[Any], Any] | None:
    if isinstance(field, models.JSONField):
        return lambda value: None if value is None else _encode_json(value)
    if isinstance(field, models.UUIDField):
        native = connection.features.has_native_uuid_field
        if vendor == "postgresql":
            return lambda value: UUID(bytes=value)
        return (lambda value: str(UUID(bytes=value))) if native else bytes.hex
    return None


def _copy(logs: Sequence[NewLog]) -> bool:
    """Insert all logs by COPY, or none if one of them is stored already; return whether they were inserted."""
    packed = copy_binary.copy_stream(map(_pack_row, logs))
    try:
        with transaction.atomic(), postgres.native_cursor(connection) as cursor, cursor.copy(_copy_statement()) as copy:
            copy.write(packed)
    except IntegrityError:
        return False
    return True


@cache
def _copy_statement() -> psycopg.sql.SQL:
    columns = ", ".join(
        f'"{column}"' for column in (*FIXED_COLUMNS, *VARYING_COLUMNS, *REPEATING_COLUMNS, *call_profile.COLUMNS)
    )
    return psycopg.sql.SQL(f'COPY "{UsageLog._meta.db_table}" ({columns}) FROM STDIN (FORMAT BINARY)')


def _pack_row(log: NewLog) -> bytes:
    """Pack a row: fixed-width columns at once, varying columns one by one, repeating and profile columns from a cache."""
    fixed, varying = _pack_fixed(_fixed_values(log)), _pack_values(VARYING_COLUMNS, _varying_values(log))
    return b"".join((fixed, *varying, _pack_repeating(_repeating_values(log)), _pack_profile(log.profile)))


@lru_cache(maxsize=4096)
def _pack_repeating(values: tuple[Any, ...]) -> bytes:
    return b"".join(_pack_values(REPEATING_COLUMNS, values))


@lru_cache(maxsize=4096)
def _pack_profile(profile: CallProfile) -> bytes:
    return b"".join(_pack_values(call_profile.COLUMNS, profile.row))


@lru_cache(maxsize=4096)
def _profile_hash(profile: CallProfile) -> bytes:
    return row_checksum.hash_profile(profile.row)


def _pack_values(columns: tuple[str, ...], values: tuple[Any, ...]) -> list[bytes]:
    return [pack(value) for pack, value in zip(_packers(columns), values, strict=True)]


@cache
def _packers(columns: tuple[str, ...]) -> list[copy_binary.Packer]:
    return list(map(_packer, columns))


def _packer(column: str) -> copy_binary.Packer:
    field = FIELDS[column]
    pack = next(pack for field_type, pack in PACKERS if isinstance(field, field_type))
    return copy_binary.nullable(pack) if field.null else pack


# `struct` codes of the columns that are never null and have a fixed width.
STRUCT_CODES: tuple[tuple[type[models.Field[Any, Any]], str], ...] = (
    (models.UUIDField, "16s"),
    (models.BigIntegerField, "q"),
    (models.ForeignKey, "q"),
    (models.PositiveSmallIntegerField, "h"),
    (models.PositiveIntegerField, "i"),
    (models.BooleanField, "?"),
)
PACKERS: tuple[tuple[type[models.Field[Any, Any]], copy_binary.Packer], ...] = (
    (models.BigIntegerField, copy_binary.int8),
    (models.BooleanField, copy_binary.boolean),
    (models.JSONField, copy_binary.jsonb),
    (models.DateTimeField, copy_binary.timestamptz),
    (models.DateField, copy_binary.day),
    (models.TextField, copy_binary.text),
    (models.CharField, copy_binary.text),
)
FIELDS: dict[str, models.Field[Any, Any]] = {field.attname: field for field in UsageLog._meta.concrete_fields}
OWN_COLUMNS = NewLog.__struct_fields__[1:]  # all but the profile
COLUMNS = (*call_profile.COLUMNS, *OWN_COLUMNS)
_FIXED_CODES = {
    column: code
    for column in OWN_COLUMNS
    for field_type, code in STRUCT_CODES
    if isinstance(FIELDS[column], field_type) and not FIELDS[column].null
}
FIXED_COLUMNS = tuple(_FIXED_CODES)
REPEATING_COLUMNS = (
    *("price_id", "cost_source", "usage_state", "unpriced_reason", "user_agent", "ip_address"),
    *("received_at", "usage_day", "usage_period", "late_for", "counts_at", "voided_at"),
)
VARYING_COLUMNS = tuple(column for column in OWN_COLUMNS if column not in (*FIXED_COLUMNS, *REPEATING_COLUMNS))
_pack_fixed = copy_binary.fixed_width_packer(list(_FIXED_CODES.values()), width=len(COLUMNS))
_own_values, _fixed_values = attrgetter(*OWN_COLUMNS), attrgetter(*FIXED_COLUMNS)
_hashed_values = attrgetter(*row_checksum.OWN_COLUMNS)
_varying_values, _repeating_values = attrgetter(*VARYING_COLUMNS), attrgetter(*REPEATING_COLUMNS)
