"""Usage events out of JSONL and CSV files: which column is which field, and what each line says. Pure reading.

An event without an id of its own is called `prefix:line`, so that the same file brings the same events in again.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from billing.errors import Refused
from billing.events import events
from billing.events.events import Event, Usage, Variant
from billing.events.lines import Line
from lib import strict_json

METADATA = "metadata."
_NESTED = {"usage": Usage.__struct_fields__, "variant": Variant.__struct_fields__}
# Every name of a field, short or dotted, and the dotted one: `input_tokens` is `usage.input_tokens`.
FIELDS = (
    {name: name for name in Event.__struct_fields__ if name not in _NESTED}
    | {name: f"{outer}.{name}" for outer, names in _NESTED.items() for name in names}
    | {f"{outer}.{name}": f"{outer}.{name}" for outer, names in _NESTED.items() for name in names}
)
_DECIMALS = ("usage.seconds", "usage.megapixels")
_WHOLE = {"response_time_ms", "status_code", "retry_count", "request_bytes", "response_bytes"} | {
    field for field in FIELDS.values() if field.startswith("usage.") and field not in _DECIMALS
}
_NAIVE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:\.([0-9]{1,9}))?)?")
_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class BadPlan(ValueError):
    """The file can't be read as asked: no such file, column, field or zone. Nothing was read."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a file is read: which dotted field a column is, and which values every event has."""

    prefix: str
    columns: Mapping[str, str]
    values: Mapping[str, Any]
    zone: ZoneInfo | None = None  # of times that name none


def plan(prefix: str, *, maps: Sequence[str], values: Sequence[str], zone: str | None) -> Plan:
    """The plan in a command's words: `column=field` (the other way round is understood) and `field=value`.

    Raises BadPlan.
    """
    columns = dict(_mapping(pair) for pair in maps)
    if len(set(columns.values())) < len(columns):
        raise BadPlan("Two columns are mapped to one field.")
    try:
        return Plan(prefix, columns, dict(_setting(pair) for pair in values), ZoneInfo(zone) if zone else None)
    except (KeyError, OSError) as error:
        raise BadPlan(f"{zone!r} is no IANA time zone.") from error


def read(path: Path, how: Plan) -> Iterator[Line]:
    """The lines of a .csv or .jsonl file as events, one by one. Raises BadPlan, before the first line, or OSError."""
    if path.suffix.lower() == ".csv":
        return _csv(path, how)
    if path.suffix.lower() in {".jsonl", ".ndjson"}:
        return _jsonl(path, how)
    raise BadPlan(f"{path.name}: the name of a file to import ends in .csv or .jsonl.")


def left_out(path: Path, how: Plan) -> list[str]:
    """The columns of a CSV file that are no field and mapped to none."""
    if path.suffix.lower() != ".csv":
        return []
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        header = next(csv.reader(file), [])
    return [column for column in header if column not in how.columns and _field(column) is None]


def _field(name: str) -> str | None:
    return name if name.startswith(METADATA) and len(name) > len(METADATA) else FIELDS.get(name)


def _mapping(pair: str) -> tuple[str, str]:
    left, equals, right = pair.partition("=")
    if equals and (field := _field(right)):
        return left, field
    if equals and (field := _field(left)):
        return right, field
    raise BadPlan(f"--map {pair}: not column=field with a field of a usage event, such as input_tokens.")


def _setting(pair: str) -> tuple[str, Any]:
    name, equals, text = pair.partition("=")
    field = _field(name)
    if not equals or field is None:
        raise BadPlan(f"--set {pair}: not field=value with a field of a usage event, such as provider.")
    return field, _typed(field, text)


def _csv(path: Path, how: Plan) -> Iterator[Line]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        fields = _header(header, how)
        while True:
            try:
                cells = next(reader, None)
            except csv.Error as error:
                yield Line(str(reader.line_num), Refused("invalid", f"Not CSV: {error}."))
                continue
            if cells is None:
                return
            if cells:
                yield Line(str(reader.line_num), _of_cells(cells, fields, how, reader.line_num))


def _header(header: list[str], how: Plan) -> list[str | None]:
    """The field of each column, None where it is left out."""
    missing = [column for column in how.columns if column not in header]
    if missing:
        raise BadPlan(f"The file has no column {missing[0]!r}; it has {', '.join(header) or 'none'}.")
    taken = set(how.columns.values()) | set(how.values)
    fields = [how.columns.get(column) or _own(column, taken) for column in header]
    found = [field for field in fields if field]
    if len(set(found)) < len(found):
        raise BadPlan("Two columns of the file are one field.")
    for field, example in (("provider", "--set provider=openai"), ("account", "--account ID")):
        if field not in found and field not in how.values:
            raise BadPlan(f"No column says the {field}: name one with --map, or say {example}.")
    return fields


def _own(column: str, taken: set[str]) -> str | None:
    """The field that a column is by its own name, unless something else was said for that field."""
    field = _field(column)
    return None if field in taken else field


def _of_cells(cells: list[str], fields: list[str | None], how: Plan, number: int) -> Event | Refused:
    if len(cells) != len(fields):
        return Refused("invalid", f"{len(cells)} cells under {len(fields)} columns.")
    named = {field: cell for field, cell in zip(fields, cells, strict=True) if field and cell.strip()}
    return _event({field: _typed(field, cell) for field, cell in named.items()}, how, number)


def _jsonl(path: Path, how: Plan) -> Iterator[Line]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if not text.strip():
                continue
            try:
                yield Line(str(number), _event(_flat(strict_json.loads(text), how), how, number))
            except strict_json.BadJSON as error:
                yield Line(str(number), Refused("invalid_json", str(error).replace("The body", "The line")))


def _flat(raw: dict[str, Any], how: Plan) -> dict[str, Any]:
    """A JSON object with its mapped keys under their fields; what it calls otherwise stays, to be refused by name."""
    return {how.columns.get(key, key): value for key, value in raw.items()}


def _event(fields: dict[str, Any], how: Plan, number: int) -> Event | Refused:
    raw = _nested({"event_id": f"{how.prefix}:{number}", **fields, **how.values}.items())
    if how.zone and isinstance(raw.get("occurred_at"), str):
        raw["occurred_at"] = _in_zone(raw["occurred_at"].strip(), how.zone)
    try:
        return events.parse(raw)
    except Refused as refused:
        return refused
    except strict_json.BadJSON as error:
        return Refused("invalid_json", str(error))


def _nested(fields: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Dotted names as objects in objects."""
    raw: dict[str, Any] = {}
    for field, value in fields:
        outer, dot, inner = field.partition(".")
        if not dot:
            raw[field] = value
        elif isinstance(raw.setdefault(outer, {}), dict):
            raw[outer][inner] = value
    return raw


def _typed(field: str, text: str) -> Any:  # noqa: ANN401 - what the field takes; what it can't take is refused by name
    """A cell of text as the field's JSON value."""
    text = text.strip() if field not in {"event_id", "account"} else text
    if field in _WHOLE and re.fullmatch(r"[0-9]{1,19}", text, re.ASCII):
        return int(text)
    if field == "cached_tokens_included":
        return _BOOLEANS.get(text.lower(), text)
    if field == "metadata":
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _in_zone(text: str, zone: ZoneInfo) -> str:
    """A time without an offset as one with; anything else as it is."""
    found = _NAIVE.fullmatch(text)
    if found is None:
        return text
    day, clock, fraction = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock or '00:00'}").replace(tzinfo=zone)
    except ValueError:
        return text
    return moment.replace(microsecond=int((fraction or "0")[:6].ljust(6, "0"))).isoformat()
