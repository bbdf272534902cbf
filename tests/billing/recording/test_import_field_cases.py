"""The handed cases of other systems' files, and the sample exports, from `import_usage` to their cost."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from django.db.models import Sum

from billing.models import UsageLog
from lib.money import exact_usd
from tests.billing.ledger_rows import CommandResult, assert_ledger_consistent, run, set_price

pytestmark = [pytest.mark.shared_data, pytest.mark.django_db, pytest.mark.frozen_at("2026-12-01T12:00")]

COSTS = {
    "import-openai-usage-floats": ["0.24726"],
    "import-openai-usage-exact": ["0.24726", "0.648614"],
    "import-openai-usage-empty-day": [],
    "import-anthropic-console": ["0.000735"],
    "import-anthropic-context-window": ["3"],
    "import-openrouter-activity": ["0.00123"],
    "import-scientific-notation": ["0.000045"],
    "import-focus-currency": [],
    "import-focus-credit": [],
    "import-litellm-spendlogs": ["0.5"],
    "import-jsonl-short-names": ["0.0000105"],
}


@pytest.fixture(autouse=True)
def prices() -> None:
    """The vendors' prices in USD per million tokens."""
    set_price("gpt-4o", input_tokens="2.5", cached_input_tokens="1.25", output_tokens="10")
    set_price("gpt-5", input_tokens="1.25", cached_input_tokens="0.125", output_tokens="10")
    set_price("gpt-4o-mini", input_tokens="0.15", cached_input_tokens="0.075", output_tokens="0.6")
    set_price(
        "claude-sonnet-4-5",
        "anthropic",
        input_tokens="3",
        cached_input_tokens="0.3",
        cache_write_tokens="3.75",
        cache_write_1h_tokens="6",
        output_tokens="15",
    )


def cases(shared_data: Path) -> dict[str, dict[str, Any]]:
    lines = (shared_data / "field_cases.jsonl").read_text(encoding="utf-8").splitlines()
    return {case["id"]: case["input"] for case in map(json.loads, lines) if case["id"].startswith("import-")}


def run_case(case: dict[str, Any], tmp_path: Path, *, by_format: bool = False) -> CommandResult:
    _, command, name, *options = shlex.split(case["command"])
    (tmp_path / name).write_text(case["file"], encoding="utf-8")
    return run(command, str(tmp_path / name), "--account", "a", *([] if by_format else options))


def costs() -> list[str]:
    return [exact_usd(cost) for cost in UsageLog.objects.order_by("event_id").values_list("cost_total", flat=True)]


def test_every_handed_case_has_an_answer(shared_data: Path) -> None:
    assert set(cases(shared_data)) == set(COSTS)


@pytest.mark.parametrize("name", COSTS)
def test_each_file_costs_what_the_vendor_says(shared_data: Path, tmp_path: Path, name: str) -> None:
    case = cases(shared_data)[name]
    run_case(case, tmp_path)
    assert sorted(costs()) == sorted(COSTS[name])
    again = run_case(case, tmp_path)

    assert " 0 imported" in again.lines[-1]
    assert sorted(costs()) == sorted(COSTS[name])
    assert_ledger_consistent()


def test_the_public_day_of_openai_is_recognised_and_exact(shared_data: Path, tmp_path: Path) -> None:
    result = run_case(cases(shared_data)["import-openai-usage-exact"], tmp_path, by_format=True)

    assert "Format: openai-usage (CSV of completions), recognised by its columns." in result.err
    assert exact_usd(UsageLog.objects.aggregate(Sum("cost_total"))["cost_total__sum"]) == "0.895874"


@pytest.mark.parametrize("name", [name for name in COSTS if name.startswith(("import-anthropic", "import-openai"))])
def test_columns_mapped_as_a_format_does_are_read_by_it(shared_data: Path, tmp_path: Path, name: str) -> None:
    """The console's cache writes stand beside each other, and its rows are sums: one column alone does not say so."""
    case = cases(shared_data)[name]
    mapped, by_format = run_case(case, tmp_path), run_case(case, tmp_path, by_format=True)

    assert mapped.err.startswith("Format: ")
    assert mapped.err.splitlines()[0] == by_format.err.splitlines()[0]
    lines = [log.event_id for log in UsageLog.objects.all() if log.event_id.split(":")[0].endswith(".csv")]
    assert len(lines) == len(COSTS[name])
    assert sorted(costs()) == sorted(COSTS[name] * 2)


def test_columns_mapped_in_another_way_are_read_as_mapped(shared_data: Path, tmp_path: Path) -> None:
    case = cases(shared_data)["import-anthropic-console"]
    command = case["command"].replace("cache_write_5m=cache_write_tokens", "cache_write_5m=cached_input_tokens")
    command = command.replace("--map usage_input_tokens_cache_read=cached_input_tokens", "")
    result = run_case({**case, "command": command}, tmp_path)

    assert "Format: " not in result.err
    assert UsageLog.objects.get().tokens_cached == 100


def test_an_empty_day_is_counted_as_skipped(shared_data: Path, tmp_path: Path) -> None:
    result = run_case(cases(shared_data)["import-openai-usage-empty-day"], tmp_path)

    assert (result.status, "1 skipped: no usage" in result.lines) == (0, True)


def test_another_currency_is_refused_until_its_rate_is_stated(shared_data: Path, tmp_path: Path) -> None:
    case = cases(shared_data)["import-focus-currency"]
    refused = run_case(case, tmp_path)
    assert refused.lines[0] == (
        "2: cost_usd: The cost is in EUR; state its rate with --rate EUR=USD (column 'BilledCost')."
    )
    assert (refused.status, UsageLog.objects.count()) == (1, 0)

    assert run_case({**case, "command": case["command"] + " --rate EUR=1.0840"}, tmp_path).status == 0
    log = UsageLog.objects.get()
    assert exact_usd(log.cost_total) == "0.0133332"
    assert log.metadata == {"original_cost": "0.0123", "original_currency": "EUR", "exchange_rate": "1.084"}


def test_a_credit_is_refused_with_count_and_sum(shared_data: Path, tmp_path: Path) -> None:
    result = run_case(cases(shared_data)["import-focus-credit"], tmp_path)

    assert (result.status, result.lines[:3]) == (
        1,
        [
            "2: cost_usd: A credit or correction of -0.5 USD: accounts have no credits (column 'BilledCost').",
            "1 refused: credit cost_usd",
            "1 credits of -0.5 USD in all were not imported.",
        ],
    )
    assert UsageLog.objects.count() == 0


SAMPLES = {  # file -> format, options, (model, tokens, cost) of each log
    "anthropic_analytics.sample.json": ("anthropic-usage", (), [("claude-sonnet-4-5", 5130, "0.0072")]),
    "anthropic_cost_report_legacy.sample.json": ("anthropic-usage", (), [("claude-sonnet-4-5", 0, "1.2345")]),
    "aws_cur2_bedrock.sample.csv": (
        "aws-cur2",
        (),
        [
            ("Claude4.5Sonnet", 50, "0.00015"),
            ("Claude4.5Sonnet", 4000, "0.0012"),
            ("Claude4.5Sonnet", 1000, "0.00375"),
            ("Claude4.5Sonnet", 80, "0.0012"),
        ],
    ),
    "gcp_standard_usage.sample.json": (
        "gcp-billing",
        ("--rate", "EUR=1.0840"),
        [("Gemini 2.5 Pro", 3000, "0.004065")],
    ),
    "openrouter_activity.sample.json": (
        "openrouter-activity",
        (),
        [("openai/gpt-4.1-2025-04-14", 175, "0.015")],
    ),
    "focus_1.0_sample_20rows.csv": ("focus", (), []),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_each_sample_is_imported_once(shared_data: Path, name: str) -> None:
    format_name, options, expected = SAMPLES[name]
    command = ("import_usage", str(shared_data / "vendor_exports" / name), "--account", "a", *options)
    first, second = run(*command), run(*command)

    assert f"Format: {format_name}" in first.err
    assert (first.status, second.status) == (0, 0)
    assert f" {len(expected)} imported" in first.lines[-1]
    assert f" 0 imported (0 unpriced), {len(expected)} already stored, 0 refused." in second.lines[-1]
    logs = [(log.model_used, log.tokens_total, exact_usd(log.cost_total)) for log in UsageLog.objects.order_by("id")]
    assert logs == expected
    assert_ledger_consistent()


def test_each_answer_of_the_usage_api_is_read(shared_data: Path, tmp_path: Path) -> None:
    examples = json.loads((shared_data / "vendor_exports" / "openai_usage_costs_examples.json").read_text())
    outcomes = {}
    for number, (path, example) in enumerate(examples.items()):
        file = tmp_path / f"{number}.json"
        file.write_text(example["examples"]["response"])
        result = run("import_usage", str(file), "--account", "a")
        outcomes[path.rpartition("/")[2]] = result.lines[-1].partition(" (")[0] if result.status == 0 else result.err

    assert outcomes.pop("costs").startswith("The file's format is not known; name it with --format, one of ")
    assert outcomes.pop("vector_stores") == "0 read: 0 imported"
    assert set(outcomes.values()) == {"1 read: 1 imported"}
    assert len(outcomes) == 9
    assert_ledger_consistent()
