"""The values of query parameters by the declaration in a struct."""

from __future__ import annotations

from typing import Annotated

import pytest
from msgspec import Meta, Struct

from lib import query_string
from lib.query_string import BadParameter, choice, text


class Parameters(Struct, frozen=True):
    count: Annotated[int, Meta(ge=1, le=12)] = 6
    flag: bool | None = None
    since: str = ""
    kind: Annotated[str, choice(("day", "a.b"))] | None = None
    name: Annotated[str, text(3)] | None = None


def test_texts_become_values_and_empty_ones_are_absent() -> None:
    texts = {"count": "12", "flag": "false", "since": "x", "kind": "a.b", "name": "\u00e9\u00e9\u00e9"}
    assert query_string.parse(texts, Parameters) == Parameters(12, False, "x", "a.b", "\u00e9\u00e9\u00e9")
    assert query_string.parse(dict.fromkeys(texts, ""), Parameters) == Parameters()
    assert query_string.parse({"unknown": "1"}, Parameters) == Parameters()


@pytest.mark.parametrize(
    ("name", "value", "detail"),
    [
        ("count", "0", "Enter a whole number from 1 to 12."),
        ("count", "13", "Enter a whole number from 1 to 12."),
        ("count", "+1", "Enter a whole number from 1 to 12."),
        ("count", " 1", "Enter a whole number from 1 to 12."),
        ("count", "1_0", "Enter a whole number from 1 to 12."),
        ("count", "\uff11", "Enter a whole number from 1 to 12."),
        ("count", "1" * 5000, "Enter a whole number from 1 to 12."),
        ("flag", "True", "Enter true or false."),
        ("flag", "1", "Enter true or false."),
        ("kind", "axb", "Use one of these: day, a.b."),
        ("kind", "day\n", "Use one of these: day, a.b."),
        ("name", "abcd", "Enter at most 3 characters, none of them null."),
        ("name", "a\0", "Enter at most 3 characters, none of them null."),
    ],
)
def test_an_invalid_value_is_refused_by_name(name: str, value: str, detail: str) -> None:
    with pytest.raises(BadParameter) as caught:
        query_string.parse({name: value}, Parameters)
    error = caught.value
    assert (error.code, error.detail, error.attr) == ("invalid", detail, name)


def test_names_are_known_and_stated_once() -> None:
    query_string.check_names({"count": ["1"], "name": [""]}, Parameters)
    for texts, code in (
        ({"count": ["1"], "counts": ["1"]}, "unknown_field"),
        ({"counts": ["1", "1"]}, "unknown_field"),
    ):
        with pytest.raises(BadParameter) as caught:
            query_string.check_names(texts, Parameters)
        assert (caught.value.code, caught.value.attr) == (code, "counts")
    with pytest.raises(BadParameter) as caught:
        query_string.check_names({"count": ["1", "1"]}, Parameters)
    assert (caught.value.code, caught.value.attr) == ("invalid", "count")


def test_schemas_have_types_limits_choices_and_defaults() -> None:
    assert query_string.schemas(Parameters) == {
        "count": {"type": "integer", "minimum": 1, "maximum": 12, "default": 6},
        "flag": {"type": "boolean"},
        "since": {"type": "string"},
        "kind": {"type": "string", "enum": ("day", "a.b")},
        "name": {"type": "string", "maxLength": 3},
    }
