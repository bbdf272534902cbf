"""For ten vendors' responses, the log tells what was read, what was ignored and why, and what was not read."""

from __future__ import annotations

from html import unescape
from typing import Any

import pytest
from django.test import Client

from billing.events.vendor_responses import informational
from tests.billing.events.vendor_responses.samples import Sample
from tests.billing.events.vendor_responses.test_readings import SAMPLES
from tests.conftest import Api

SUM, PART = "the sum of other counts", "a part of another count"
DURATION, COST = "a duration or a rate, by which nothing is billed", "a part of the vendor's own cost"
TOOLS = "a number of tool calls, free or counted by another field"
# sample -> the provider, and the reason of each number that is not counted
VENDORS: dict[str, tuple[str, dict[str, str]]] = {
    "openai response with a deep search": ("openai", {"usage.total_tokens": SUM}),
    "anthropic with tools of the server": (
        "anthropic",
        {
            "usage.cache_creation.ephemeral_5m_input_tokens": PART,
            "usage.server_tool_use.code_execution_requests": TOOLS,
        },
    ),
    "gemini interaction": (
        "gemini",
        {
            "usage.total_tokens": SUM,
            "usage.input_tokens_by_modality[0].tokens": PART,
            "usage.cached_tokens_by_modality[0].tokens": PART,
            "usage.output_tokens_by_modality[0].tokens": PART,
            "usage.tool_use_tokens_by_modality[0].tokens": PART,
        },
    ),
    "bedrock headers": ("bedrock", {"ResponseMetadata.HTTPHeaders.x-amzn-bedrock-invocation-latency": DURATION}),
    "mistral ocr": ("mistral", {"usage_info.doc_size_bytes": "a size, by which nothing is billed"}),
    "cohere with more cached than billed": (
        "cohere",
        dict.fromkeys(
            ("usage.cached_tokens", "usage.tokens.input_tokens", "usage.tokens.output_tokens"),
            "what was processed; billed units are stated",
        ),
    ),
    "groq chat": (
        "groq",
        {
            "usage.total_tokens": SUM,
            "usage.queue_time": DURATION,
            "usage.prompt_time": DURATION,
            "usage.completion_time": DURATION,
            "usage.total_time": DURATION,
        },
    ),
    "xai response": (
        "xai",
        {
            "usage.total_tokens": SUM,
            "usage.num_server_side_tools_used": TOOLS,
            "usage.server_side_tool_usage_details.mcp_calls": TOOLS,
            "usage.context_details.input_tokens": "repeats the usage of the last step",
            "usage.context_details.output_tokens": "repeats the usage of the last step",
            "output.web_search_call": TOOLS,
        },
    ),
    "perplexity agent": (
        "perplexity",
        {
            "usage.total_tokens": SUM,
            "usage.cost.input_cost": COST,
            "usage.cost.output_cost": COST,
            "usage.cost.tool_calls_cost": COST,
        },
    ),
    "deepseek chat": ("deepseek", {"usage.total_tokens": SUM, "usage.prompt_cache_miss_tokens": PART}),
}
BY_NAME = {sample.name: sample for sample in SAMPLES}


def as_numbers(usage: dict[str, Any]) -> dict[str, Any]:
    """The usage as a log has it: without zeros, decimals in their shortest form."""
    texts = {name: value.rstrip("0").rstrip(".") if isinstance(value, str) else value for name, value in usage.items()}
    return {name: value for name, value in texts.items() if value}


@pytest.mark.parametrize("name", VENDORS)
def test_a_log_tells_what_was_read_ignored_and_why(bound: Api, admin_client: Client, name: str) -> None:
    (provider, reasons), sample = VENDORS[name], BY_NAME[name]
    answer = bound.post("usage/", {"event_id": "e1", "provider": provider, "response": sample.response})
    assert answer.status_code == 201, answer.json()
    log = bound.get(f"usage/logs/{answer.json()['id']}/").json()

    assert as_numbers(log["usage"]) == as_numbers(sample.expected.usage)
    reading = log["reading"]
    assert (reading["reader"], reading["ignored_reasons"]) == (sample.expected.reader, reasons)
    assert sorted(reading["ignored"]) == sorted(reasons)
    assert sorted(reading["unread"]) == sorted(sample.expected.unread)
    page = unescape(admin_client.get(f"/admin/billing/usagelog/{log['id']}/change/").content.decode())
    assert f"<dt>Read by</dt><dd>{sample.expected.reader}</dd>" in page
    assert all(f"{path} ({reason})" in page for path, reason in reasons.items())
    assert all(path in page for path in sample.expected.unread)


def test_ten_vendors_are_shown() -> None:
    assert (len(VENDORS), len({provider for provider, _ in VENDORS.values()})) == (10, 10)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_total_is_called_a_sum_and_a_time_a_duration(sample: Sample) -> None:
    reasons = informational.reasons(sample.expected.ignored, ())
    assert {*reasons} == {*sample.expected.ignored}
    assert all(
        (reason == SUM)
        == path.lower().endswith(("total_tokens", "totaltokens", "totaltokencount", "total_token_count"))
        for path, reason in reasons.items()
    )


def test_what_an_operator_dismissed_says_so() -> None:
    ignored = ("usage.total_tokens", "usage.stars")
    assert informational.reasons(ignored, ["usage.stars"]) == {
        "usage.total_tokens": SUM,
        "usage.stars": "an operator decided that it does not count",
    }
