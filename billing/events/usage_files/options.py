"""What an operator says about a file: columns, constants, values, exchange rates, time zone. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from billing.events.usage_files.conversions import convert_cell
from billing.events.usage_files.formats import CURRENCY, BadMapping, field_of


@dataclass(frozen=True, slots=True)
class Options:
    """`columns`: column -> dotted field. `constants`: dotted field -> value of every event.

    `values`: column -> text -> value. `rates`: currency -> US dollars for one. `prefix`: of the ids of rows.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    rates: Mapping[str, Decimal] = field(default_factory=dict)
    zone: ZoneInfo | None = None  # for times without an offset
    prefix: str | None = None
    encoding: str | None = None


def parse(
    *,
    maps: Sequence[str] = (),
    constants: Sequence[str] = (),
    values: Sequence[str] = (),
    rates: Sequence[str] = (),
    zone: str | None = None,
    prefix: str | None = None,
    encoding: str | None = None,
) -> Options:
    """Parse `column=field` (or `field=column`), `field=value`, `column:text=value` and `EUR=1.0840`. Raises BadMapping."""
    columns = dict(_parse_map(pair) for pair in maps)
    if len(set(columns.values())) < len(columns):
        raise BadMapping("Two columns are mapped to the same field.")
    return Options(
        columns=columns,
        constants=dict(_parse_constant(pair) for pair in constants),
        values=_parse_values(values),
        rates=dict(_parse_rate(pair) for pair in rates),
        zone=parse_zone(zone) if zone else None,
        prefix=prefix,
        encoding=_parse_encoding(encoding) if encoding else None,
    )


def parse_zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise BadMapping(f"{name!r} is not an IANA time zone.") from error


def _parse_encoding(name: str) -> str:
    try:
        if "x".encode(name) is None:
            raise LookupError
    except (LookupError, UnicodeError) as error:
        raise BadMapping(f"{name!r} is not a text encoding; try utf-8, utf-16 or latin-1.") from error
    return name


def _parse_map(pair: str) -> tuple[str, str]:
    for column, equals, name in (pair.rpartition("="), reversed(pair.partition("="))):
        target = CURRENCY if name == CURRENCY else field_of(name)
        if equals and target:
            return column, target
    raise BadMapping(f"--map {pair}: use COLUMN=FIELD, where FIELD is a field of a usage event, such as input_tokens.")


def _parse_constant(pair: str) -> tuple[str, Any]:
    name, equals, text = pair.partition("=")
    target = CURRENCY if name == CURRENCY else field_of(name)
    if not equals or target is None:
        raise BadMapping(f"--set {pair}: use FIELD=VALUE, where FIELD is a field of a usage event, such as provider.")
    return target, convert_cell(target, text)


def _parse_values(pairs: Iterable[str]) -> dict[str, dict[str, str]]:
    values: dict[str, dict[str, str]] = {}
    for pair in pairs:
        column, colon, rest = pair.partition(":")
        text, equals, value = rest.partition("=")
        if not colon or not equals:
            raise BadMapping(f"--values {pair}: use COLUMN:TEXT=VALUE, such as batch:TRUE=batch.")
        values.setdefault(column, {})[text] = value
    return values


def _parse_rate(pair: str) -> tuple[str, Decimal]:
    match = re.fullmatch(r"([A-Za-z]{3})=([0-9]{1,9}(?:\.[0-9]{1,12})?)", pair)
    if match is None or not Decimal(match[2]):
        raise BadMapping(f"--rate {pair}: use CURRENCY=USD, the US dollars for one, such as EUR=1.0840.")
    return match[1].upper(), Decimal(match[2])
