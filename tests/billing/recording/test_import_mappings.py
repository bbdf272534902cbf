"""`import_usage` with a mapping by hand: sums, nested keys, replaced texts, number and time forms, currencies."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from billing.models import UsageLog
from lib.money import exact_usd
from tests.billing.ledger_rows import CommandResult, run
from tests.conftest import Api

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at("2026-12-01T12:00")]
DEFAULTS = ("--account", "a", "--set", "provider=openai")


def import_csv(tmp_path: Path, text: str, *arguments: str) -> CommandResult:
    (tmp_path / "a.csv").write_text(text)
    return run("import_usage", str(tmp_path / "a.csv"), *DEFAULTS, *arguments)


def import_json(tmp_path: Path, *lines: dict[str, Any], arguments: tuple[str, ...] = ()) -> CommandResult:
    (tmp_path / "a.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return run("import_usage", str(tmp_path / "a.jsonl"), *DEFAULTS, *arguments)


def log() -> UsageLog:
    return UsageLog.objects.get()


def test_columns_are_added_up(tmp_path: Path) -> None:
    assert import_csv(tmp_path, "x,y,z\n1,2.0,\n", "--map", "x + y+z=input_tokens").status == 0
    assert log().tokens_input == 3


def test_a_column_whose_name_has_a_plus_is_one_column(tmp_path: Path) -> None:
    assert import_csv(tmp_path, "x+y,x,y\n7,1,2\n", "--map", "x+y=input_tokens").status == 0
    assert log().tokens_input == 7


@pytest.mark.parametrize(
    ("pair", "column"), [("x + nothere=input_tokens", "nothere"), ("usage.in=input_tokens", "usage.in")]
)
def test_a_column_of_a_sum_must_exist(tmp_path: Path, pair: str, column: str) -> None:
    result = import_csv(tmp_path, "x,y\n1,2\n", "--map", pair)
    assert (result.status, result.err) == (2, f"The file has no column {column!r}; it has x, y.")


def test_texts_can_not_be_added_up(tmp_path: Path) -> None:
    result = import_csv(tmp_path, "x,y\n1,2\n", "--map", "x + y=model")
    assert (result.status, result.err) == (2, "x + y: only numbers can be added up, and model is none.")

    result = import_csv(tmp_path, "x,y\n1,many\n", "--map", "x + y=input_tokens")
    assert result.lines[0] == "2: usage.input_tokens: 'many' is not a number (column 'x + y')."


def test_the_first_column_with_a_value_counts(tmp_path: Path) -> None:
    assert import_csv(tmp_path, "x,y\n,m\n", "--map", "x | y=model").status == 0
    assert log().model_used == "m"


def test_texts_are_replaced(tmp_path: Path) -> None:
    values = ("--map", "batch=service_tier", "--values", "batch:TRUE=batch", "--values", "batch:FALSE=")
    assert import_csv(tmp_path, "batch,input_tokens\ntrue,1\nFALSE,2\nflex,3\n", *values).status == 0
    variants = UsageLog.objects.order_by("event_id").values_list("variant", flat=True)
    assert list(variants) == [{"service_tier": "batch"}, {}, {"service_tier": "flex"}]


def test_texts_of_a_column_that_is_no_field_are_not_replaced(tmp_path: Path) -> None:
    result = import_csv(tmp_path, "batch,input_tokens\ntrue,1\n", "--values", "batch:TRUE=batch")
    assert (result.status, result.err) == (2, "--values batch: no field comes from this column. Map it with --map.")


@pytest.mark.parametrize("option", ["batch", "batch:TRUE", "batch=TRUE"])
def test_a_malformed_replacement_is_refused(tmp_path: Path, option: str) -> None:
    result = import_csv(tmp_path, "batch\ntrue\n", "--values", option)
    assert (result.status, result.err) == (2, f"--values {option}: use COLUMN:TEXT=VALUE, such as batch:TRUE=batch.")


@pytest.mark.parametrize("option", ["EUR", "EUR=0", "EUR=-1", "EUR=1,08", "€=1"])
def test_a_malformed_rate_is_refused(tmp_path: Path, option: str) -> None:
    result = import_csv(tmp_path, "x\n1\n", "--rate", option)
    expected = f"--rate {option}: use CURRENCY=USD, the US dollars for one, such as EUR=1.0840."
    assert (result.status, result.err) == (2, expected)


def test_nested_keys_are_read_and_other_keys_left_out(tmp_path: Path) -> None:
    line = {
        "createdAt": 1793577600123,
        "usage": {"prompt_tokens": 30, "completion_tokens": 10, "total_tokens": 40, "details": {"cached": 20}},
        "model": "gpt-4o-mini",
        "cost": 0.1234567891234,
        "choices": [],
    }
    arguments = (
        *("--map", "usage.prompt_tokens=input_tokens", "--map", "usage.completion_tokens=output_tokens"),
        *(
            "--map",
            "usage.details.cached=cached_input_tokens",
            "--map",
            "createdAt=occurred_at",
            "--map",
            "cost=cost_usd",
        ),
    )
    result = import_json(tmp_path, line, arguments=arguments)

    assert result.status == 0
    assert (log().tokens_input, log().tokens_output, log().tokens_cached) == (30, 10, 20)
    assert log().timestamp == datetime(2026, 11, 2, 0, 0, 0, 123000, tzinfo=UTC)
    assert exact_usd(log().cost_total) == "0.123456789"
    assert [text for text in result.err.splitlines() if "ignored" in text] == [
        "Column 'choices' is not a field and was ignored.",
        "Column 'usage.total_tokens' is not a field and was ignored.",
    ]


def test_a_json_number_is_an_exact_cost(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"cost_usd": 0.1000000005000000000001}\n{"cost_usd": 1e-9}\n{"cost_usd": 3}\n{"cost_usd": 0.30000000000000004}\n'
    )
    assert run("import_usage", str(tmp_path / "a.jsonl"), *DEFAULTS).status == 0
    costs = UsageLog.objects.order_by("event_id").values_list("cost_total", flat=True)
    assert list(costs) == [100_000_001, 1, 3_000_000_000, 300_000_000]


def test_what_is_stored_as_it_was_sent_keeps_its_numbers(tmp_path: Path) -> None:
    assert import_json(tmp_path, {"input_tokens": 1, "metadata": {"x": 0.5, "y": [1.5, {"z": 1e-7}]}}).status == 0
    assert log().metadata == {"x": 0.5, "y": [1.5, {"z": 1e-7}]}


def test_nulls_are_no_values(tmp_path: Path) -> None:
    result = import_json(tmp_path, {"model": None, "input_tokens": 1, "images": None}, {"input_tokens": None})
    assert (result.status, result.lines[0], result.lines[-1]) == (
        0,
        "1 skipped: no usage",
        "1 read: 1 imported (1 unpriced), 0 already stored, 0 refused.",
    )


def test_a_failed_call_without_usage_is_a_call(tmp_path: Path) -> None:
    assert import_csv(tmp_path, "input_tokens,status_code\n,500\n,\n").lines[0] == "1 skipped: no usage"
    assert log().status_code == 500


def test_currencies(tmp_path: Path) -> None:
    text = "cost_usd,currency\n1,usd\n1,EUR\n1,\n1,GBP\n"
    result = import_csv(tmp_path, text, "--rate", "EUR=1.0840")

    assert result.lines[:2] == [
        "5: cost_usd: The cost is in GBP; state its rate with --rate GBP=USD.",
        "1 refused: currency cost_usd",
    ]
    costs = UsageLog.objects.order_by("event_id").values_list("cost_total", flat=True)
    assert list(costs) == [1_000_000_000, 1_084_000_000, 1_000_000_000]


def test_a_currency_that_no_column_names_is_stated(tmp_path: Path) -> None:
    assert import_csv(tmp_path, "cost_usd\n2\n", "--set", "currency=EUR", "--rate", "EUR=1.5").status == 0
    assert log().cost_total == 3_000_000_000


def test_two_columns_that_may_be_the_currency_need_a_mapping(tmp_path: Path) -> None:
    text = "cost_usd,PricingCurrency,CostCurrency\n1,EUR,USD\n"
    expected = "The columns PricingCurrency and CostCurrency may hold the currency; map one with --map COLUMN=currency."
    assert import_csv(tmp_path, text).err == expected
    assert import_csv(tmp_path, text, "--map", "CostCurrency=currency").status == 0
    assert log().cost_total == 1_000_000_000


def test_credits_are_summed_by_currency(tmp_path: Path) -> None:
    text = "cost_usd,currency\n-1.5,USD\n-0.25,USD\n-3,EUR\n1,USD\n"
    result = import_csv(tmp_path, text)

    assert (result.status, result.lines[3:6]) == (
        1,
        [
            "3 refused: credit cost_usd",
            "2 credits of -1.75 USD in all were not imported.",
            "1 credits of -3 EUR in all were not imported.",
        ],
    )
    assert log().cost_total == 1_000_000_000


def test_columns_are_fields_if_no_format_is_to_be_recognised(tmp_path: Path) -> None:
    header = "request_id,call_type,spend,prompt_tokens,startTime,input_tokens"
    result = import_csv(tmp_path, f"{header}\nr,x,1,2,2026-11-02T10:00:00Z,7\n", "--format", "fields")
    assert (result.status, log().tokens_input, log().event_id) == (0, 7, "a.csv:2")


def test_a_mapping_adds_to_a_named_format(tmp_path: Path) -> None:
    header = "request_id,call_type,spend,prompt_tokens,completion_tokens,startTime,team_id,custom_llm_provider"
    (tmp_path / "a.csv").write_text(f"{header}\nr,x,1,2,3,2026-11-02 10:00:00,blue,openai\n")
    command = ("import_usage", str(tmp_path / "a.csv"), "--format", "litellm-spendlogs", "--map", "team_id=account")

    assert run(*command).status == 0
    assert (log().account.external_id, log().event_id) == ("blue", "litellm-spendlogs:r")


def test_jsonl_without_any_field_is_refused_as_a_whole(tmp_path: Path) -> None:
    result = import_json(tmp_path, {"prompt": 3, "answer": 4})
    assert (result.status, result.err.partition(";")[0]) == (2, "The file's format is not known")
    assert UsageLog.objects.count() == 0


def test_long_decimals_neither_round_nor_stop_the_import(tmp_path: Path) -> None:
    long = f"{'9' * 39}.{'9' * 59}"
    result = import_csv(tmp_path, f"cost_usd,x,y\n{long},0,0\n-0.0,1,{'0' * 38}1\n", "--map", "x + y=input_tokens")

    assert result.lines[0] == "2: cost_usd: Not a decimal from 0 to 1000000 with at most 18 places."
    assert (log().cost_total, log().tokens_input) == (0, 2)


def test_a_truth_value_is_no_count(tmp_path: Path) -> None:
    result = import_json(tmp_path, {"input_tokens": True})
    assert (result.status, result.lines[0]) == (1, "1: usage.input_tokens: Expected `int`, got `bool`.")


@pytest.mark.parametrize("depth", [70, 400, 900])
def test_deep_metadata_are_refused(tmp_path: Path, depth: int) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"input_tokens": 1, "metadata": {"b": 0.5, "a": ' + '{"a":' * depth + "1" + "}" * depth + "}}\n"
    )
    result = run("import_usage", str(tmp_path / "a.jsonl"), *DEFAULTS)
    assert (result.status, result.lines[0]) == (1, "1: The line is nested more than 64 levels deep.")


def test_an_event_that_the_api_has_is_already_stored(tmp_path: Path, service: Api) -> None:
    event: dict[str, Any] = {
        "event_id": "e",
        "provider": "openai",
        "account": "a",
        "occurred_at": "2026-11-30T10:00:00Z",
        "response": {
            "id": "r",
            "object": "chat.completion",
            "model": "gpt-4o",
            "temperature": 0.7,
            "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
        },
        "metadata": {"ratio": 0.25},
    }
    assert service.post("usage/", event).status_code == 201
    (tmp_path / "failed.jsonl").write_text(f"{json.dumps(event)}\n")
    result = run("import_usage", str(tmp_path / "failed.jsonl"))

    assert result.lines[-1] == "1 read: 0 imported (0 unpriced), 1 already stored, 0 refused."
    assert log().tokens_input == 9
