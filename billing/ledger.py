"""Writing usage logs, each exactly once, and finding the ones that are stored. Called inside metering's transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from functools import cache, reduce
from operator import attrgetter, or_
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from django.db import IntegrityError, connection, models, transaction

from billing.models import UsageLog
from billing.models.usage import Shown
from lib import copy_binary, upsert

Key = tuple[int, UUID]  # account, event_key

ACCOUNTS = 200  # accounts in one look-up
COPY_FROM = 50  # rows from which on COPY is quicker than an INSERT
PROBE = (
    8  # keys of a batch that are looked up first: an INSERT of repeats is dear, and a COPY that fails leaves dead rows
)


class NewLog(Shown, msgspec.Struct, gc=False, kw_only=True):
    """A log on its way into the table: the columns of UsageLog in their order, without the cost of a model instance.

    What has a default is said later: the value by rating, the account and the dates inside the transaction.
    """

    id: UUID
    account_id: int = 0
    event_id: str
    event_key: UUID
    digest: UUID
    provider: str
    category: str
    model_used: str
    endpoint: str
    method: str
    variant: dict[str, str]
    tokens_input: int
    tokens_output: int
    tokens_total: int = 0
    tokens_cached: int
    tokens_cache_write: int
    units: dict[str, int | str]
    cached_included: bool
    cost_input: int = 0
    cost_output: int = 0
    cost_other: int = 0
    cost_total: int = 0
    price_id: int | None = None
    cost_source: str = ""
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
    is_billable: bool = True
    effective_nano: int = 0
    is_priced: bool = True
    voided_at: datetime | None = None
    actual_provider_name: str = ""
    confidence: str = ""
    detection_rule: str = ""
    evidence: str = ""
    served_by: str


class Known(Shown, msgspec.Struct, gc=False):
    """What an answer to a repeat needs of the log that was there first."""

    id: UUID
    account_id: int
    event_key: UUID
    digest: UUID
    provider: str
    actual_provider_name: str | None
    confidence: str
    cost_total: int
    cost_source: str


Standing = NewLog | Known  # what stands under a key after an insert


def key_of(log: Standing) -> Key:
    return log.account_id, log.event_key


def stored(wanted: Iterable[Key]) -> dict[Key, Known]:
    """The logs among `wanted` that are stored already."""
    by_account: dict[int, list[UUID]] = {}
    for account, key in set(wanted):
        by_account.setdefault(account, []).append(key)
    rows = _rows_by_pairs(by_account) if connection.vendor == "postgresql" else _rows_by_account(by_account)
    return {key_of(log): log for log in (Known(*row) for row in rows)}


def _rows_by_account(by_account: dict[int, list[UUID]]) -> Iterator[tuple[Any, ...]]:
    """One condition an account: two long lists side by side would be searched as their product."""
    of_each = [models.Q(account_id=account, event_key__in=event_keys) for account, event_keys in by_account.items()]
    for start in range(0, len(of_each), ACCOUNTS):
        each = of_each[start : start + ACCOUNTS]
        logs = UsageLog.objects.filter(reduce(or_, each))
        yield from logs.values_list(*Known.__struct_fields__)


def _rows_by_pairs(by_account: dict[int, list[UUID]]) -> list[tuple[Any, ...]]:
    pairs = [(account, key) for account, event_keys in by_account.items() for key in event_keys]
    if not pairs:
        return []
    columns = ", ".join(f'log."{column}"' for column in Known.__struct_fields__)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {columns} FROM unnest(%s::bigint[], %s::uuid[]) AS wanted (account, key) "  # noqa: S608 - names of ours
            f'JOIN "{UsageLog._meta.db_table}" log ON log.account_id = wanted.account AND log.event_key = wanted.key',
            [list(column) for column in zip(*pairs, strict=True)],
        )
        return list(cursor.fetchall())


def looks_repeated(keys: Sequence[Key]) -> bool:
    """Whether some of a few keys of a large batch are stored, so that it pays to look all of them up before the work."""
    few = keys[:: max(len(keys) // PROBE, 1)]
    return len(keys) >= COPY_FROM and bool(stored(few))


def insert(logs: Sequence[NewLog]) -> dict[Key, Standing]:
    """Insert what is new, and return what now stands under each key: the log itself, or the one that was there first.

    Sorted by key, so that writers of the same events wait for each other in one order. A key that comes back with nothing
    is a fault (MySQL's INSERT IGNORE hides refused values): raises LookupError, and the transaction must roll back.
    """
    ordered = sorted(logs, key=key_of)
    standing: dict[Key, Standing] = {key_of(log): log for log in ordered}
    if _all_inserted(ordered):
        return standing
    found = stored(standing)
    missing = [log.event_id for log in ordered if key_of(log) not in found]
    if missing:
        raise LookupError(f"{len(missing)} events were neither stored nor known, the first being {missing[0]!r}")
    return standing | found


def _all_inserted(logs: Sequence[NewLog]) -> bool:
    """Insert what is new; whether all were."""
    if connection.vendor == "postgresql" and len(logs) >= COPY_FROM and _copy(logs):
        return True
    return not logs or _insert(logs) == len(logs)


def _insert(logs: Sequence[NewLog]) -> int:
    """Insert what is new, on every database; how many that were."""
    adapted = (_adapted(msgspec.structs.astuple(log)) for log in logs)
    return upsert.insert_new(connection, UsageLog._meta.db_table, COLUMNS, list(adapted))


def _adapted(row: tuple[Any, ...]) -> list[Any]:
    """The values as the database's driver takes them."""
    return [adapt(value) if adapt else value for adapt, value in zip(_adapters(connection.vendor), row, strict=True)]


@cache
def _adapters(vendor: str) -> list[Callable[[Any], Any] | None]:
    return [_adapter(field, vendor) for field in FIELDS]


def _adapter(field: models.Field[Any, Any], vendor: str) -> Callable[[Any], Any] | None:
    if isinstance(field, models.JSONField):
        return lambda value: json.dumps(value, ensure_ascii=False)
    if isinstance(field, models.UUIDField) and vendor != "postgresql":
        native = connection.features.has_native_uuid_field
        return str if native else lambda value: value.hex
    return None


def _copy(logs: Sequence[NewLog]) -> bool:
    """Insert all of them by COPY, or none where one is stored already."""
    packed = copy_binary.rows(len(COLUMNS), map(_packed, logs))
    try:
        with transaction.atomic(), _psycopg_cursor() as cursor, cursor.copy(_copy_statement()) as copy:
            copy.write(packed)
    except (psycopg.errors.UniqueViolation, IntegrityError):
        return False
    return True


def _psycopg_cursor() -> psycopg.Cursor[Any]:
    """psycopg's own cursor on Django's connection: Django's binds parameters on the client, and knows no COPY."""
    connection.ensure_connection()
    return psycopg.Cursor(connection.connection)


@cache
def _copy_statement() -> psycopg.sql.SQL:
    columns = ", ".join(f'"{column}"' for column in (*INT8S, *(column for column, _ in OTHERS)))
    return psycopg.sql.SQL(f'COPY "{UsageLog._meta.db_table}" ({columns}) FROM STDIN (FORMAT BINARY)')


def _packed(log: NewLog) -> bytes:
    """A row's columns: the whole numbers at once, then each of the others by its own packer."""
    others = [pack(value) for pack, value in zip(_PACKERS, _others_of(log), strict=True)]
    return copy_binary.int8s(_int8s_of(log)) + b"".join(others)


def _packer(field: models.Field[Any, Any]) -> copy_binary.Pack:
    if field.attname in ("event_id", "error_message", "user_agent"):  # seldom the same twice
        return copy_binary.text
    pack = next(pack for kind, pack in PACKERS if isinstance(field, kind))
    return copy_binary.nullable(pack) if field.null else pack


PACKERS: tuple[tuple[type[models.Field[Any, Any]], copy_binary.Pack], ...] = (
    (models.UUIDField, copy_binary.uuid),
    (models.BigIntegerField, copy_binary.int8),
    (models.PositiveSmallIntegerField, copy_binary.int2),
    (models.PositiveIntegerField, copy_binary.int4),
    (models.BooleanField, copy_binary.boolean),
    (models.JSONField, copy_binary.jsonb),
    (models.DateTimeField, copy_binary.moment),
    (models.DateField, copy_binary.day),
    (models.CharField, copy_binary.repeated_text),
    (models.TextField, copy_binary.text),
)
FIELDS: tuple[models.Field[Any, Any], ...] = tuple(UsageLog._meta.concrete_fields)
COLUMNS: tuple[str, ...] = tuple(field.attname for field in FIELDS)
INT8S = tuple(
    field.attname
    for field in FIELDS
    if isinstance(field, models.BigIntegerField | models.ForeignKey) and not field.null
)
OTHERS = tuple((field.attname, _packer(field)) for field in FIELDS if field.attname not in INT8S)
_PACKERS = tuple(pack for _, pack in OTHERS)
_int8s_of = attrgetter(*INT8S)
_others_of = attrgetter(*(column for column, _ in OTHERS))
