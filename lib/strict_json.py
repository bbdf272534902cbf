"""Strict JSON parser: one object, no duplicate keys, no NaN, bounded depth and numbers. Pure.

Python's and msgspec's parsers silently keep the last of two equal keys; two parsers of one bill must not differ.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from math import isinf
from typing import Any

import msgspec

MAX_DEPTH = 64
MAX_DIGITS = 40
_INT_LIMIT = 10**MAX_DIGITS


class BadJSON(ValueError):
    """The body is not an acceptable JSON object; the message says why."""


def loads(body: bytes, parse_float: Callable[[str], Any] | None = None) -> dict[str, Any]:
    """Parse the object in `body`. Raises BadJSON. The costlier `check_limits` checks free-form values for depth and numbers.

    `parse_float` converts numbers with a decimal point or an exponent, for money.
    """
    value = decode(body, parse_float)
    if not isinstance(value, dict):
        raise BadJSON("The body is not a JSON object.")
    return value


def decode(body: bytes, parse_float: Callable[[str], Any] | None = None) -> object:
    """As `loads`, but any JSON value."""
    value = _decode_fast(body, parse_float)
    return _decode_strict(body, parse_float) if value is None else value


@lru_cache(maxsize=8)
def _decoder(parse_float: Callable[[str], Any] | None) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(float_hook=parse_float)


def _decode_fast(body: bytes, parse_float: Callable[[str], Any] | None) -> object:
    """The value, or None if the body might break a rule: msgspec is faster than `json`, but less strict.

    A colon follows each key and may occur in strings. A duplicate key is read only once, so encoding the value again gives
    fewer colons than the body has; an escaped colon (003a) could hide that.
    """
    try:
        value: object = _decoder(parse_float).decode(body)
        unusual = b"\\u003" in body or msgspec.json.encode(value).count(b":") != body.count(b":")
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return None if unusual else value


def _decode_strict(body: bytes, parse_float: Callable[[str], Any] | None = None) -> object:
    try:
        return json.loads(
            body.decode(),
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
            parse_float=parse_float,
        )
    except UnicodeDecodeError as error:
        raise BadJSON("The body is not UTF-8.") from error
    except RecursionError as error:
        raise BadJSON(f"The body is nested more than {MAX_DEPTH} levels deep.") from error
    except BadJSON:
        raise
    except ValueError as error:
        raise BadJSON(f"The body is not JSON: {error}") from error


def check_limits(value: object, *, depth: int = 0) -> None:
    """Raises BadJSON if `value` is nested too deep or contains a number that is too long.

    `depth` is the nesting level of the value in the body.
    """
    level = [value]
    for _ in range(MAX_DEPTH - depth):
        level = _next_level(level)
        if not level:
            return
    if any(isinstance(item, dict | list) for item in level):
        raise BadJSON(f"The body is nested more than {MAX_DEPTH} levels deep.")
    _next_level(level)


def _next_level(level: list[Any]) -> list[Any]:
    """The values one level deeper. A single plain loop, because a body of 5 MiB can contain millions of values."""
    below: list[Any] = []
    for item in level:
        item_type = type(item)
        if item_type is dict:
            below.extend(item.values())
        elif item_type is list:
            below.extend(item)
        elif item_type is int and not -_INT_LIMIT < item < _INT_LIMIT:
            raise BadJSON(f"A number has more than {MAX_DIGITS} digits.")
        elif item_type is float and isinf(item):
            raise BadJSON("A number is out of range.")
    return below


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = Counter(name for name, _ in pairs)
        duplicate = names.most_common(1)[0][0]
        raise BadJSON(f"The key {duplicate[:100]!r} occurs twice in one object.")
    return result


def _refuse_constant(name: str) -> None:
    raise BadJSON(f"{name} is not JSON.")
