"""`import_legacy_logs`: imports a legacy log table once, exact to the nano-dollar, without changing it."""

from __future__ import annotations

import csv
import hashlib
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db.models import Sum

from billing.models import Account, UsageDay, UsageLog
from tests.billing.ledger_rows import run

pytestmark = pytest.mark.django_db

COLUMNS = {
    "id": "INTEGER PRIMARY KEY",
    "user_id": "VARCHAR(100)",
    "provider": "VARCHAR(10)",
    "endpoint": "VARCHAR(200)",
    "method": "VARCHAR(10)",
    "model_used": "VARCHAR(100)",
    "tokens_input": "INTEGER",
    "tokens_output": "INTEGER",
    "tokens_total": "INTEGER",
    "cost_total": "FLOAT",
    "response_time": "FLOAT",
    "status_code": "INTEGER",
    "error_message": "TEXT",
    "retry_count": "INTEGER",
    "timestamp": "DATETIME",
    "actual_provider_name": "VARCHAR(50)",
    "billing_period": "VARCHAR(20)",
}
ROW: dict[str, Any] = {
    "user_id": "u1",
    "provider": "GEMINI",
    "endpoint": "/generate",
    "method": "POST",
    "model_used": "gemini-2.5-pro",
    "tokens_input": 266,
    "tokens_output": 141,
    "tokens_total": 407,
    "cost_total": 0.1 + 0.2,
    "response_time": 0.9156,
    "status_code": 200,
    "error_message": None,
    "retry_count": 2,
    "timestamp": "2025-12-01 23:22:04.538107",
    "actual_provider_name": None,
    "billing_period": "2025-12",
}


def legacy_table(tmp_path: Path, *rows: dict[str, Any], without: tuple[str, ...] = ("actual_provider_name",)) -> str:
    """The URL of a SQLite file with these rows; each has the values of ROW where it gives none."""
    file = tmp_path / "old.sqlite3"
    columns = [column for column in COLUMNS if column not in without]
    connection = sqlite3.connect(file)
    connection.execute(f"CREATE TABLE api_usage_logs ({', '.join(f'{name} {COLUMNS[name]}' for name in columns)})")
    placeholders = ", ".join("?" * len(columns))
    for number, row in enumerate(rows, start=1):
        values = {"id": number, **ROW, **row}
        connection.execute(
            f"INSERT INTO api_usage_logs VALUES ({placeholders})", [values[column] for column in columns]
        )
    connection.commit()
    connection.close()
    return f"sqlite:///{file}"


def test_a_row_becomes_an_event_with_its_own_figures(tmp_path: Path) -> None:
    result = run("import_legacy_logs", legacy_table(tmp_path, {}))

    log = UsageLog.objects.get()
    assert result.status == 0
    assert (log.event_id, log.account.external_id, log.provider) == ("legacy:1", "u1", "gemini")
    assert (log.cost_total, log.cost_source, log.response_time_ms, log.retry_count) == (300_000_000, "caller", 916, 2)
    assert (log.tokens_input, log.tokens_output, log.tokens_total) == (266, 141, 407)
    assert log.timestamp == datetime(2025, 12, 1, 23, 22, 4, 538107, tzinfo=UTC)
    assert (log.actual_provider_name, log.category, log.metadata) == ("google", "text", {})


def test_the_total_cost_is_printed_as_read_and_as_stored(tmp_path: Path) -> None:
    url = legacy_table(
        tmp_path, {}, {"cost_total": 1e-10}, {"cost_total": 5e-10}, {"cost_total": 15e-10}, {"cost_total": 8.1e-05}
    )
    result = run("import_legacy_logs", url)

    native = 0 + (0.1 + 0.2) + 1e-10 + 5e-10 + 15e-10 + 8.1e-05
    assert result.lines[-3:] == [
        f"Cost read:   {native} as the legacy table sums it, 0.30008100210000004 USD exactly.",
        "Cost stored: 0.300081002 USD (0.300081002 now, 0 before).",
        "5 read: 5 imported (0 unpriced), 0 already stored, 0 refused.",
    ]
    costs = list(UsageLog.objects.order_by("event_id").values_list("cost_total", flat=True))
    assert costs == [300_000_000, 0, 0, 2, 81_000]


def test_a_second_run_imports_nothing(tmp_path: Path) -> None:
    url = legacy_table(tmp_path, {}, {})
    run("import_legacy_logs", url)
    result = run("import_legacy_logs", url)

    assert result.lines[-2:] == [
        "Cost stored: 0.6 USD (0 now, 0.6 before).",
        "2 read: 0 imported (0 unpriced), 2 already stored, 0 refused.",
    ]
    assert UsageDay.objects.get().calls == 2


def test_another_source_has_its_own_event_ids(tmp_path: Path) -> None:
    url = legacy_table(tmp_path, {})
    run("import_legacy_logs", url)
    run("import_legacy_logs", url, "--source", "staging")

    assert set(UsageLog.objects.values_list("event_id", flat=True)) == {"legacy:1", "staging:1"}


def test_failed_calls_and_missing_values_are_imported_as_they_are(tmp_path: Path) -> None:
    no_tokens = dict.fromkeys(("tokens_input", "tokens_output", "tokens_total"), 0)
    url = legacy_table(
        tmp_path,
        {**no_tokens, "status_code": 500, "cost_total": 0.0, "error_message": "upstream error"},
        {**no_tokens, "model_used": None, "cost_total": None, "response_time": None, "provider": "APIProvider.VIDEO"},
    )
    result = run("import_legacy_logs", url)

    failed, empty = UsageLog.objects.order_by("event_id")
    assert (failed.status_code, failed.error_message, failed.is_billable, failed.is_priced) == (
        500,
        "upstream error",
        False,
        True,
    )
    assert (empty.model_used, empty.provider, empty.is_priced, empty.response_time_ms) == ("", "video", False, 0)
    assert "1 rows have no cost; they were rated by the price book." in result.lines


def test_the_legacy_provider_is_kept_as_metadata_and_differences_are_printed(tmp_path: Path) -> None:
    url = legacy_table(
        tmp_path,
        {"actual_provider_name": "wavespeed"},
        {"actual_provider_name": "Google"},
        {"actual_provider_name": None},
        {"provider": "mistral", "model_used": "openai/gpt-oss-120b:groq", "actual_provider_name": "HuggingFace"},
        without=(),
    )
    result = run("import_legacy_logs", url)

    assert [line for line in result.lines if "provider was" in line] == [
        "1 rows: provider was 'wavespeed', detected google."
    ]
    logs = UsageLog.objects.order_by("event_id").values_list("actual_provider_name", "metadata")
    assert list(logs) == [
        ("google", {"legacy_actual_provider": "wavespeed"}),
        ("google", {"legacy_actual_provider": "Google"}),
        ("google", {}),
        ("huggingface", {"legacy_actual_provider": "HuggingFace"}),
    ]


def test_token_totals_that_do_not_add_up_are_reported(tmp_path: Path) -> None:
    result = run("import_legacy_logs", legacy_table(tmp_path, {"tokens_total": 500}, {}))

    message = "1 rows have a token total other than input plus output; input and output were imported."
    assert message in result.lines
    assert set(UsageLog.objects.values_list("tokens_total", flat=True)) == {407}


def test_an_invalid_error_message_is_cleaned_and_shortened(tmp_path: Path) -> None:
    result = run("import_legacy_logs", legacy_table(tmp_path, {"error_message": "\x1b[31m" + "x" * 9000}))

    assert "1 error messages were truncated to 8000 characters." in result.lines
    assert UsageLog.objects.get().error_message == "\ufffd[31m" + "x" * 7995


def test_invalid_rows_are_refused_with_their_reason(tmp_path: Path) -> None:
    url = legacy_table(
        tmp_path,
        {"user_id": None},
        {"timestamp": "last Tuesday"},
        {"cost_total": "a lot"},
        {"cost_total": -1.0},
        {"cost_total": 1e300},
        {"tokens_input": -5},
        {},
    )
    result = run("import_legacy_logs", url)

    assert (result.status, result.lines[-1]) == (1, "7 read: 1 imported (0 unpriced), 0 already stored, 6 refused.")
    assert result.lines[0] == "legacy:1: account: The row has no user_id."
    assert sorted(line for line in result.lines if line.startswith(("1 refused", "2 refused", "3 refused"))) == [
        "1 refused: invalid occurred_at",
        "1 refused: min_value usage.input_tokens",
        "1 refused: required account",
        "3 refused: invalid cost_usd",
    ]
    assert UsageLog.objects.get().event_id == "legacy:7"


def test_a_dry_run_stores_nothing(tmp_path: Path) -> None:
    result = run("import_legacy_logs", legacy_table(tmp_path, {}), "--dry-run")

    assert result.lines[-1] == "1 read: 1 would be imported (0 unpriced), 0 already stored, 0 refused."
    assert (UsageLog.objects.count(), Account.objects.count()) == (0, 0)


def test_more_than_one_page_is_imported(tmp_path: Path) -> None:
    result = run("import_legacy_logs", legacy_table(tmp_path, *[{"id": 3 * number} for number in range(1, 2002)]))

    assert result.lines[-1] == "2001 read: 2001 imported (0 unpriced), 0 already stored, 0 refused."


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite:///nothere.sqlite3", "The file nothere.sqlite3 does not exist."),
        ("somewhere", "Not a database URL. Use for example sqlite:///old.sqlite3, postgres://… or mysql://…."),
        (
            "oracle://u:secret@h/x",
            "Not a database URL. Use for example sqlite:///old.sqlite3, postgres://… or mysql://….",
        ),
    ],
)
def test_an_invalid_url_is_a_usage_error(url: str, message: str) -> None:
    result = run("import_legacy_logs", url)

    assert (result.status, result.err) == (2, message)


@pytest.mark.parametrize(
    ("without", "message"),
    [
        (("user_id",), "The table api_usage_logs is not a legacy log table: it has no column user_id."),
        (
            ("timestamp", "actual_provider_name"),
            "The table api_usage_logs is not a legacy log table: it has no column timestamp.",
        ),
    ],
)
def test_a_table_with_other_columns_is_a_usage_error(tmp_path: Path, without: tuple[str, ...], message: str) -> None:
    result = run("import_legacy_logs", legacy_table(tmp_path, {}, without=without))

    assert (result.status, result.err) == (2, message)


def test_a_file_without_a_legacy_log_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "text.sqlite3").write_text("not a database, but long enough not to be taken for an empty one" * 20)
    (tmp_path / "empty.sqlite3").touch()

    assert run("import_legacy_logs", f"sqlite:///{tmp_path}/text.sqlite3").status == 2
    result = run("import_legacy_logs", f"sqlite:///{tmp_path}/empty.sqlite3")
    assert (result.status, result.err) == (2, "The database has no table api_usage_logs.")


@pytest.mark.shared_data
def test_the_shared_legacy_log_gets_the_expected_providers(shared_data: Path) -> None:
    file = shared_data / "legacy_usage_logs.sqlite3"
    before = hashlib.sha256(file.read_bytes()).hexdigest()

    result = run("import_legacy_logs", f"sqlite:///{file}")

    assert (result.status, result.lines[-2:]) == (
        0,
        [
            "Cost stored: 15.6182648 USD (15.6182648 now, 0 before).",
            "500 read: 500 imported (0 unpriced), 0 already stored, 0 refused.",
        ],
    )
    assert hashlib.sha256(file.read_bytes()).hexdigest() == before
    assert UsageLog.objects.aggregate(Sum("cost_total")) == {"cost_total__sum": 15_618_264_800}
    providers = dict(UsageLog.objects.values_list("event_id", "actual_provider_name"))
    with (shared_data / "legacy_usage_logs.expected.csv").open(newline="") as expected_file:
        expected = {f"legacy:{row['id']}": row["expected"] for row in csv.DictReader(expected_file)}
    assert {key: providers[key] for key, name in expected.items() if name != "?"} == {
        key: name for key, name in expected.items() if name != "?"
    }
    assert UsageLog.objects.filter(status_code__gte=400).count() == 7
    assert {*UsageDay.objects.values_list("category", flat=True)} >= {
        "video",
        "audio",
        "image",
        "image_edit",
        "search",
        "text",
    }
    assert run("import_legacy_logs", f"sqlite:///{file}").lines[-1].startswith("500 read: 0 imported")
    assert run("verify_ledger").status == 0


def test_times_ahead_and_before_2000_are_refused_line_by_line(tmp_path: Path) -> None:
    times = ("2099-01-01 00:00:00", "1970-01-01 00:00:00", "2025-12-01 00:00:00")
    result = run("import_legacy_logs", legacy_table(tmp_path, *({"timestamp": time} for time in times)))

    sentence = "occurred_at: The time must not be before the year 2000 or more than 5 minutes ahead."
    assert (result.status, result.lines[:3]) == (
        1,
        [f"legacy:1: {sentence}", f"legacy:2: {sentence}", "2 refused: out_of_range occurred_at"],
    )
    assert UsageLog.objects.get().event_id == "legacy:3"


def test_a_model_that_grows_in_lower_case_is_refused_alone(tmp_path: Path) -> None:
    result = run("import_legacy_logs", legacy_table(tmp_path, {"model_used": "\u0130" * 200}, {}))

    assert (result.status, result.lines[0]) == (1, "legacy:1: model: At most 200 characters, also in lower case.")
    assert UsageLog.objects.get().event_id == "legacy:2"
