"""One JSON object: no duplicate keys, no NaN, limited depth and number size."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib import strict_json
from lib.strict_json import BadJSON


def nested(levels: int, inner: Any) -> Any:
    for level in range(levels):
        inner = [inner] if level % 2 else {"a": inner}
    return inner


@pytest.mark.parametrize(
    "body",
    [b'{"a": 1}', b' {"a": 1} \n', b'{"a": {"b": 1}, "c": {"b": 1}}', '{"\u00e9": "\U0001f680"}'.encode(), b"{}"],
)
def test_an_object_is_parsed(body: bytes) -> None:
    assert isinstance(strict_json.loads(body), dict)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"a": 1} {}', "not JSON"),
        (b'{"a": 1, "a": 1}', "'a' occurs twice"),
        (b'{"b": [{"a": 1, "\\u0061": 2}]}', "'a' occurs twice"),
        (b'{"a": 1, "b": "\\u003a", "a": 2}', "'a' occurs twice"),
        (b'{"a": 1, "b": ":", "a": 2}', "'a' occurs twice"),
        (b'{"a": {":": 1}, "a": {}}', "'a' occurs twice"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b'{"a": "\xff"}', "not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        (b'{"a": 01}', "not JSON"),
        (b'{"a": "\n"}', "not JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"a": ' + b"[" * 200_000, "levels deep"),
    ],
)
def test_anything_else_is_refused_with_its_reason(body: bytes, reason: str) -> None:
    with pytest.raises(BadJSON, match=reason):
        strict_json.loads(body)


@pytest.mark.parametrize("inner", [1, "x", None, {}, []])
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_64_levels_are_the_limit(inner: object, depth: int) -> None:
    own_level = int(isinstance(inner, dict | list))
    strict_json.check_limits(nested(64 - depth - own_level, inner), depth=depth)
    with pytest.raises(BadJSON, match="64 levels"):
        strict_json.check_limits(nested(65 - depth - own_level, inner), depth=depth)


@pytest.mark.parametrize("levels", [0, 1, 30, 64])
def test_40_digits_are_the_limit_at_every_depth(levels: int) -> None:
    for sign in (1, -1):
        strict_json.check_limits(nested(levels, sign * (10**40 - 1)))
        with pytest.raises(BadJSON, match="40 digits"):
            strict_json.check_limits(nested(levels, sign * 10**40))


def test_a_float_out_of_range_is_refused() -> None:
    with pytest.raises(BadJSON, match="out of range"):
        strict_json.check_limits(strict_json.loads(b'{"a": [-1e400]}'))


def test_a_duplicate_among_300_000_keys_is_refused_quickly() -> None:
    """Comparing every key with every other would take hours."""
    keys = ",".join(f'"k{number}":1' for number in [*range(300_000), 299_999])
    with pytest.raises(BadJSON, match="'k299999' occurs twice"):
        strict_json.loads(f"{{{keys}}}".encode())


def test_parse_float_str_keeps_the_text_of_a_number() -> None:
    assert strict_json.loads(b'{"a": [1.10, 1e-3, 2]}', parse_float=str) == {"a": ["1.10", "1e-3", 2]}


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), json_values, max_size=4), st.booleans())
def test_parsed_objects_equal_those_of_the_standard_library(value: dict[str, Any], ascii_only: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode(errors="replace")
    with contextlib.suppress(BadJSON):
        assert strict_json.loads(body) == json.loads(body)
