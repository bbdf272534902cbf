"""Opens a file with usage: recognises its format, and gives its rows as events. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, BinaryIO

import msgspec

from billing.errors import Refused
from billing.events.lines import ImportLine
from billing.events.usage_files import field_plan, shipped_formats
from billing.events.usage_files.file_text import FileText
from billing.events.usage_files.formats import BadMapping, Format, Layout, field_of, matches
from billing.events.usage_files.options import Options
from billing.events.usage_files.row_events import CreditSum, RowCounts, RowReader
from billing.events.usage_files.rows import Document, JSONLines, Row, Table, lookup, open_rows

FIELDS_FORMAT = "fields"  # the name of no format: columns and keys are fields of an event, or mapped by hand
_NO_LAYOUT = Layout(rows=["[]", "data[]", "rows[]", "items[]"])


@dataclass(frozen=True, slots=True)
class UsageFile:
    """An open file. `format` is None if columns and keys are fields; `recognised`: found by its columns, not named.

    `lines` can be iterated once; the counts grow with it. A CSV's `left_out` is complete before the first line.
    """

    format: Format | None
    layout: Layout
    recognised: bool
    lines: Iterator[ImportLine]
    counts: RowCounts

    @property
    def left_out(self) -> Mapping[str, str]:
        """Column or key -> why it is no part of the events."""
        return self.counts.left_out

    @property
    def skipped(self) -> Counter[str]:
        """Reason -> number of rows that are no calls."""
        return self.counts.skipped

    @property
    def credits(self) -> Mapping[str, CreditSum]:
        """Currency -> count and sum of credits and corrections, which are not imported."""
        return self.counts.credits


def open_stream(stream: BinaryIO, name: str, options: Options, format_name: str | None = None) -> UsageFile:
    """Open a seekable stream, named like the file that it came from. Raises BadMapping: nothing can be imported then.

    `format_name`: a shipped format, PATH.toml, or "fields"; None recognises it, unless the options map columns in another way.
    """
    contents = open_rows(FileText(stream, options.encoding), name)
    match, recognised, by_line = None, False, False
    if format_name not in {None, FIELDS_FORMAT}:
        named = shipped_formats.find(format_name or "")
        match = _find_layout(contents, [named])
        if match is None:
            raise BadMapping(_other_format(contents, named))
    elif format_name is None:
        match, recognised = recognise(contents), True
        if match and options.columns:
            additions = field_plan.additions(options.columns, match[1])
            match, by_line = (None, False) if additions is None else (match, True)
            options = options if additions is None else replace(options, columns=additions)
        elif match is None and not options.columns and not _has_fields(contents):
            raise BadMapping(f"The file's format is not known; name it with --format, one of {_names()}, or PATH.toml.")
    shape, layout, rows = match or (None, _NO_LAYOUT, _rows_of(contents, _NO_LAYOUT))
    layout = (
        msgspec.structs.replace(layout, id=[]) if by_line else layout
    )  # ids of mapped files are those of their lines
    reader = RowReader(
        layout,
        options,
        prefix=options.prefix if options.prefix is not None else shape.name if shape else name,
        line_prefix=options.prefix if options.prefix is not None else PurePath(name).name,
        formulas=isinstance(contents, Table),
    )
    if isinstance(contents, Table):
        _check_header(contents.header, layout, options)
        _check_required(reader.plan_for(tuple(contents.header)), layout, options)
    return UsageFile(shape, layout, recognised and shape is not None, reader.read(rows), reader.counts)


def recognise(contents: Table | JSONLines | Document) -> tuple[Format, Layout, Iterator[Row]] | None:
    """The shipped format with the most columns that the file has all of, and the file's rows; None if there is none."""
    return _find_layout(contents, list(shipped_formats.load().values()))


def _find_layout(
    contents: Table | JSONLines | Document, candidates: list[Format]
) -> tuple[Format, Layout, Iterator[Row]] | None:
    layouts = [(shape, layout) for shape in candidates for layout in shape.layouts if _fits(contents, layout)]
    if not layouts:
        return None
    shape, layout = max(layouts, key=lambda pair: len(pair[1].recognise))
    return shape, layout, _rows_of(contents, layout)


def _fits(contents: Table | JSONLines | Document, layout: Layout) -> bool:
    row = _first_row(contents, layout)
    return row is not None and all(_has(row, expected) for expected in layout.recognise)


def _first_row(contents: Table | JSONLines | Document, layout: Layout) -> Mapping[str, Any] | None:
    if isinstance(contents, Table):
        return dict.fromkeys(contents.header, "")
    if isinstance(contents, JSONLines):
        return contents.first
    first = next(_rows_of(contents, layout), None)
    return first.values if first and not isinstance(first.values, Refused) else None


def _has(row: Mapping[str, Any], expected: str) -> bool:
    column, equals, pattern = expected.partition("=")
    if equals:
        return matches(str(lookup(row, column)), (pattern,))
    outer, _, inner = column.rpartition(".")
    parent = lookup(row, outer) if outer and column not in row else row
    return isinstance(parent, Mapping) and (column if column in row else inner or column) in parent


def _rows_of(contents: Table | JSONLines | Document, layout: Layout) -> Iterator[Row]:
    if not isinstance(contents, Document):
        return contents.rows
    default = "[]" if isinstance(contents.value, list) else ""
    paths = (path for path in layout.rows if next(contents.rows(path), None))
    return contents.rows(next(paths, default))


def _has_fields(contents: Table | JSONLines | Document) -> bool:
    """Tells whether JSON has keys of an event in its first row; a CSV file's header is checked elsewhere."""
    row = _first_row(contents, _NO_LAYOUT)
    if isinstance(contents, Table) or (isinstance(contents, JSONLines) and not row):
        return True
    return any(field_of(key) or key in {"usage", "variant"} for key in row or {})


def _names() -> str:
    return ", ".join(shipped_formats.load())


def _other_format(contents: Table | JSONLines | Document, named: Format) -> str:
    recognised = recognise(contents)
    if recognised:
        return f"The file is not {named.name}: it looks like {recognised[0].name}."
    layouts = " or ".join(" and ".join(layout.recognise) for layout in named.layouts)
    return f"The file is not {named.name}, which has {layouts}."


def _check_header(header: list[str], layout: Layout, options: Options) -> None:
    for mapping in options.columns:
        addends = [mapping] if mapping in header else [name.strip() for name in mapping.split("+")]
        missing = [name for name in addends if name not in header and name.split(".")[0] not in header]
        if missing and "|" not in mapping:
            raise BadMapping(f"The file has no column {missing[0]!r}; it has {', '.join(header) or 'none'}.")
    plan, unused = field_plan.make_plan(header, layout, options)
    sources = {column for step in plan.steps for column in step.columns}
    for column in options.values:
        if column not in sources:
            raise BadMapping(f"--values {column}: no field comes from this column. Map it with --map.")
    for column in set(header) - set(unused):
        if header.count(column) > 1:
            raise BadMapping(f"The file has {header.count(column)} columns {column!r}; rename or remove all but one.")


def _check_required(plan: field_plan.Plan, layout: Layout, options: Options) -> None:
    fields = {step.field for step in plan.steps} | {*layout.set, *options.constants}
    for field, example in (("provider", "--set provider=openai"), ("account", "--account ID")):
        if field not in fields:
            raise BadMapping(f"No column has the {field}. State it ({example}), or map a column to it (--map).")
