"""Any value is accepted as a response, and what is read of it can be an event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import msgspec
import pytest

from billing.events.vendor_responses.reading import read_pieces


class RaisingProperty:
    """An object whose attributes raise exceptions."""

    @property
    def message(self) -> None:
        raise RuntimeError("not here")

    @property
    def usage(self) -> None:
        raise RuntimeError("not here")


class Level(IntEnum):
    HIGH = 3


class RaisingText(Decimal):
    def __str__(self) -> str:
        raise ValueError


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {"prompt_tokens": 1}
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "response",
    [
        None,
        "a text",
        b"bytes",
        5,
        [],
        {},
        object(),
        type,
        MagicMock,
        MagicMock(),
        Fraction(1, 3),
        RaisingProperty(),
        {"usage": None},
        {"usage": "much"},
        {"usage": ["much"]},
        {"usage": True},
        {"usage": {"prompt_tokens": True, "input_tokens": "7"}},
        {"usage": {"input_tokens": Level.HIGH}},
        {"usage_metadata": {"prompt_token_count": None}},
        {"data": [{"embedding": []}, None, 3]},
        {"output": [None, 3, "web_search_call", {"type": 3}]},
        {"candidates": 3, "results": 4, "predictions": "x"},
        {"id": 3, "model": 4, "type": [], "object": {}},
        {1: 2, None: 3},
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_response_without_valid_usage_reads_as_empty(response: object) -> None:
    result = read_pieces([response])
    assert (result.usage, result.cost_usd, result.reader, result.unread) == ({}, None, "", ())


@pytest.mark.parametrize(
    ("usage", "unread"),
    [
        (object(), ("usage",)),
        (nested(5000), ("usage" + ".a" * 9,)),
        ([[[[[[[[[[[1]]]]]]]]]]], ("usage" + "[0]" * 9,)),
        ({"prompt_tokens": -1, "completion_tokens": 1.5}, ("usage.prompt_tokens", "usage.completion_tokens")),
        ({"seconds": Decimal("NaN")}, ("usage.seconds",)),
        ({"seconds": -0.5}, ("usage.seconds",)),
        ({"seconds": 1e300}, ("usage.seconds",)),
        ({"seconds": RaisingText(3)}, ("usage.seconds",)),
        ({"cost": -1, "prompt_tokens": 0}, ("usage.cost",)),
        ({"cost": 10**7, "prompt_tokens": 0}, ("cost",)),
        ({"a.b\n\x00\ud800": 1}, ("usage.a?b",)),
        ({"x" * 5000: 1}, ("usage." + "x" * 94,)),
        ({"prompt_tokens": 3j}, ("usage.prompt_tokens",)),
    ],
)
def test_what_can_not_be_counted_is_unread(usage: object, unread: tuple[str, ...]) -> None:
    assert read_pieces([{"usage": usage}]).unread == unread


def test_the_paths_of_a_large_usage_are_limited() -> None:
    result = read_pieces([{"usage": {f"kind_{number}": 1 for number in range(100_000)}}])
    assert len(result.unread) == 50
    assert result.usage == {}


@pytest.mark.parametrize("name", ["output", "data", "candidates", "embeddings", "results", "predictions"])
def test_a_list_that_is_too_long_is_unread(name: str) -> None:
    assert read_pieces([{name: [{}] * 100_000}]).unread == (f"{name}[20000]",)
    assert read_pieces([{"usage": {name: [{}] * 100_000}}]).unread == (f"usage.{name}",)


def test_the_start_of_a_long_list_is_read() -> None:
    result = read_pieces([{"data": [{"url": "x"}] * 20_001}])
    assert (result.usage, result.unread) == ({"images": 20_000}, ("data[20000]",))
    result = read_pieces([{"data": [{"url": "x"}] * 20_000}])
    assert (result.usage, result.unread) == ({"images": 20_000}, ())


def test_a_usage_that_is_too_large_is_unread_though_the_start_is_read() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 1} | {f"kind_{number}": 0 for number in range(1000)}
    result = read_pieces([{"usage": usage}])
    assert (result.usage, result.unread) == ({"input_tokens": 5, "output_tokens": 1}, ("usage",))


@pytest.mark.parametrize("text", ["x" * 1000, "a\nb", "a\x00", "\ud800"])
def test_texts_that_no_event_may_hold_are_unread(text: str) -> None:
    response = {"id": text, "model": text, "service_tier": text, "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    result = read_pieces([response])
    assert (result.model, result.response_id, result.variant) == ("", "", {})
    assert (result.usage, result.unread) == (
        {"input_tokens": 1, "output_tokens": 1},
        ("model", "variant.service_tier"),
    )


@pytest.mark.parametrize("value", [5, None, [], {}, ""])
def test_what_is_no_text_is_not_stated(value: object) -> None:
    response = {
        "id": value,
        "model": value,
        "service_tier": value,
        "usage": {"prompt_tokens": 1, "completion_tokens": 1},
    }
    result = read_pieces([response])
    assert (result.model, result.response_id, result.variant, result.unread) == ("", "", {}, ())


@pytest.mark.parametrize(("number", "count"), [(59200.0, 59200), (Decimal("59200.00"), 59200), (0.0, 0)])
def test_whole_floats_are_counts(number: object, count: int) -> None:
    assert read_pieces([{"usage": {"prompt_tokens": number, "completion_tokens": 1}}]).usage["input_tokens"] == count


@pytest.mark.parametrize(
    ("cost", "text"),
    [
        (4.5e-05, "0.000045"),
        (0.1, "0.1"),
        (0, "0"),
        (1e-20, "0"),
        (Decimal("0.018"), "0.018"),
        (3, "3"),
        (1e5, "100000"),
    ],
)
def test_a_cost_is_exact_by_its_shortest_text(cost: object, text: str) -> None:
    assert read_pieces([{"usage": {"prompt_tokens": 1, "completion_tokens": 1, "cost": cost}}]).cost_usd == text


def test_a_cost_of_zero_that_perplexity_states_first_is_no_cost() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "cost": {"total_cost": 0}}
    assert read_pieces([{"usage": usage}]).cost_usd is None


class Tier(Enum):
    FLEX = "flex"


@dataclass(slots=True)
class SlottedUsage:
    prompt_tokens: int
    completion_tokens: int
    new_kind: int


class StructUsage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int
    new_kind: int


class WithExtra:
    """As pydantic keeps fields that its model does not declare."""

    def __init__(self) -> None:
        self.prompt_tokens, self.completion_tokens, self._private = 3, 4, 5
        self.__pydantic_extra__ = {"new_kind": 6}

    def __getattr__(self, name: str) -> int:
        extra: Mapping[str, int] = self.__dict__.get("__pydantic_extra__", {})
        if name in extra:
            return extra[name]
        raise AttributeError(name)


class Message:
    """As protobuf declares the fields of a message."""

    DESCRIPTOR = SimpleNamespace(fields=[SimpleNamespace(name=name) for name in StructUsage.__struct_fields__])
    __slots__ = ()

    def __getattr__(self, name: str) -> int:
        numbers = {"prompt_tokens": 3, "completion_tokens": 4, "new_kind": 6}
        if name in numbers:
            return numbers[name]
        raise AttributeError(name)


@pytest.mark.parametrize("usage", [SlottedUsage(3, 4, 6), StructUsage(3, 4, 6), WithExtra(), Message()])
def test_all_numbers_of_a_client_s_object_are_seen(usage: object) -> None:
    result = read_pieces([{"usage": usage, "service_tier": Tier.FLEX}])
    assert (result.usage, result.variant) == ({"input_tokens": 3, "output_tokens": 4}, {"service_tier": "flex"})
    assert result.unread == ("usage.new_kind",)


class Wrapper:
    """A client's response whose fields are properties."""

    @property
    def usage(self) -> SlottedUsage:
        return SlottedUsage(3, 4, 0)

    @property
    def model(self) -> str:
        return "gpt-4o"

    @property
    def text(self) -> str:
        raise AssertionError("contents are not looked at")


def test_properties_of_a_client_s_response_are_seen() -> None:
    result = read_pieces([Wrapper()])
    assert (result.usage, result.model) == ({"input_tokens": 3, "output_tokens": 4}, "gpt-4o")


class RaisingMapping(dict[str, Any]):
    def get(self, *_: object) -> None:
        raise RuntimeError("no fields")

    keys = items = get  # type: ignore[assignment]  # all of them raise


def test_a_response_that_raises_is_unread() -> None:
    assert read_pieces([RaisingMapping(usage=1), {"usage": {"tokens": 3}}]).unread == ("response",)
    assert read_pieces([{"usage": RaisingMapping(tokens=1)}]).unread == ("response",)
