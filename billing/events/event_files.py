"""Reads usage events from JSONL and CSV files. Pure.

An event without an id gets the id `prefix:line`, so that a second import of the same file finds duplicates.
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
from billing.events import event_responses
from billing.events.events import Event, Usage, Variant
from billing.events.lines import ImportLine
from lib import strict_json

METADATA_PREFIX = "metadata."
_NESTED_FIELDS = {"usage": Usage.__struct_fields__, "variant": Variant.__struct_fields__}
# Short and dotted names of each field -> dotted name, e.g. `input_tokens` -> `usage.input_tokens`.
FIELDS = (
    {name: name for name in Event.__struct_fields__ if name not in _NESTED_FIELDS}
    | {name: f"{outer}.{name}" for outer, names in _NESTED_FIELDS.items() for name in names}
    | {f"{outer}.{name}": f"{outer}.{name}" for outer, names in _NESTED_FIELDS.items() for name in names}
)
_DECIMAL_FIELDS = ("usage.seconds", "usage.megapixels")
_INTEGER_FIELDS = {"response_time_ms", "status_code", "retry_count", "request_bytes", "response_bytes"} | {
    field for field in FIELDS.values() if field.startswith("usage.") and field not in _DECIMAL_FIELDS
}
_NAIVE_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:\.([0-9]{1,9}))?)?")
_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class BadMapping(ValueError):
    """The file does not fit the mapping: unknown file type, column, field or time zone. Nothing was read."""


@dataclass(frozen=True, slots=True)
class FileMapping:
    """Maps columns to dotted fields; `values` are set on every event, by dotted field."""

    prefix: str
    columns: Mapping[str, str]
    values: Mapping[str, Any]
    zone: ZoneInfo | None = None  # for times without an offset


def parse_mapping(prefix: str, *, maps: Sequence[str], values: Sequence[str], zone: str | None) -> FileMapping:
    """Parse options of the form `column=field` (or `field=column`) and `field=value`. Raises BadMapping."""
    columns = dict(_parse_map(pair) for pair in maps)
    if len(set(columns.values())) < len(columns):
        raise BadMapping("Two columns are mapped to the same field.")
    try:
        return FileMapping(prefix, columns, dict(_parse_set(pair) for pair in values), ZoneInfo(zone) if zone else None)
    except (KeyError, OSError) as error:
        raise BadMapping(f"{zone!r} is not an IANA time zone.") from error


def read_lines(path: Path, mapping: FileMapping) -> Iterator[ImportLine]:
    """Yield the lines of a .csv or .jsonl file as events. Raises BadMapping before the first line, or OSError."""
    if path.suffix.lower() == ".csv":
        return _read_csv(path, mapping)
    if path.suffix.lower() in {".jsonl", ".ndjson"}:
        return _read_jsonl(path, mapping)
    raise BadMapping(f"{path.name}: only .csv and .jsonl files can be imported.")


def ignored_columns(path: Path, mapping: FileMapping) -> list[str]:
    """The columns of a CSV file that belong to no field; [] for JSONL."""
    if path.suffix.lower() != ".csv":
        return []
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        header = next(csv.reader(file), [])
    return [column for column in header if column not in mapping.columns and _field(column) is None]


def _field(name: str) -> str | None:
    return name if name.startswith(METADATA_PREFIX) and len(name) > len(METADATA_PREFIX) else FIELDS.get(name)


def _parse_map(pair: str) -> tuple[str, str]:
    left, equals, right = pair.partition("=")
    if equals and (field := _field(right)):
        return left, field
    if equals and (field := _field(left)):
        return right, field
    raise BadMapping(f"--map {pair}: use COLUMN=FIELD, where FIELD is a field of a usage event, such as input_tokens.")


def _parse_set(pair: str) -> tuple[str, Any]:
    name, equals, text = pair.partition("=")
    field = _field(name)
    if not equals or field is None:
        raise BadMapping(f"--set {pair}: use FIELD=VALUE, where FIELD is a field of a usage event, such as provider.")
    return field, _parse_cell(field, text)


def _read_csv(path: Path, mapping: FileMapping) -> Iterator[ImportLine]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        fields = _fields_of_header(header, mapping)
        while True:
            try:
                cells = next(reader, None)
            except csv.Error as error:
                yield ImportLine(str(reader.line_num), Refused("invalid", f"Invalid CSV: {error}."))
                continue
            if cells is None:
                return
            if cells:
                yield ImportLine(str(reader.line_num), _event_from_cells(cells, fields, mapping, reader.line_num))


def _fields_of_header(header: list[str], mapping: FileMapping) -> list[str | None]:
    """The field of each column; None for ignored columns."""
    missing = [column for column in mapping.columns if column not in header]
    if missing:
        raise BadMapping(f"The file has no column {missing[0]!r}; it has {', '.join(header) or 'none'}.")
    taken = set(mapping.columns.values()) | set(mapping.values)
    fields = [mapping.columns.get(column) or _field_by_name(column, taken) for column in header]
    mapped = [field for field in fields if field]
    if len(set(mapped)) < len(mapped):
        raise BadMapping("Two columns of the file belong to the same field.")
    for field, example in (("provider", "--set provider=openai"), ("account", "--account ID")):
        if field not in mapped and field not in mapping.values:
            raise BadMapping(f"No column has the {field}. Map one with --map, or use {example}.")
    return fields


def _field_by_name(column: str, taken: set[str]) -> str | None:
    """The field named like the column, unless that field is set otherwise."""
    field = _field(column)
    return None if field in taken else field


def _event_from_cells(cells: list[str], fields: list[str | None], mapping: FileMapping, number: int) -> Event | Refused:
    if len(cells) != len(fields):
        return Refused("invalid", f"The line has {len(cells)} cells, the header {len(fields)} columns.")
    values = {field: cell for field, cell in zip(fields, cells, strict=True) if field and cell.strip()}
    return _parse_event({field: _parse_cell(field, cell) for field, cell in values.items()}, mapping, number)


def _read_jsonl(path: Path, mapping: FileMapping) -> Iterator[ImportLine]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if not text.strip():
                continue
            try:
                fields = _rename_keys(strict_json.loads(text), mapping)
                yield ImportLine(str(number), _parse_event(fields, mapping, number))
            except strict_json.BadJSON as error:
                yield ImportLine(str(number), Refused("invalid_json", str(error).replace("The body", "The line")))


def _rename_keys(raw: dict[str, Any], mapping: FileMapping) -> dict[str, Any]:
    """Rename the mapped keys to their fields; other keys stay, so that a refusal names them."""
    return {mapping.columns.get(key, key): value for key, value in raw.items()}


def _parse_event(fields: dict[str, Any], mapping: FileMapping, number: int) -> Event | Refused:
    raw = _nested({"event_id": f"{mapping.prefix}:{number}", **fields, **mapping.values}.items())
    if mapping.zone and isinstance(raw.get("occurred_at"), str):
        raw["occurred_at"] = _add_zone(raw["occurred_at"].strip(), mapping.zone)
    try:
        return event_responses.parse(raw)
    except Refused as refused:
        return refused
    except strict_json.BadJSON as error:
        return Refused("invalid_json", str(error))


def _nested(fields: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Turn dotted names into nested objects."""
    raw: dict[str, Any] = {}
    for field, value in fields:
        outer, dot, inner = field.partition(".")
        if not dot:
            raw[field] = value
        elif isinstance(raw.setdefault(outer, {}), dict):
            raw[outer][inner] = value
    return raw


def _parse_cell(field: str, text: str) -> Any:  # noqa: ANN401 - a JSON value
    """Convert a text cell to the field's JSON value; text that does not fit stays, and is refused when parsed."""
    text = text.strip() if field not in {"event_id", "account"} else text
    if field in _INTEGER_FIELDS and re.fullmatch(r"[0-9]{1,19}", text, re.ASCII):
        return int(text)
    if field == "cached_tokens_included":
        return _BOOLEANS.get(text.lower(), text)
    if field == "metadata":
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _add_zone(text: str, zone: ZoneInfo) -> str:
    """Add the zone's offset to a time without one; return any other text unchanged."""
    match = _NAIVE_TIME.fullmatch(text)
    if match is None:
        return text
    day, clock, fraction = match.groups()
    try:
        time = datetime.fromisoformat(f"{day}T{clock or '00:00'}").replace(tzinfo=zone)
    except ValueError:
        return text
    return time.replace(microsecond=int((fraction or "0")[:6].ljust(6, "0"))).isoformat()
