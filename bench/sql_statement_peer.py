"""The peer of `metering.record`: one SQL statement that inserts rated rows and updates the same rollups (PostgreSQL)."""

from __future__ import annotations

from typing import Any, cast

import psycopg
from django.db import connection
from psycopg.types.json import Jsonb

from bench import timing
from billing.ledger.rollups import PLATFORM_DAYS, USAGE_DAYS, USAGE_MODELS, Rollup
from billing.models import UsageLog

TABLES = ("api_usage_logs", "usage_days", "usage_models", "platform_days", "provider_minutes")
DECLARED, MODEL = "lower(trim(provider))", "lower(trim(model_used))"
ROLLUP_KEYS = {
    USAGE_DAYS: f"account_id, usage_day, {DECLARED}, actual_provider_name, category",
    USAGE_MODELS: f"account_id, usage_period, actual_provider_name, {MODEL}",
    PLATFORM_DAYS: f"(timestamp AT TIME ZONE 'UTC')::date, {DECLARED}, actual_provider_name, category, 0",
}


def _calls_where(condition: str) -> str:
    return f"coalesce(sum(calls) FILTER (WHERE {condition}), 0)"


ROLLUP_SUMS = {
    "calls": "sum(calls)",
    "errors": _calls_where("status_code >= 400"),
    "tokens_total": "sum(tokens_total)",
    "cost_nano": "sum(effective_nano)",
    "unpriced_calls": _calls_where("NOT is_priced"),
    "estimated_calls": _calls_where(
        "is_priced AND cost_source IN ('estimate', 'unpriced') AND usage_state <> 'complete'"
    ),
    "billable_calls": _calls_where("is_billable"),
    "fallback_calls": _calls_where("confidence = 'fallback'"),
    "tokens_input": "sum(tokens_input)",
    "tokens_output": "sum(tokens_output)",
    "response_time_sum": "sum(response_time_ms)",
}
MINUTE_KEYS = "date_trunc('minute', received_at), actual_provider_name, 0"
MINUTE_SUMS = ("calls", "errors", "response_time_sum")


class SqlStatementPeer:
    """The prepared statement, on copies of our tables in another schema, which grow by the same rows."""

    def __init__(self) -> None:
        connection.ensure_connection()
        self._psycopg = cast("psycopg.Connection[Any]", connection.connection)
        self._psycopg.execute("CREATE SCHEMA peer")
        for table in TABLES:
            self._psycopg.execute(f"CREATE TABLE peer.{table} (LIKE public.{table} INCLUDING ALL)".encode())
        self._sql = _sql().encode()

    def rate(self, batches: list[list[str]]) -> float:
        """Events per second: inserts the logs with these event ids, one transaction per batch."""
        columns = [self._columns(batch) for batch in batches]

        def send() -> None:
            for batch in columns:
                with psycopg.Cursor(self._psycopg) as cursor:
                    cursor.execute(self._sql, batch, prepare=True)

        return sum(map(len, batches)) / timing.elapsed_seconds(send)

    def _columns(self, batch: list[str]) -> list[list[Any]]:
        """One array per column for the logs with these event ids, sorted by the unique key."""
        logs = UsageLog.objects.filter(event_id__in=batch).order_by("account_id", "event_key")
        columns: list[list[Any]] = [
            list(column) for column in zip(*logs.values_list(*(field.attname for field in _fields())), strict=True)
        ]
        return [
            [None if value is None else Jsonb(value) for value in column]
            if field.get_internal_type() == "JSONField"
            else column
            for field, column in zip(_fields(), columns, strict=True)
        ]


def _fields() -> list[Any]:
    return list(UsageLog._meta.concrete_fields)


def _sql() -> str:
    names = ", ".join(field.column for field in _fields())
    arrays = ", ".join(f"%b::{field.db_type(connection).partition(' CHECK')[0]}[]" for field in _fields())
    insert = f"INSERT INTO peer.api_usage_logs ({names}) SELECT * FROM unnest({arrays})"
    logs = f"{insert} ON CONFLICT (account_id, event_key) DO NOTHING RETURNING *"
    clauses = [f"logs AS ({logs})", *(f"{rollup.table} AS ({_rollup_upsert(rollup)})" for rollup in ROLLUP_KEYS)]
    last = _upsert_sql("provider_minutes", ("minute", "actual", "slot"), MINUTE_SUMS, MINUTE_KEYS)
    return f"WITH {', '.join(clauses)} {last}"


def _rollup_upsert(rollup: Rollup) -> str:
    return _upsert_sql(rollup.table, rollup.keys, rollup.counters, ROLLUP_KEYS[rollup])


def _upsert_sql(table: str, keys: tuple[str, ...], counters: tuple[str, ...], expressions: str) -> str:
    positions = ", ".join(str(position) for position in range(1, len(keys) + 1))
    sums = ", ".join(ROLLUP_SUMS[counter] for counter in counters)
    updates = ", ".join(f"{counter} = t.{counter} + excluded.{counter}" for counter in counters)
    return (
        f"INSERT INTO peer.{table} AS t ({', '.join((*keys, *counters))}) SELECT {expressions}, {sums} FROM logs"
        f" GROUP BY {positions} ORDER BY {positions} ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {updates}"
    )
