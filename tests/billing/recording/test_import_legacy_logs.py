"""`import_legacy_logs`: an older log table comes in once, to the nano-dollar, and is only read."""

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


def old_table(tmp_path: Path, *rows: dict[str, Any], without: tuple[str, ...] = ("actual_provider_name",)) -> str:
    """The URL of a SQLite file with these rows, which say what differs from ROW."""
    file = tmp_path / "old.sqlite3"
    columns = [column for column in COLUMNS if column not in without]
    connection = sqlite3.connect(file)
    connection.execute(f"CREATE TABLE api_usage_logs ({', '.join(f'{name} {COLUMNS[name]}' for name in columns)})")
    marks = ", ".join("?" * len(columns))
    for number, row in enumerate(rows, start=1):
        values = {"id": number, **ROW, **row}
        connection.execute(f"INSERT INTO api_usage_logs VALUES ({marks})", [values[column] for column in columns])
    connection.commit()
    connection.close()
    return f"sqlite:///{file}"


def test_a_row_becomes_an_event_with_its_own_figures(tmp_path: Path) -> None:
    end = run("import_legacy_logs", old_table(tmp_path, {}))

    log = UsageLog.objects.get()
    assert end.status == 0
    assert (log.event_id, log.account.external_id, log.provider) == ("legacy:1", "u1", "gemini")
    assert (log.cost_total, log.cost_source, log.response_time_ms, log.retry_count) == (300_000_000, "caller", 916, 2)
    assert (log.tokens_input, log.tokens_output, log.tokens_total) == (266, 141, 407)
    assert log.timestamp == datetime(2025, 12, 1, 23, 22, 4, 538107, tzinfo=UTC)
    assert (log.actual_provider_name, log.category, log.metadata) == ("google", "text", {})


def test_the_sums_are_printed_as_read_and_as_stored(tmp_path: Path) -> None:
    url = old_table(
        tmp_path, {}, {"cost_total": 1e-10}, {"cost_total": 5e-10}, {"cost_total": 15e-10}, {"cost_total": 8.1e-05}
    )
    end = run("import_legacy_logs", url)

    native = 0 + (0.1 + 0.2) + 1e-10 + 5e-10 + 15e-10 + 8.1e-05
    assert end.lines[-3:] == [
        f"Cost read:   {native} as the older table adds it, 0.30008100210000004 USD exactly.",
        "Cost stored: 0.300081002 USD (0.300081002 now, 0 before).",
        "5 read: 5 came in (0 unpriced), 0 were there already, 0 refused.",
    ]
    costs = list(UsageLog.objects.order_by("event_id").values_list("cost_total", flat=True))
    assert costs == [300_000_000, 0, 0, 2, 81_000]


def test_a_second_run_brings_nothing_in(tmp_path: Path) -> None:
    url = old_table(tmp_path, {}, {})
    run("import_legacy_logs", url)
    end = run("import_legacy_logs", url)

    assert end.lines[-2:] == [
        "Cost stored: 0.6 USD (0 now, 0.6 before).",
        "2 read: 0 came in (0 unpriced), 2 were there already, 0 refused.",
    ]
    assert UsageDay.objects.get().calls == 2


def test_another_source_has_ids_of_its_own(tmp_path: Path) -> None:
    url = old_table(tmp_path, {})
    run("import_legacy_logs", url)
    run("import_legacy_logs", url, "--source", "staging")

    assert set(UsageLog.objects.values_list("event_id", flat=True)) == {"legacy:1", "staging:1"}


def test_failed_calls_and_missing_values_stay_what_they_are(tmp_path: Path) -> None:
    nothing = dict.fromkeys(("tokens_input", "tokens_output", "tokens_total"), 0)
    url = old_table(
        tmp_path,
        {**nothing, "status_code": 500, "cost_total": 0.0, "error_message": "upstream error"},
        {**nothing, "model_used": None, "cost_total": None, "response_time": None, "provider": "APIProvider.VIDEO"},
    )
    end = run("import_legacy_logs", url)

    failed, bare = UsageLog.objects.order_by("event_id")
    assert (failed.status_code, failed.error_message, failed.is_billable, failed.is_priced) == (
        500,
        "upstream error",
        False,
        True,
    )
    assert (bare.model_used, bare.provider, bare.is_priced, bare.response_time_ms) == ("", "video", False, 0)
    assert "1 rows have no cost: the price book rates them." in end.lines


def test_an_older_name_is_kept_and_differences_are_told(tmp_path: Path) -> None:
    url = old_table(
        tmp_path,
        {"actual_provider_name": "wavespeed"},
        {"actual_provider_name": "Google"},
        {"actual_provider_name": None},
        {"provider": "mistral", "model_used": "openai/gpt-oss-120b:groq", "actual_provider_name": "HuggingFace"},
        without=(),
    )
    end = run("import_legacy_logs", url)

    assert [line for line in end.lines if "there and" in line] == ["1 rows were 'wavespeed' there and are google here."]
    kept = UsageLog.objects.order_by("event_id").values_list("actual_provider_name", "metadata")
    assert list(kept) == [
        ("google", {"legacy_actual_provider": "wavespeed"}),
        ("google", {"legacy_actual_provider": "Google"}),
        ("google", {}),
        ("huggingface", {"legacy_actual_provider": "HuggingFace"}),
    ]


def test_token_totals_that_do_not_add_up_are_told(tmp_path: Path) -> None:
    end = run("import_legacy_logs", old_table(tmp_path, {"tokens_total": 500}, {}))

    told = "1 rows have a token total that is not input plus output; input and output came in."
    assert told in end.lines
    assert set(UsageLog.objects.values_list("tokens_total", flat=True)) == {407}


def test_a_charge_is_not_lost_over_its_error_message(tmp_path: Path) -> None:
    end = run("import_legacy_logs", old_table(tmp_path, {"error_message": "\x1b[31m" + "x" * 9000}))

    assert "1 error messages were cut to 8000 characters." in end.lines
    assert UsageLog.objects.get().error_message == "\ufffd[31m" + "x" * 7995


def test_rows_that_cannot_be_are_refused_with_their_reason(tmp_path: Path) -> None:
    url = old_table(
        tmp_path,
        {"user_id": None},
        {"timestamp": "last Tuesday"},
        {"cost_total": "a lot"},
        {"cost_total": -1.0},
        {"cost_total": 1e300},
        {"tokens_input": -5},
        {},
    )
    end = run("import_legacy_logs", url)

    assert (end.status, end.lines[-1]) == (1, "7 read: 1 came in (0 unpriced), 0 were there already, 6 refused.")
    assert end.lines[0] == "legacy:1: account: The row names no user."
    assert sorted(line for line in end.lines if line.startswith(("1 refused", "2 refused", "3 refused"))) == [
        "1 refused: invalid occurred_at",
        "1 refused: min_value usage.input_tokens",
        "1 refused: required account",
        "3 refused: invalid cost_usd",
    ]
    assert UsageLog.objects.get().event_id == "legacy:7"


def test_a_dry_run_stores_nothing(tmp_path: Path) -> None:
    end = run("import_legacy_logs", old_table(tmp_path, {}), "--dry-run")

    assert end.lines[-1] == "1 read: 1 would come in (0 unpriced), 0 were there already, 0 refused."
    assert (UsageLog.objects.count(), Account.objects.count()) == (0, 0)


def test_pages_follow_each_other(tmp_path: Path) -> None:
    end = run("import_legacy_logs", old_table(tmp_path, *[{"id": 3 * number} for number in range(1, 2002)]))

    assert end.lines[-1] == "2001 read: 2001 came in (0 unpriced), 0 were there already, 0 refused."


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite:///nothere.sqlite3", "There is no file nothere.sqlite3."),
        ("somewhere", "Not a database URL such as sqlite:///old.sqlite3, postgres://… or mysql://…."),
        ("oracle://u:secret@h/x", "Not a database URL such as sqlite:///old.sqlite3, postgres://… or mysql://…."),
    ],
)
def test_a_bad_url_is_bad_use(url: str, message: str) -> None:
    end = run("import_legacy_logs", url)

    assert (end.status, end.err) == (2, message)


@pytest.mark.parametrize(
    ("without", "message"),
    [
        (("user_id",), "The table api_usage_logs is not an older one: it has no column user_id."),
        (
            ("timestamp", "actual_provider_name"),
            "The table api_usage_logs is not an older one: it has no column timestamp.",
        ),
    ],
)
def test_a_table_of_another_shape_is_bad_use(tmp_path: Path, without: tuple[str, ...], message: str) -> None:
    end = run("import_legacy_logs", old_table(tmp_path, {}, without=without))

    assert (end.status, end.err) == (2, message)


def test_a_file_that_is_no_database_or_has_no_log_is_bad_use(tmp_path: Path) -> None:
    (tmp_path / "text.sqlite3").write_text("not a database, but long enough to be told from an empty one" * 20)
    (tmp_path / "empty.sqlite3").touch()

    assert run("import_legacy_logs", f"sqlite:///{tmp_path}/text.sqlite3").status == 2
    end = run("import_legacy_logs", f"sqlite:///{tmp_path}/empty.sqlite3")
    assert (end.status, end.err) == (2, "The database has no table api_usage_logs.")


@pytest.mark.shared_data
def test_the_real_log_comes_in_under_the_right_providers(shared_data: Path) -> None:
    file = shared_data / "legacy_usage_logs.sqlite3"
    before = hashlib.sha256(file.read_bytes()).hexdigest()

    end = run("import_legacy_logs", f"sqlite:///{file}")

    assert (end.status, end.lines[-2:]) == (
        0,
        [
            "Cost stored: 15.6182648 USD (15.6182648 now, 0 before).",
            "500 read: 500 came in (0 unpriced), 0 were there already, 0 refused.",
        ],
    )
    assert hashlib.sha256(file.read_bytes()).hexdigest() == before
    assert UsageLog.objects.aggregate(Sum("cost_total")) == {"cost_total__sum": 15_618_264_800}
    named = dict(UsageLog.objects.values_list("event_id", "actual_provider_name"))
    with (shared_data / "legacy_usage_logs.expected.csv").open(newline="") as expected:
        right = {f"legacy:{row['id']}": row["expected"] for row in csv.DictReader(expected)}
    assert {key: named[key] for key, name in right.items() if name != "?"} == {
        key: name for key, name in right.items() if name != "?"
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
    assert run("import_legacy_logs", f"sqlite:///{file}").lines[-1].startswith("500 read: 0 came in")
    assert run("verify_ledger").status == 0
