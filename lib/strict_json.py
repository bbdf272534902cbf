"""JSON as a billing service must read it: one object, no duplicate keys, no NaN, bounded depth and numbers. Pure.

Python's and msgspec's readers take the last of two equal keys without a word; two readers of one bill must not differ.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from math import isinf
from typing import Any

import msgspec

DEPTH = 64
DIGITS = 40
_TOO_LONG = 10**DIGITS


class BadJSON(ValueError):
    """The body is not one acceptable JSON object; the message says why."""


def loads(body: bytes, parse_float: Callable[[str], Any] | None = None) -> dict[str, Any]:
    """The object in `body`. Depth and size of numbers are checked by `audit`, which is dearer: call it on what is free-form.

    `parse_float` reads numbers with a point or an exponent, where they are money. Raises BadJSON.
    """
    value = _at_once(body) if parse_float is None else None
    if value is None:
        value = _with_care(body, parse_float)
    if not isinstance(value, dict):
        raise BadJSON("The body is not a JSON object.")
    return value


def _at_once(body: bytes) -> object:
    """The value, or None where anything is unusual: msgspec is quicker than `json`, and less strict.

    A colon stands behind each key and inside of texts. A key that stands twice is read once, so that fewer colons go out
    again than came in; an escaped one (003a) could make up for it.
    """
    try:
        value: object = msgspec.json.decode(body)
        unusual = b"\\u003" in body or msgspec.json.encode(value).count(b":") != body.count(b":")
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return None if unusual else value


def _with_care(body: bytes, parse_float: Callable[[str], Any] | None = None) -> object:
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
        raise BadJSON(f"The body is nested more than {DEPTH} levels deep.") from error
    except BadJSON:
        raise
    except ValueError as error:
        raise BadJSON(f"The body is not JSON: {error}") from error


def audit(value: object, *, above: int = 0) -> None:
    """Refuse what is nested too deep, and numbers that are too long to be meant. Raises BadJSON.

    `above` is how many levels of the body the value stands in.
    """
    level = [value]
    for _ in range(DEPTH - above):
        level = _below(level)
        if not level:
            return
    if any(isinstance(item, dict | list) for item in level):
        raise BadJSON(f"The body is nested more than {DEPTH} levels deep.")
    _below(level)


def _below(level: list[Any]) -> list[Any]:
    """What stands one level deeper. One plain loop: a body of 5 MiB holds millions of values."""
    below: list[Any] = []
    for item in level:
        kind = type(item)
        if kind is dict:
            below.extend(item.values())
        elif kind is list:
            below.extend(item)
        elif kind is int and not -_TOO_LONG < item < _TOO_LONG:
            raise BadJSON(f"A number has more than {DIGITS} digits.")
        elif kind is float and isinf(item):
            raise BadJSON("A number is out of range.")
    return below


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = Counter(name for name, _ in pairs)
        twice = names.most_common(1)[0][0]
        raise BadJSON(f"The key {twice[:100]!r} stands twice in one object.")
    return found


def _refuse_constant(name: str) -> None:
    raise BadJSON(f"{name} is not JSON.")
