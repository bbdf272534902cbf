"""Sets the detected provider on logs that have none, one UPDATE per batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from billing.corrections.apply_corrections import PROVIDER_COLUMNS
from billing.models import UsageLog
from providers.detection import Detection

CALL_COLUMNS = ("provider", "model_used", "endpoint", "served_by")  # the input of detection
# Per statement, so that with the ids of a batch it stays within SQLite's 32,766 parameters.
MAX_SIGNATURES = 20_000 // len(CALL_COLUMNS + PROVIDER_COLUMNS)

CallSignature = tuple[str, ...]  # the values of CALL_COLUMNS


def assign(ids: Sequence[UUID], detections: Mapping[CallSignature, Detection]) -> int:
    """Set the detected provider on those of these logs that have none, and return their number."""
    rows = [(*signature, *provider_values(detection).values()) for signature, detection in detections.items()]
    starts = range(0, len(rows), MAX_SIGNATURES)
    return sum(_update_undetected(ids, rows[start : start + MAX_SIGNATURES]) for start in starts)


def provider_values(detection: Detection) -> dict[str, str]:
    """A detection as the columns of a log, in the order of PROVIDER_COLUMNS."""
    return {
        "actual_provider_name": detection.actual_provider,
        "confidence": detection.confidence,
        "detection_rule": detection.rule,
        "evidence": detection.evidence,
    }


def _update_undetected(ids: Sequence[UUID], rows: Sequence[tuple[str, ...]]) -> int:
    table, mysql = f"{UsageLog._meta.db_table} AS l", connection.vendor == "mysql"
    sets = ", ".join(
        f"{'l.' * mysql}{name} = m.column{n}" for n, name in enumerate(PROVIDER_COLUMNS, start=1 + len(CALL_COLUMNS))
    )
    where = " AND ".join(f"l.{column} = m.column{n}" for n, column in enumerate(CALL_COLUMNS, start=1))
    condition, parameters = _id_condition(ids)
    where += f" AND l.actual_provider_name IS NULL AND l.id {condition}"
    values = _values_table(len(rows))
    joined = f"JOIN {values} SET {sets}" if mysql else f"SET {sets} FROM {values}"
    sql = f"UPDATE {table} {joined} WHERE {where}"
    with connection.cursor() as cursor:
        cursor.execute(sql, [*(value for row in rows for value in row), *parameters])
        return int(cursor.rowcount)


def _values_table(count: int) -> str:
    """SQL for rows of parameters as a table m with column1, column2, ..., the names in PostgreSQL and SQLite."""
    width = len(CALL_COLUMNS + PROVIDER_COLUMNS)
    if connection.vendor == "mysql":
        first = ", ".join(f"%s AS column{n}" for n in range(1, 1 + width))
        return f"(SELECT {first}{f' UNION ALL SELECT {_placeholders(width)}' * (count - 1)}) AS m"
    return f"(VALUES {', '.join([f'({_placeholders(width)})'] * count)}) AS m"


def _id_condition(ids: Sequence[UUID]) -> tuple[str, list[Any]]:
    if connection.vendor == "postgresql":
        return "= ANY(%s)", [list(ids)]
    prepared = [UsageLog._meta.pk.get_db_prep_value(id_, connection) for id_ in ids]
    return f"IN ({_placeholders(len(ids))})", prepared


def _placeholders(count: int) -> str:
    return ", ".join(["%s"] * count)
