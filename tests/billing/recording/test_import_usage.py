"""`import_usage`: imports events of any age from JSONL and CSV once, with column mappings and time zones."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db.models import Sum

from billing.models import Account, UsageDay, UsageLog
from tests.billing.ledger_rows import run

pytestmark = pytest.mark.django_db

DEFAULTS = ("--set", "provider=openai", "--account", "a")


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    file = tmp_path / "old.csv"
    file.write_text("when,in,output_tokens,who\n2023-11-16 18:17:03.9799609,4808,10,x\n2023-11-16T18:17:04Z,3180,8,\n")
    return file


def write(tmp_path: Path, *lines: dict[str, Any] | str, name: str = "old.jsonl") -> str:
    file = tmp_path / name
    file.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return str(file)


MAPPINGS = ("--map", "when=occurred_at", "--map", "in=usage.input_tokens", "--map", "who=metadata.user")


def test_csv_columns_become_fields(csv: Path) -> None:
    result = run("import_usage", str(csv), *MAPPINGS, *DEFAULTS, "--timezone", "UTC", "--set", "model=gpt-4o")

    assert (result.status, result.lines[-1]) == (0, "2 read: 2 imported (2 unpriced), 0 already stored, 0 refused.")
    first, second = UsageLog.objects.order_by("event_id")
    assert (first.event_id, second.event_id) == ("old.csv:2", "old.csv:3")
    assert first.timestamp == datetime(2023, 11, 16, 18, 17, 3, 979960, tzinfo=UTC)
    assert (first.tokens_input, first.tokens_output, first.metadata) == (4808, 10, {"user": "x"})
    assert (second.account.external_id, second.model_used, second.metadata) == ("a", "gpt-4o", {})
    assert UsageDay.objects.get().calls == 2


def test_a_second_run_imports_nothing(csv: Path) -> None:
    run("import_usage", str(csv), *MAPPINGS, *DEFAULTS, "--timezone", "UTC")
    result = run("import_usage", str(csv), *MAPPINGS, *DEFAULTS, "--timezone", "UTC")

    assert (result.status, result.lines[-1]) == (0, "2 read: 0 imported (0 unpriced), 2 already stored, 0 refused.")
    assert UsageDay.objects.get().calls == 2


def test_a_mapping_may_use_short_names_and_either_order(csv: Path) -> None:
    mappings = ("--map", "occurred_at=when", "--map", "input_tokens=in")
    run("import_usage", str(csv), *mappings, *DEFAULTS, "--timezone", "UTC")

    assert list(UsageLog.objects.order_by("event_id").values_list("tokens_input", flat=True)) == [4808, 3180]


def test_unknown_columns_are_ignored_and_reported(csv: Path) -> None:
    result = run("import_usage", str(csv), "--map", "when=occurred_at", *DEFAULTS, "--timezone", "UTC")

    assert [line for line in result.err.splitlines() if "was ignored" in line] == [
        "Column 'in' is not a field and was ignored.",
        "Column 'who' is not a field and was ignored.",
    ]


def test_naive_times_are_in_the_given_time_zone(tmp_path: Path) -> None:
    path = write(tmp_path, {"provider": "openai", "occurred_at": "2026-07-01 00:30:00"})
    run("import_usage", path, "--account", "a", "--timezone", "Europe/Berlin")

    assert UsageLog.objects.get().timestamp == datetime(2026, 6, 30, 22, 30, tzinfo=UTC)


def test_naive_times_without_a_time_zone_are_refused(csv: Path) -> None:
    result = run("import_usage", str(csv), *MAPPINGS, *DEFAULTS)

    assert (result.status, result.lines) == (
        1,
        [
            "2: occurred_at: Not an RFC 3339 time with an offset, such as 2026-11-22T09:30:00Z (column 'when').",
            "1 refused: invalid occurred_at",
            result.lines[2],
            "2 read: 1 imported (1 unpriced), 0 already stored, 1 refused.",
        ],
    )


def test_jsonl_lines_are_events_in_the_format_of_the_api(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {"event_id": "own", "account": "b", "provider": "video", "usage": {"seconds": "5"}, "cost_usd": "0.5"},
        "",
        {"account": "c", "provider": "openai", "occurred_at": "2020-02-29T00:00:00Z", "metadata": {"a": [1]}},
    )
    result = run("import_usage", path, "--id-prefix", "mine")

    assert (result.status, result.lines[-1]) == (0, "2 read: 2 imported (1 unpriced), 0 already stored, 0 refused.")
    assert list(
        UsageLog.objects.order_by("event_id").values_list("event_id", "account__external_id", "cost_total")
    ) == [
        ("mine:3", "c", 0),
        ("own", "b", 500_000_000),
    ]


def test_bad_lines_are_refused_and_the_others_imported(tmp_path: Path) -> None:
    good = {"account": "a", "provider": "openai"}
    path = write(
        tmp_path,
        good,
        '{"provider": "openai", "provider": "x"}',
        "{",
        "[1]",
        {**good, "status_code": "teapot"},
        {**good, "cost_usd": "much"},
        {"provider": "openai"},
        {**good, "usage": {"input_tokens": -1}},
        good,
    )
    result = run("import_usage", path)

    assert (result.status, result.lines[-1]) == (1, "9 read: 2 imported (2 unpriced), 0 already stored, 7 refused.")
    assert sorted(line for line in result.lines if " refused: " in line and "read" not in line) == [
        "1 refused: invalid cost_usd",
        "1 refused: invalid status_code",
        "1 refused: min_value usage.input_tokens",
        "1 refused: required account",
        "3 refused: invalid_json",
    ]
    assert list(UsageLog.objects.order_by("event_id").values_list("event_id", flat=True)) == [
        "old.jsonl:1",
        "old.jsonl:9",
    ]


def test_a_changed_line_is_a_conflict_and_the_first_is_kept(tmp_path: Path) -> None:
    run("import_usage", write(tmp_path, {"account": "a", "provider": "openai", "model": "x"}))
    result = run("import_usage", write(tmp_path, {"account": "a", "provider": "openai", "model": "y"}))

    assert (result.status, result.lines[1]) == (1, "1 refused: event_conflict event_id")
    assert UsageLog.objects.get().model_used == "x"


def test_ragged_and_undecodable_csv_rows_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "old.csv"
    file.write_bytes(b"provider,model\nopenai,a,b\nopenai,\xff\nopenai,ok\n")
    result = run("import_usage", str(file), "--account", "a")

    assert result.lines[:2] == [
        "2: The line has 3 cells, the header 2 columns.",
        "3: model: The text is not UTF-8. State the file's encoding, such as --encoding latin-1.",
    ]
    assert UsageLog.objects.get().model_used == "ok"


def test_a_dry_run_stores_nothing(csv: Path) -> None:
    result = run("import_usage", str(csv), *MAPPINGS, *DEFAULTS, "--timezone", "UTC", "--dry-run")

    assert result.lines[-1] == "2 read: 2 would be imported (2 unpriced), 0 already stored, 0 refused."
    assert (UsageLog.objects.count(), Account.objects.count(), UsageDay.objects.count()) == (0, 0, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--map", "nothere=model", *DEFAULTS),
            "The file has no column 'nothere'; it has when, in, output_tokens, who.",
        ),
        (
            ("--map", "when=colour", *DEFAULTS),
            "--map when=colour: use COLUMN=FIELD, where FIELD is a field of a usage event, such as input_tokens.",
        ),
        (("--map", "when=model", "--map", "in=model", *DEFAULTS), "Two columns are mapped to the same field."),
        (
            ("--set", "colour=red", *DEFAULTS),
            "--set colour=red: use FIELD=VALUE, where FIELD is a field of a usage event, such as provider.",
        ),
        (
            ("--set", "provider", *DEFAULTS),
            "--set provider: use FIELD=VALUE, where FIELD is a field of a usage event, such as provider.",
        ),
        (("--timezone", "Mars/Olympus", *DEFAULTS), "'Mars/Olympus' is not an IANA time zone."),
        (
            ("--account", "a"),
            "No column has the provider. State it (--set provider=openai), or map a column to it (--map).",
        ),
        (
            ("--set", "provider=openai"),
            "No column has the account. State it (--account ID), or map a column to it (--map).",
        ),
    ],
)
def test_a_usage_error_imports_nothing(csv: Path, arguments: tuple[str, ...], message: str) -> None:
    result = run("import_usage", str(csv), *arguments)

    assert (result.status, result.err) == (2, message)
    assert UsageLog.objects.count() == 0


@pytest.mark.parametrize("name", ["nothere.csv", "nothere.jsonl", "folder.csv", "old.txt"])
def test_a_missing_or_unsupported_file_is_a_usage_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "old.txt").write_text("x")

    assert run("import_usage", str(tmp_path / name), *DEFAULTS).status == 2


@pytest.mark.shared_data
def test_the_azure_traces_are_imported_in_full(shared_data: Path) -> None:
    for name in ("code", "conv"):
        path = shared_data / f"azure_llm_2023_{name}.csv"
        result = run(
            *("import_usage", str(path), "--account", "acme", "--timezone", "UTC"),
            *("--set", "provider=openai", "--set", "model=gpt-4o"),
            *("--set", "endpoint=https://acme.openai.azure.com/openai/deployments/gpt/chat/completions"),
            *("--map", "TIMESTAMP=occurred_at", "--map", "ContextTokens=usage.input_tokens"),
            *("--map", "GeneratedTokens=output_tokens"),
        )
        assert result.status == 0

    sums = UsageLog.objects.aggregate(Sum("tokens_input"), Sum("tokens_output"))
    assert UsageLog.objects.filter(actual_provider_name="azure", is_priced=False).count() == 28_185
    assert sums == {"tokens_input__sum": 40_421_844, "tokens_output__sum": 4_334_561}
    assert run("verify_ledger").status == 0


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_times_ahead_and_before_2000_are_refused_line_by_line(tmp_path: Path) -> None:
    times = ("2099-01-01T00:00:00Z", "2026-11-22T12:05:00.000001Z", "2026-11-22T12:05:00Z", "1970-01-01T00:00:00Z")
    call = {"account": "a", "provider": "openai"}
    path = write(tmp_path, *({**call, "occurred_at": time} for time in (*times, "2000-01-01T00:00:00Z")))
    result = run("import_usage", path)

    sentence = "occurred_at: The time must not be before the year 2000 or more than 5 minutes ahead."
    assert (result.status, result.lines[:4], result.lines[-1]) == (
        1,
        [f"{line}: {sentence}" for line in (1, 2, 4)] + ["3 refused: out_of_range occurred_at"],
        "5 read: 2 imported (2 unpriced), 0 already stored, 3 refused.",
    )
    assert set(UsageLog.objects.values_list("event_id", flat=True)) == {"old.jsonl:3", "old.jsonl:5"}
