"""Fields of a response and the numbers inside its usage, from JSON and from objects of the vendors' clients. Pure.

No client is imported, and no value raises: an object's property may fail, and the call has already been made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from itertools import islice
from numbers import Number
from types import MemberDescriptorType
from typing import Any, NamedTuple

MAX_DEPTH = 8
MAX_NUMBERS = 500
MAX_KEY_LENGTH = 100
MAX_DIGITS = 30
PLAIN = (str, bytes, Number, Enum, Sequence, type)  # values without fields
LABELS = ("modality", "type", "ttl")  # what names an item of a list, in this order


class Leaf(NamedTuple):
    """A number: its name (snake case, a list's items by their label) and its value, None where it can't be counted."""

    name: str
    value: Decimal | None


def get(holder: object, name: str) -> Any:  # noqa: ANN401 - any value of a response
    """A field of an object or dict; a dict may spell it in camel case, as Google's JSON does."""
    if type(holder) is dict or isinstance(holder, Mapping):  # the first is faster
        value = holder.get(name)
        return holder.get(camel_case(name)) if value is None else value
    if holder is None or isinstance(holder, PLAIN):
        return None
    try:
        return getattr(holder, name, None)
    except Exception:
        return None


def get_path(holder: object, path: str) -> Any:  # noqa: ANN401
    for name in _names(path):
        holder = get(holder, name)
        if holder is None:
            break
    return holder


@lru_cache(maxsize=2048)
def _names(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))


def first_text(holder: object, *paths: str) -> str:
    """The first text or enum member at one of the dotted paths; empty if none."""
    for path in paths:
        value = get_path(holder, path)
        text = value.value if isinstance(value, Enum) else value
        if text and isinstance(text, str):
            return text
    return ""


def as_list(value: object) -> Sequence[Any]:
    return value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else ()


def as_mapping(value: object, only: frozenset[str] | None = None) -> Mapping[Any, Any] | None:
    """The fields of a dict or of a client's object (pydantic, dataclass, msgspec, protobuf, plain); None if it has none.

    `only` limits the fields of an object, and admits properties of these names.
    """
    if isinstance(value, Mapping):
        return value
    if value is None or isinstance(value, PLAIN):
        return None
    message = get(value, "_pb") or value  # Google's proto-plus wraps a protobuf message
    attributes = {**_mapping(get(message, "__dict__")), **_mapping(get(message, "__pydantic_extra__"))}
    kind: Any = type(message)
    names = dict.fromkeys([*attributes, *_declared_names(kind, only)])
    public = (name for name in names if isinstance(name, str) and not name.startswith("_"))
    selected = [name for name in public if only is None or name in only]
    return {name: attributes[name] if name in attributes else get(message, name) for name in selected} or None


def _mapping(value: object) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


@lru_cache(maxsize=256)
def _declared_names(kind: type[Any], only: frozenset[str] | None) -> tuple[str, ...]:
    """The fields that a type declares and that need not be in its objects' `__dict__`: of protobuf, slots and properties."""
    declared = {name: value for base in reversed(kind.__mro__) for name, value in vars(base).items()}
    fields = get(declared.get("DESCRIPTOR"), "fields")  # of a protobuf message
    names = [str(get(field, "name")) for field in fields] if hasattr(fields, "__getitem__") else []
    slots = [name for name, value in declared.items() if isinstance(value, MemberDescriptorType)]
    return (*names, *slots, *((only or frozenset()) & declared.keys()))


def numbers(value: object, path: str, prefix: str = "") -> dict[str, Leaf]:
    """Every number inside a value by its path, as the vendor spells it; what is too deep or too much has no value."""
    leaves = dict(islice(_numbers(value, path, prefix, 0), MAX_NUMBERS + 1))
    is_plain = value is None or isinstance(value, Mapping | Number | str | bytes | Sequence)
    if len(leaves) > MAX_NUMBERS or not (leaves or is_plain or as_mapping(value)):
        leaves[path] = Leaf("", None)  # too much, or an object whose fields can't be listed
    return leaves


def _numbers(value: object, path: str, name: str, depth: int) -> Iterator[tuple[str, Leaf]]:
    if value is None or isinstance(value, str | bytes | bool | Enum):
        return
    if isinstance(value, Number):
        yield path, Leaf(name, exact(value))
        return
    items, fields = as_list(value), {} if isinstance(value, Sequence) else as_mapping(value) or {}
    for index, item in enumerate(items[:MAX_NUMBERS]):
        yield from _below(item, f"{path}[{index}]", f"{name}:{_label(item)}", depth)
    for key, child in islice(fields.items(), MAX_NUMBERS):
        text = str(key)[:MAX_KEY_LENGTH].replace(".", "?")
        yield from _below(child, f"{path}.{text}", f"{name}.{snake_case(text)}" if name else snake_case(text), depth)
    if len(items) + len(fields) > MAX_NUMBERS:
        yield path, Leaf("", None)


def _below(value: object, path: str, name: str, depth: int) -> Iterator[tuple[str, Leaf]]:
    if depth < MAX_DEPTH:
        yield from _numbers(value, path, name, depth + 1)
    elif as_list(value) or isinstance(value, Mapping):
        yield path, Leaf("", None)


def _label(item: object) -> str:
    """What an item of a list is about: its modality, type or lifetime, with `@model` if it names one."""
    label, model = first_text(item, *LABELS), first_text(item, "model")
    return f"{label}@{model}" if label and model else label


def exact(value: object) -> Decimal | None:
    """A number by its shortest text, which is the number that the vendor sent; None if not finite or too long."""
    try:
        number = Decimal(str(value))
    except (ArithmeticError, ValueError):
        return None
    return number if number.is_finite() and abs(number.adjusted()) <= MAX_DIGITS else None


@lru_cache(maxsize=2048)
def snake_case(key: str) -> str:
    """`promptTokensDetails` and `prompt_token_details` are one name: vendors differ in case and plural."""
    snake = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", key).lower()
    return snake.replace("_token_details", "_tokens_details")


@lru_cache(maxsize=2048)
def camel_case(name: str) -> str:
    first, *words = name.split("_")
    return first + "".join(map(str.capitalize, words))
