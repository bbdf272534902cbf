"""Operators' decisions on fields of vendors' responses that no reader knows: counted as a unit, or informational. Pure.

A field is named by its reader and by its path without the positions in lists. A mapped number is added to what was read of its
unit; a unit that is a part of another is not added to that one. A call with a field that is not decided stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple, cast
from uuid import UUID

import msgspec

from billing.errors import Refused
from billing.events import events, usage_parts
from billing.events.events import MAX_COUNT, Event, ReadResponse, Usage
from billing.events.vendor_responses.reading import MAX_PATHS
from lib import ids
from providers import quantities

DISMISSED = ""  # in place of a unit
# Units that a number can be counted as. `requests` is the number of calls, which no field of a response changes.
UNITS = tuple(unit for unit in quantities.UNITS if unit != "requests")
Decisions = Mapping[tuple[str, str], str]  # (reader, field) -> the unit, or DISMISSED
Values = Mapping[str, int | str]


class Outcome(NamedTuple):
    """What the decisions make of the unread paths of one call."""

    unread: tuple[str, ...]  # paths that no decision covers
    dismissed: tuple[str, ...]
    mapped: dict[str, str]  # path -> unit


def field_of(path: str) -> str:
    """The path without positions in lists: numbers of all items are one field."""
    return re.sub(r"\[\d+\]", "[]", path)


def key_of(reader: str, field: str) -> UUID:
    """The key that stands for a field in look-ups: exact on every database."""
    return ids.lookup_key(f"{reader}\n{field}")


def decide(reader: str, unread: Iterable[str], values: Values, decisions: Decisions) -> Outcome:
    """Apply the decisions. A path whose value is not known can't be mapped; of too many paths, some are not stored."""
    paths = tuple(unread)
    units = {path: decisions.get((reader, field_of(path))) for path in paths}
    if len(paths) >= MAX_PATHS:
        return Outcome(paths, (), {})
    mapped = {path: unit for path, unit in units.items() if unit and _is_countable(values.get(path), unit)}
    dismissed = tuple(path for path, unit in units.items() if unit == DISMISSED)
    return Outcome(tuple(path for path in paths if path not in mapped and path not in dismissed), dismissed, mapped)


def _is_countable(value: int | str | None, unit: str) -> bool:
    if value is None:
        return False
    number = Decimal(value)
    is_whole = number == number.to_integral_value()
    return 0 <= number <= MAX_COUNT and (is_whole or unit in quantities.MICRO_UNITS)


def add_to_usage(usage: Mapping[str, int | str], mapped: Mapping[str, str], values: Values) -> dict[str, int | str]:
    """The usage, by an event's field names, with the mapped numbers added to their units."""
    total = dict(usage)
    for path, unit in mapped.items():
        number = Decimal(total.get(unit) or 0) + Decimal(values[path])
        total[unit] = f"{number:f}" if unit in quantities.MICRO_UNITS else int(number)
    return total


def apply(event: Event, decisions: Decisions) -> Event:
    """The event with the decisions applied to its unread fields; itself where they change nothing, or can't be applied."""
    response = event.read_response
    if response is None or not response.reading.unread:
        return event
    reading = response.reading
    outcome = decide(reading.reader, reading.unread, reading.unread_values, decisions)
    if outcome.unread == reading.unread:
        return event
    reading = reading._replace(
        unread=outcome.unread, ignored=(*reading.ignored, *outcome.dismissed), mapped=outcome.mapped
    )
    decided = msgspec.structs.replace(event, response=cast("Any", ReadResponse(reading, response.digest)))
    try:
        usage = add_to_usage(msgspec.to_builtins(event.usage), outcome.mapped, reading.unread_values)
        decided.usage = events.convert(usage, Usage)
        events.normalise_usage(decided)
        usage_parts.check(decided)
    except Refused:  # such as a part above its whole: the call stays incomplete
        return event
    return decided
