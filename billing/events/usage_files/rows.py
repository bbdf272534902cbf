"""The rows of CSV files, JSON Lines and JSON documents, by column or key. Pure."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import chain, count
from pathlib import PurePath
from typing import Any, NamedTuple

from billing.errors import Refused
from billing.events.usage_files.file_text import MAX_LINE, FileText, UnreadableText
from billing.events.usage_files.formats import BadMapping
from lib import strict_json

MAX_DOCUMENT = 64 * 1024 * 1024  # characters of a JSON document, which is read as a whole
_SEPARATORS = ",;\t|"
_LINES, _DOCUMENTS, _TABLES = {".jsonl", ".ndjson"}, {".json"}, {".csv", ".tsv"}


class Row(NamedTuple):
    """`name`: its line, or its path in a document. `values`: by column or key, or why the row can't be read."""

    name: str
    values: dict[str, Any] | Refused


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV file. Rows have all columns of the header."""

    header: list[str]
    rows: Iterator[Row]


@dataclass(frozen=True, slots=True)
class JSONLines:
    """`first`: the keys of the first line, for recognition."""

    first: Mapping[str, Any]
    rows: Iterator[Row]


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON document; which of its parts are rows depends on the format."""

    value: Any

    def rows(self, path: str) -> Iterator[Row]:
        """The objects at a path such as `data[].results[]`, each with the keys of the objects around it."""
        return _rows_at(self.value, path.split(".") if path else [], "", {})


def open_rows(text: FileText, name: str) -> Table | JSONLines | Document:
    """Open a file by the ending of its name. Raises BadMapping."""
    path = PurePath(name.lower())
    suffix = PurePath(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if suffix not in _LINES | _DOCUMENTS | _TABLES:
        raise BadMapping(f"{name}: only .csv, .tsv, .jsonl and .json files, also as .gz, can be imported.")
    try:
        if suffix in _TABLES:
            return _open_table(text)
        return _open_lines(text, []) if suffix in _LINES else _open_document(text)
    except UnreadableText as error:
        raise BadMapping(str(error)) from error


def lookup(values: Mapping[str, Any], column: str) -> Any:  # noqa: ANN401 - a JSON value
    """The value of a column or of a nested key (`a.b`), also inside a text that is JSON; None if there is none."""
    if column in values or "." not in column:
        return values.get(column)
    value: Any = values
    for key in column.split("."):
        if isinstance(value, str) and value.startswith("{"):
            value = _decode_or_none(value)
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def _decode_or_none(text: str) -> Any:  # noqa: ANN401 - a JSON value
    try:
        return _decode(text)
    except strict_json.BadJSON:
        return None


def _open_table(text: FileText) -> Table:
    first, skipped = text.read_line(), 0
    while first and (first.startswith("#") or not first.strip()):
        first, skipped = text.read_line(), skipped + 1
    if first.lstrip().startswith(("{", "[")):
        raise BadMapping("The file is JSON, not CSV; name it .jsonl or .json.")
    separator = max(_SEPARATORS, key=lambda character: len(next(csv.reader([first], delimiter=character), [])))
    reader = csv.reader(chain([first], text.lines()), delimiter=separator, strict=True)
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise BadMapping(f"Line {reader.line_num + skipped}, the header: invalid CSV: {error}.") from error
    return Table(header, _table_rows(reader, header, skipped))


def _table_rows(reader: Any, header: list[str], skipped: int) -> Iterator[Row]:  # noqa: ANN401 - _csv.reader is no type
    """Rows until the end, or until what can't be read."""
    while True:
        start = reader.line_num + 1
        try:
            cells = next(reader, None)
        except (csv.Error, UnreadableText) as error:
            yield Row(str(reader.line_num + skipped), _refuse_csv(error, start + skipped, reader.line_num + skipped))
            if isinstance(error, UnreadableText):
                return
            continue
        if cells is None:
            return
        if len(cells) == len(header):
            yield Row(str(reader.line_num + skipped), dict(zip(header, cells, strict=True)))
        elif cells:
            detail = f"The line has {len(cells)} cells, the header {len(header)} columns."
            yield Row(str(reader.line_num + skipped), Refused("invalid", detail))


def _refuse_csv(error: Exception, start: int, end: int) -> Refused:
    if isinstance(error, UnreadableText):
        return Refused("unreadable", str(error))
    lines = f"Lines {start} to {end} were read as one: is a closing quote missing? " if end > start else ""
    return Refused("invalid", f"{lines}Invalid CSV: {error}.")


def _open_lines(text: FileText, lines: list[str]) -> JSONLines:
    """`lines` were read before."""
    first = lines[0] if lines else text.read_line()
    values = _parse_line(first) if first.strip() else {}
    return JSONLines(values if isinstance(values, dict) else {}, _line_rows(lines or [first], text))


def _line_rows(read_before: list[str], text: FileText) -> Iterator[Row]:
    """Rows until the end, or until what can't be read."""
    lines = chain(read_before, text.lines())
    for number in count(1):
        try:
            line = next(lines, "")
        except UnreadableText as error:
            yield Row(str(number), Refused("unreadable", str(error)))
            return
        if not line:
            return
        if line.strip():
            yield Row(str(number), _parse_line(line))


def _parse_line(line: str) -> dict[str, Any] | Refused:
    try:
        value = _decode(line)
    except strict_json.BadJSON as error:
        detail = re.sub(r": line \d+ column", ": column", str(error).replace("The body", "The line"))
        return Refused("invalid_json", detail)
    return value if isinstance(value, dict) else Refused("invalid_json", "The line is not a JSON object.")


def _open_document(text: FileText) -> JSONLines | Document:
    """JSON Lines if the first line is an object and another line follows."""
    first = text.read_line(whole=False)
    while first and not first.strip():
        first = text.read_line(whole=False)
    second = text.read_line(whole=False)
    if second.strip() and len(first) <= MAX_LINE and isinstance(_parse_line(first), dict):
        return _open_lines(text, [first, second])
    rest = first + second + text.read(MAX_DOCUMENT + 1)
    if len(rest) > MAX_DOCUMENT:
        size = MAX_DOCUMENT // 2**20
        raise BadMapping(f"The JSON document is larger than {size} MiB; export fewer days, or JSON Lines.")
    try:
        return Document(_decode(rest))
    except strict_json.BadJSON as error:
        raise BadMapping(f"{str(error).replace('The body', 'The file')}. Is it cut off?") from error


def _decode(text: str) -> Any:  # noqa: ANN401 - a JSON value
    """Decode JSON; numbers with a fraction or exponent become exact Decimals. Raises BadJSON."""
    return strict_json.decode(text.encode("utf-8", "surrogateescape"), parse_float=_exact)


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise strict_json.BadJSON("A number is out of range.") from error


def _rows_at(value: object, path: list[str], name: str, around: dict[str, Any]) -> Iterator[Row]:
    if not path:
        values = {**around, **value} if isinstance(value, dict) else Refused("invalid", "Not a JSON object.")
        yield Row(name, values)
        return
    key = path[0].removesuffix("[]")
    if isinstance(value, dict) and key:
        around = {**around, **{name: child for name, child in value.items() if name != key}}
        value, name = value.get(key), f"{name}.{key}".lstrip(".")
    if not path[0].endswith("[]"):
        yield from _rows_at(value, path[1:], name, around) if value is not None else ()
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _rows_at(child, path[1:], f"{name}[{index}]", around)
