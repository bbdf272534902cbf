"""Why a number of a response is not counted, by rules over its path. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import translate

from billing.events.vendor_responses.fields import snake_case

DECIDED = "an operator decided that it does not count"
PART = "a part of another count"
# patterns of paths in snake case -> reason; the first that fits
RULES = tuple(
    (re.compile("|".join(translate(pattern) for pattern in patterns.split())), reason)
    for patterns, reason in (
        ("usage_breakdown.*", "repeats the usage for each model"),
        ("*.context_details.*", "repeats the usage of the last step"),
        ("*.raw.*", "repeats the vendor's own usage"),
        (
            "*_time *_time_* *latency *_ms *_duration *_per_sec* *.time_to_* *acceptance_rate",
            "a duration or a rate, by which nothing is billed",
        ),
        ("*cost_estimate *estimated_cost", "an estimate of the cost"),
        ("*.cost.* *.cost_details.*", "a part of the vendor's own cost"),
        ("*.total_tokens *.total_token_count", "the sum of other counts"),
        ("duration seconds data", "repeats another count"),
        (
            "*.tokens.input_tokens *.tokens.output_tokens *usage.cached_tokens",
            "what was processed; billed units are stated",
        ),
        ("*.initial_prompt_tokens *_details.tool_use_tokens", PART),
        (
            "*_calls *_call *_requests *_tools_used *.tool_calls_* *executed_tools",
            "a number of tool calls, free or counted by another field",
        ),
        ("*_bytes", "a size, by which nothing is billed"),
        ("*.video_count", "videos are counted by their duration"),
    )
)


def reason(path: str) -> str:
    """The reason by the path; most numbers are a part of another count."""
    name = snake_case(path)
    return next((text for pattern, text in RULES if pattern.match(name)), PART)


def reasons(ignored: Iterable[str], decided: Iterable[str]) -> Mapping[str, str]:
    """The reason of each ignored path; `decided` are those that no reader knows."""
    unknown = set(decided)
    return {path: DECIDED if path in unknown else reason(path) for path in ignored}
