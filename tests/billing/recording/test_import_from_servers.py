"""`import_legacy_logs` from a database server: the one of the tests, with the legacy table as its system created it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import DatabaseError, connection

from billing.events import legacy_tables
from billing.models import UsageLog
from tests.billing.ledger_rows import run
from tests.proof import children

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor == "sqlite", reason="no server"),
]
LEGACY_DATABASE = f"old_{connection.settings_dict['NAME']}"
PROVIDER_ENUM = "ENUM ('GEMINI', 'VIDEO')"
COLUMNS = """provider {kind} NOT NULL, user_id VARCHAR(100) NOT NULL, endpoint VARCHAR(200), model_used VARCHAR(100),
  tokens_input INTEGER, tokens_output INTEGER, tokens_total INTEGER, cost_total {number}, response_time {number},
  status_code INTEGER, error_message TEXT, timestamp {time}"""
CREATE_TABLE = {
    "postgresql": [
        f"CREATE TYPE apiprovider AS {PROVIDER_ENUM}",
        f"CREATE TABLE api_usage_logs (id SERIAL PRIMARY KEY, {COLUMNS.replace('{kind}', 'apiprovider')})",
    ],
    "mysql": [
        f"CREATE TABLE api_usage_logs (id INTEGER AUTO_INCREMENT PRIMARY KEY, {COLUMNS.replace('{kind}', PROVIDER_ENUM)})"
    ],
}
FLOATS = {"postgresql": ("DOUBLE PRECISION", "TIMESTAMP"), "mysql": ("DOUBLE", "DATETIME(6)")}
EXACT = {"postgresql": ("NUMERIC(20, 10)", "TIMESTAMPTZ"), "mysql": ("DECIMAL(20, 10)", "TIMESTAMP(6) NULL")}
ROWS = (
    ("u1", "GEMINI", "/generate", "gemini-2.5-pro", 266, 141, 407, 0.0003, 0.9156, 200, None),
    ("u2", "VIDEO", "/video-generation/wavespeed", "wan-2.5", 0, 0, 0, 0.25, 12.5, 500, "caf\u00e9 \U0001f680 %s"),
    ("u1", "GEMINI", None, None, None, None, None, None, None, None, None),
)
TIME = "2025-12-01 23:22:04.538107"


@pytest.fixture
def empty_database() -> Iterator[str]:
    """The URL of an empty database on the tests' server."""
    quoted = connection.ops.quote_name(LEGACY_DATABASE)
    _execute_outside_databases(f"DROP DATABASE IF EXISTS {quoted}", f"CREATE DATABASE {quoted}")
    try:
        yield f"{children.database_url().rpartition('/')[0]}/{LEGACY_DATABASE}"
    finally:
        _execute_outside_databases(f"DROP DATABASE {quoted}")


@pytest.fixture(params=[FLOATS, EXACT], ids=["floats", "exact"])
def legacy_database(empty_database: str, request: pytest.FixtureRequest) -> str:
    """The URL of a database with the legacy table."""
    number, time = request.param[connection.vendor]
    columns = "user_id, provider, endpoint, model_used, tokens_input, tokens_output, tokens_total, cost_total"
    insert = f"INSERT INTO api_usage_logs ({columns}, response_time, status_code, error_message, timestamp)"
    with closing(_writer(empty_database)) as writer, writer.cursor() as cursor:
        for statement in CREATE_TABLE[connection.vendor]:
            cursor.execute(statement.format(number=number, time=time))
        for row in ROWS:
            cursor.execute(f"{insert} VALUES ({', '.join(['%s'] * 12)})", [*row, TIME])
    return empty_database


def test_rows_are_imported_with_their_own_figures(legacy_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(legacy_tables, "PAGE_SIZE", 2)
    result = run("import_legacy_logs", legacy_database)

    logs = UsageLog.objects.order_by("event_id").values_list(
        "event_id", "account__external_id", "provider", "model_used", "tokens_total", "cost_total", "response_time_ms",
        "status_code", "error_message", "timestamp",
    )  # fmt: skip
    at = datetime(2025, 12, 1, 23, 22, 4, 538107, tzinfo=UTC)
    assert result.status == 0
    assert list(logs) == [
        ("legacy:1", "u1", "gemini", "gemini-2.5-pro", 407, 300_000, 916, 200, "", at),
        ("legacy:2", "u2", "video", "wan-2.5", 0, 250_000_000, 12_500, 500, "caf\u00e9 \U0001f680 %s", at),
        ("legacy:3", "u1", "gemini", "", 0, 0, 0, 200, "", at),
    ]
    assert run("verify_ledger").status == 0


def test_a_second_run_imports_nothing(legacy_database: str) -> None:
    run("import_legacy_logs", legacy_database)

    assert run("import_legacy_logs", legacy_database).status == 0
    assert UsageLog.objects.count() == len(ROWS)


def test_the_legacy_table_is_read_only(legacy_database: str) -> None:
    with closing(legacy_tables.open_table(legacy_database)) as table:
        with pytest.raises(DatabaseError), table.connection.cursor() as cursor:
            cursor.execute("DELETE FROM api_usage_logs")
        assert len(table) == len(ROWS)


def test_a_database_without_the_table_is_an_error(empty_database: str) -> None:
    result = run("import_legacy_logs", empty_database)

    assert (result.status, result.err) == (2, "The database has no table api_usage_logs.")
    assert UsageLog.objects.count() == 0


def _execute_outside_databases(*statements: str) -> None:
    with connection._nodb_cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _writer(url: str) -> Any:
    """A connection that can write to the legacy database."""
    writer = connection.copy(alias="writer")
    writer.settings_dict["NAME"] = url.rpartition("/")[2]
    return writer
