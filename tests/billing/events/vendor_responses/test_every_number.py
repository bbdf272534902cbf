"""No number in a vendor's usage is lost: it is read, known to be informational, or listed as unread."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from billing.events.vendor_responses.envelopes import TOP_COUNTS
from billing.events.vendor_responses.reading import Reading, read_pieces
from tests.billing.events.vendor_responses.samples import Sample
from tests.billing.events.vendor_responses.test_readings import SAMPLES, each_sample, in_order

USAGES = {"usage", "usageMetadata", "usage_metadata", "usage_info", "totalUsage", "meta"}
USAGES |= {"amazon-bedrock-invocationMetrics"}
NO_COUNTS = {
    "negative": -3,
    "a fraction": 0.5,
    "large": 1e300,
    "NaN": float("nan"),
    "infinite": float("inf"),
    "long": 10**40,
    "longer": 10**5000,
}
Keys = tuple[str | int, ...]


def below(value: Any, keys: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """Every value inside a response and the keys that lead to it."""
    yield keys, value
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from below(child, (*keys, key))


def is_counted(keys: Keys) -> bool:
    """Inside the usage that is read, and not in what LangChain keeps of the vendor's response."""
    in_usage = USAGES & set(keys) and "response_metadata" not in keys
    return bool(in_usage) or keys[-1:] in {(name,) for name in TOP_COUNTS}


def usage_values(sample: Sample) -> list[tuple[Keys, Any]]:
    skipped = "usage" if "totalUsage" in sample.response else ""  # the last step's, a part of the total
    return [(keys, value) for keys, value in below(sample.response) if is_counted(keys) and skipped not in keys[:1]]


def numbers_in(sample: Sample) -> list[Keys]:
    return [
        keys for keys, value in usage_values(sample) if isinstance(value, int | float) and not isinstance(value, bool)
    ]


def objects_in(sample: Sample) -> list[Keys]:
    """The objects inside the usage, but those that are informational as a whole."""
    whole = {"raw", "context_details", "cost", "cost_details"}
    return [keys for keys, value in usage_values(sample) if isinstance(value, dict) and not whole & set(keys)]


def changed(sample: Sample, keys: Keys, value: Any) -> Reading:
    response = copy.deepcopy(sample.response)
    holder: Any = response
    for key in keys[:-1]:
        holder = holder[key]
    holder[keys[-1]] = value
    return read_pieces([response])


def at(sample: Sample, keys: Keys) -> Any:
    value: Any = sample.response
    for key in keys:
        value = value[key]
    return value


def path_of(keys: Keys) -> str:
    """The path of a number in a reading: from the usage on."""
    start = next((index for index, key in enumerate(keys) if key in USAGES), len(keys) - 1)
    if keys[max(start - 1, 0)] == "x_groq":
        start -= 1
    path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys[start:])
    return path.removeprefix(".")


@each_sample
def test_a_number_that_changes_is_noticed(sample: Sample) -> None:
    before = sample.expected
    for keys in numbers_in(sample):
        reading = changed(sample, keys, at(sample, keys) + 1)
        path = path_of(keys)
        if path in before.ignored:  # it says nothing, or a total now differs
            assert in_order(reading) == in_order(before) or {*reading.unread} - {*before.unread}, path
        elif path not in before.unread:
            facts = (reading.usage, reading.cost_usd, reading.unread)
            assert facts != (before.usage, before.cost_usd, before.unread), path


@each_sample
def test_the_values_of_unread_numbers_are_kept(sample: Sample) -> None:
    numbers = {path_of(keys): at(sample, keys) for keys in numbers_in(sample)}
    reading = read_pieces([sample.response])
    assert reading.unread_values.keys() <= {*reading.unread}
    values = {path: Decimal(value) for path, value in reading.unread_values.items() if path in numbers}
    assert values == {path: Decimal(str(numbers[path])) for path in values}


@pytest.mark.parametrize("name", NO_COUNTS)
@each_sample
def test_a_number_that_is_no_count_is_unread(sample: Sample, name: str) -> None:
    for keys in numbers_in(sample):
        reading, path = changed(sample, keys, NO_COUNTS[name]), path_of(keys)
        is_decimal = name == "a fraction" and any(unit in path for unit in ("seconds", "duration", "cost", "pixels"))
        if path not in reading.ignored and not is_decimal:  # it is unread, or the total that it is a part of
            assert path in reading.unread or {*reading.unread} - {*sample.expected.unread}, path


@each_sample
def test_a_number_that_no_table_knows_is_unread(sample: Sample) -> None:
    for keys in objects_in(sample):
        reading = changed(sample, (*keys, "new_kind_of_tokens"), 7)
        assert f"{path_of(keys)}.new_kind_of_tokens" in reading.unread
        assert reading.usage == sample.expected.usage


def test_numbers_and_objects_of_every_sample_are_tried() -> None:
    counts = [sum(len(keys_in(sample)) for sample in SAMPLES) for keys_in in (numbers_in, objects_in)]
    assert (counts[0] > 200, counts[1] > 80) == (True, True)


def test_all_numbers_are_unread_where_no_shape_fits() -> None:
    reading = read_pieces([{"usage": {"units": 3, "by_kind": {"a": 2, "b": 0}}}])
    assert (reading.reader, reading.usage, reading.unread) == ("", {}, ("usage.units", "usage.by_kind.a"))


@pytest.mark.parametrize(
    ("usage", "path"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 9}, "usage.total_tokens"),
        ({"input_tokens": 5, "output_tokens": 3, "total_tokens": 7}, "usage.total_tokens"),
        ({"inputTokens": 5, "outputTokens": 3, "totalTokens": 9}, "usage.totalTokens"),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 1,
                "prompt_cache_hit_tokens": 5,
                "prompt_cache_miss_tokens": 3,
            },
            "usage.prompt_tokens",
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 1,
                "prompt_tokens_details": {"cached_tokens": 5},
                "cache_read_input_tokens": 4,
            },
            "usage.cache_read_input_tokens",
        ),
        ({"prompt_tokens": 9, "completion_tokens": 1, "promptTokens": 8}, "usage.promptTokens"),
        (
            {"input_tokens": 5, "output_tokens": 1, "iterations": [{"type": "message", "input_tokens": 4}]},
            "usage.input_tokens",
        ),
    ],
)
def test_a_total_or_a_repetition_that_differs_is_unread(usage: dict[str, Any], path: str) -> None:
    assert read_pieces([{"usage": usage}]).unread == (path,)


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (
            {"prompt_tokens": 5, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 7}},
            {"input_tokens": 5, "output_tokens": 3, "cached_input_tokens": 5},
        ),
        (
            {"prompt_tokens": 5, "completion_tokens": 3, "completion_tokens_details": {"reasoning_tokens": 7}},
            {"input_tokens": 5, "output_tokens": 3, "reasoning_tokens": 3},
        ),
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 7},
            },
            {"input_tokens": 5, "output_tokens": 3, "cached_input_tokens": 2, "cache_write_tokens": 3},
        ),
    ],
)
def test_a_part_beyond_its_whole_is_cut_and_unread(usage: dict[str, Any], read: dict[str, int]) -> None:
    reading = read_pieces([{"usage": usage}])
    assert (reading.usage, len(reading.unread)) == (read, 1)
