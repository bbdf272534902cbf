"""Rows that a process of the previous release writes during an upgrade: without the columns that it does not know."""

from __future__ import annotations

import pytest
from django.db import connection

from billing.ledger import row_checksum
from billing.models import UsageDay, UsageLog, UsageModel
from tests.billing.ledger_rows import assert_ledger_consistent, record, run
from tests.conftest import Api

pytestmark = pytest.mark.django_db

LOG_COLUMNS = {"usage_state", "unpriced_reason", "calls", "reading", "resolved"}
EVENT = {"model": "nobody-knows", "cost_usd": None, "usage": {"requests": 10}}


def insert_again(model: type[UsageLog] | type[UsageDay] | type[UsageModel], without: set[str]) -> None:
    """Replaces the rows of a table by an INSERT that leaves out these columns."""
    fields = [field for field in model._meta.concrete_fields if field.attname not in without]
    names = [field.attname for field in fields]
    rows = list(model._base_manager.values_list(*names))
    model._base_manager.all()._raw_delete(connection.alias)
    values = [
        [field.get_db_prep_save(cell, connection) for field, cell in zip(fields, row, strict=True)] for row in rows
    ]
    columns, placeholders = ", ".join(map(connection.ops.quote_name, names)), ", ".join(["%s"] * len(names))
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {model._meta.db_table} ({columns}) VALUES ({placeholders})", values)


def test_its_rows_count_one_call_each_and_agree_with_their_checksums(service: Api) -> None:
    record(EVENT)
    log = UsageLog.objects.get()
    insert_again(UsageLog, LOG_COLUMNS)
    checksum = row_checksum.compute(*_hashed(log), version=1)
    UsageLog.objects.update(checksum=checksum)
    run("rebuild_rollups")
    insert_again(UsageDay, {"estimated_calls"})
    insert_again(UsageModel, {"estimated_calls"})

    log = UsageLog.objects.get()
    assert (log.usage_state, log.unpriced_reason, log.calls, log.reading) == ("complete", None, 1, None)
    figures = service.get("usage/summary/", account="a", period="2026-11").json()
    assert (figures["total_calls"], figures["unpriced_calls"], figures["estimated_calls"]) == (1, 1, 0)
    assert_ledger_consistent()
    UsageLog.objects.update(response_bytes=1)
    assert run("verify_ledger", "--only", "log_checksums").status == 1


def _hashed(log: UsageLog) -> tuple[bytes, tuple[object, ...]]:
    profile = row_checksum.hash_profile([getattr(log, name) for name in row_checksum.PROFILE_COLUMNS])
    values = (getattr(log, name) for name in row_checksum.OWN_COLUMNS)
    return profile, tuple(getattr(value, "bytes", value) for value in values)
