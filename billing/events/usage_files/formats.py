"""Formats of files with usage, as data: which columns belong to which fields of an event. Parsed from TOML. Pure.

A format has one or more layouts, such as a CSV export and the same vendor's JSON. docs/how-to.md describes the keys.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from billing.events.events import Event, Usage, Variant

METADATA_PREFIX = "metadata."
CURRENCY = "currency"  # a column may be mapped to it: the currency of the cost
_NESTED_FIELDS = {"usage": Usage.__struct_fields__, "variant": Variant.__struct_fields__}
# Short and dotted names of each field -> dotted name, e.g. `input_tokens` -> `usage.input_tokens`.
FIELDS = (
    {name: name for name in Event.__struct_fields__ if name not in _NESTED_FIELDS}
    | {name: f"{outer}.{name}" for outer, names in _NESTED_FIELDS.items() for name in names}
    | {f"{outer}.{name}": f"{outer}.{name}" for outer, names in _NESTED_FIELDS.items() for name in names}
)


class BadMapping(ValueError):
    """The file does not fit the format or the mapping, or one of these is invalid. Nothing was imported."""


class Source(Struct, forbid_unknown_fields=True, frozen=True):
    """Where a field's value comes from.

    `column`: a column or nested key (`a.b`), a sum (`a + b`), or alternatives (`a | b`): the first with a value.
    `values`: a column's text or pattern (`gpt-*`) -> value; "" leaves the field out; text that is not named stays.
    `default`: the value if there is none. `times`: factor. `unit`: column whose text is a key of `units`, the factors.
    `when`: column -> the texts or patterns that it must have; otherwise the field is left out.
    """

    column: str
    values: Mapping[str, str | int | bool] = {}
    default: str | int | None = None
    times: str = ""
    unit: str = ""
    units: Mapping[str, str] = {}
    when: Mapping[str, list[str]] = {}


class Layout(Struct, forbid_unknown_fields=True, frozen=True):
    """One shape of a format's files.

    `recognise`: columns, or `column=pattern`, that such a file has. `rows`: paths to the rows in a JSON document, such as
    `data[].results[]`; a row has the keys of the objects around it as well. `id`: the columns that identify a row.
    `only` and `skip`: column -> patterns of the rows that count, or do not. `patterns`: column -> regular expression, whose
    named groups are columns. `credits`: path of amounts beside the cost that reduce it. `set`: field -> value of every event.
    """

    label: str = ""
    recognise: list[str] = []
    rows: list[str] = []
    id: list[str] = []
    timezone: str = ""
    time_forms: list[str] = []  # of strptime
    currency: str = ""  # column
    credits: str = ""
    blank: list[str] = []  # texts that mean no value
    fields: Mapping[str, str | Source] = {}
    set: Mapping[str, str | int | bool] = {}
    only: Mapping[str, list[str]] = {}
    skip: Mapping[str, list[str]] = {}
    patterns: Mapping[str, str] = {}
    left_out: Mapping[str, str] = {}  # column -> why it is no part of the event


class Format(Struct, forbid_unknown_fields=True, frozen=True):
    """A named format. `source`: where the vendor documents it."""

    name: str
    label: str
    layouts: list[Layout]
    source: str = ""


def field_of(name: str) -> str | None:
    """The dotted name of the field with that short or dotted name; None if there is none."""
    return name if name.startswith(METADATA_PREFIX) and len(name) > len(METADATA_PREFIX) else FIELDS.get(name)


def parse_toml(text: str, name: str) -> Format:
    """Parse a format. Keys beside `layouts` belong to every layout. Raises BadMapping, naming the file."""
    try:
        raw = tomllib.loads(text)
        own: dict[str, Any] = {key: raw.pop(key) for key in ("name", "label", "source") if key in raw}
        layouts = [_merge(raw, layout) for layout in raw.pop("layouts", [{}])]
        parsed = msgspec.convert({"label": own.get("name", ""), **own, "layouts": layouts}, Format)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, TypeError) as error:
        raise BadMapping(f"{name}: not a format: {error}.") from error
    for layout in parsed.layouts:
        _check(layout, name)
    return parsed


def matches(text: str, patterns: tuple[str, ...]) -> bool:
    """Tells whether a text is one of the patterns, in which `*` stands for any text. Case does not matter."""
    return any(_regex(pattern).fullmatch(text) for pattern in patterns)


@lru_cache(maxsize=1024)
def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in pattern.split("*")), re.IGNORECASE | re.DOTALL)


def _merge(shared: dict[str, Any], layout: dict[str, Any]) -> dict[str, Any]:
    """The layout with the keys that all layouts share; of tables, the layout's keys come on top."""
    tables: dict[str, Any] = {}
    for key, table in shared.items():
        if isinstance(table, dict):
            tables[key] = {**table, **layout.get(key, {})}
    return {**shared, **layout, **tables}


def _check(layout: Layout, name: str) -> None:
    try:
        unknown = [field for field in (*layout.fields, *layout.set) if field_of(field) is None]
        if unknown:
            raise BadMapping(f"{name}: {unknown[0]!r} is not a field of a usage event.")
        if layout.timezone:
            ZoneInfo(layout.timezone)
        for pattern in layout.patterns.values():
            re.compile(pattern)
        for source in layout.fields.values():
            if isinstance(source, Source):
                [Decimal(factor) for factor in (source.times or "1", *source.units.values())]
    except (KeyError, OSError, re.error, ArithmeticError) as error:
        raise BadMapping(f"{name}: not a format: {error!r}.") from error
