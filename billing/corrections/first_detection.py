"""Giving logs their first names by one statement: joined to what detection says of each kind of evidence. backfill asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from billing.corrections.apply_corrections import NAMES
from billing.models import UsageLog
from providers.detection import Detection

CALL = ("provider", "model_used", "endpoint", "served_by")  # what a detection reads
KINDS = 20_000 // len(CALL + NAMES)  # a statement: with the ids of a batch within SQLite's 32,766 parameters

Said = tuple[str, ...]  # the values of CALL


def assign(ids: Sequence[UUID], detections: Mapping[Said, Detection]) -> int:
    """How many of these logs had no name, and got the one that their evidence stands for."""
    kinds = [(*said, *names(found).values()) for said, found in detections.items()]
    return sum(_give(ids, kinds[start : start + KINDS]) for start in range(0, len(kinds), KINDS))


def names(found: Detection) -> dict[str, str]:
    """A detection as the columns of a log, in the order of NAMES."""
    return {
        "actual_provider_name": found.actual_provider,
        "confidence": found.confidence,
        "detection_rule": found.rule,
        "evidence": found.evidence,
    }


def _give(ids: Sequence[UUID], kinds: Sequence[Said]) -> int:
    table, mysql = f"{UsageLog._meta.db_table} AS l", connection.vendor == "mysql"
    sets = ", ".join(f"{'l.' * mysql}{name} = m.column{n}" for n, name in enumerate(NAMES, start=1 + len(CALL)))
    where = " AND ".join(f"l.{column} = m.column{n}" for n, column in enumerate(CALL, start=1))
    wanted, parameters = _among(ids)
    where += f" AND l.actual_provider_name IS NULL AND l.id {wanted}"
    kind = _mapped(len(kinds))
    named = f"JOIN {kind} SET {sets}" if mysql else f"SET {sets} FROM {kind}"
    sql = f"UPDATE {table} {named} WHERE {where}"
    with connection.cursor() as cursor:
        cursor.execute(sql, [*(value for one in kinds for value in one), *parameters])
        return int(cursor.rowcount)


def _mapped(count: int) -> str:
    """Rows of parameters as a table m, whose columns are called column1, column2, ... by PostgreSQL and SQLite."""
    width = len(CALL + NAMES)
    if connection.vendor == "mysql":
        first = ", ".join(f"%s AS column{n}" for n in range(1, 1 + width))
        return f"(SELECT {first}{f' UNION ALL SELECT {_marks(width)}' * (count - 1)}) AS m"
    return f"(VALUES {', '.join([f'({_marks(width)})'] * count)}) AS m"


def _among(ids: Sequence[UUID]) -> tuple[str, list[Any]]:
    if connection.vendor == "postgresql":
        return "= ANY(%s)", [list(ids)]
    prepared = [UsageLog._meta.pk.get_db_prep_value(one, connection) for one in ids]
    return f"IN ({_marks(len(ids))})", prepared


def _marks(count: int) -> str:
    return ", ".join(["%s"] * count)
