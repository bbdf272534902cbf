"""The handed cases from the field whose answer is a quantity, or a cost that follows from quantities and known rates."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from billing.events.vendor_responses.reading import Reading, read_pieces

pytestmark = pytest.mark.shared_data

# Dollars per million of the prices that the cases name.
RATES: dict[str, dict[str, str]] = {
    "anthropic-compaction": {"input_tokens": "5", "output_tokens": "25"},
    "anthropic-fast-mode": {"input_tokens": "10", "output_tokens": "50"},
    "anthropic-refusal-fallback": {"input_tokens": "5", "output_tokens": "25"},
    "anthropic-1h-write-stream": {"input_tokens": "3", "output_tokens": "15", "cache_write_1h_tokens": "6"},
    "anthropic-web-search": {"input_tokens": "3", "output_tokens": "15", "searches": "10000"},
    "openai-web-search-call": {"input_tokens": "2", "output_tokens": "8", "searches": "10000"},
    "openai-tier-served-default": {"input_tokens": "1.25", "output_tokens": "10"},
    "openai-tier-flex-served": {"input_tokens": "0.625", "output_tokens": "5"},
    "gemini-grounding": {"input_tokens": "0.3", "output_tokens": "2.5", "searches": "35000"},
    "two-responses-one-block": {"input_tokens": "2.5", "output_tokens": "10"},
    "bedrock-converse-cache-write": {
        "input_tokens": "3",
        "output_tokens": "15",
        "cached_input_tokens": "0.3",
        "cache_write_tokens": "3.75",
    },
}
QUANTITIES: dict[str, dict[str, int]] = {
    "openai-cache-write-responses": {
        "input_tokens": 18014,
        "cached_input_tokens": 0,
        "cache_write_tokens": 18011,
        "output_tokens": 5,
    },
    "openai-realtime-cached-audio": {
        "input_tokens": 1000,
        "output_tokens": 100,
        "cached_input_tokens": 600,
        "input_audio_tokens": 800,
        "cached_audio_tokens": 500,
        "output_audio_tokens": 80,
    },
    "gemini-cached-inclusive": {
        "input_tokens": 11125,
        "output_tokens": 429,
        "reasoning_tokens": 409,
        "cached_input_tokens": 7441,
    },
    "aborted-openai-stream": {},
    "litellm-modelresponse-claude": {
        "input_tokens": 98805,
        "output_tokens": 5120,
        "cached_input_tokens": 66360,
        "cache_write_tokens": 32435,
    },
}


def response_cases(shared_data: Path) -> dict[str, dict[str, Any]]:
    """The cases with responses, by id."""
    lines = (shared_data / "field_cases.jsonl").read_text(encoding="utf-8").splitlines()
    cases = {case["id"]: case for case in map(json.loads, lines)}
    return {name: case for name, case in cases.items() if case["input"] and responses_in(case)}


def responses_in(case: dict[str, Any]) -> list[Any]:
    source = case["input"]
    return source.get("call.response") or ([source["response"]] if "response" in source else [])


def cost(reading: Reading, rates: dict[str, str]) -> Decimal:
    return sum((Decimal(rate) * Decimal(reading.usage[unit]) for unit, rate in rates.items()), Decimal()) / 10**6


def test_every_case_is_read_completely_and_right(shared_data: Path) -> None:
    cases = response_cases(shared_data)
    for name, case in cases.items():
        reading, expected = read_pieces(responses_in(case)), case["expected"]
        assert reading.unread == (), name
        if "usage" in expected:
            assert expected["usage"].items() <= reading.usage.items(), name
            assert expected.get("variant", {}).items() <= reading.variant.items(), name
        elif name in QUANTITIES:
            assert reading.usage == QUANTITIES[name], name
        elif name in RATES:
            assert cost(reading, RATES[name]) == Decimal(expected["cost_usd"]), name
        else:
            assert reading.cost_usd == expected["cost_usd"], name
    assert len(cases) == 23
