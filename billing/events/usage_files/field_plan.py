"""Which fields the columns of a row give, by a layout and an operator's options. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from typing import Any

from billing.errors import Refused
from billing.events.usage_files import conversions
from billing.events.usage_files.conversions import EXACT
from billing.events.usage_files.formats import CURRENCY, METADATA_PREFIX, BadMapping, Layout, Source, field_of, matches
from billing.events.usage_files.options import Options
from billing.events.usage_files.rows import lookup

_ALTERNATIVES, _ADDENDS = re.compile(r"\s*\|\s*"), re.compile(r"\s*\+\s*")
_NUMERIC = conversions.COUNT_FIELDS | {*conversions.DECIMAL_FIELDS, conversions.COST}


@dataclass(frozen=True, slots=True)
class Step:
    """One field and where its value comes from. `alternatives`: the columns to add up, for each alternative.

    `column`: the only column, if its value is taken as it is.
    """

    field: str
    alternatives: tuple[tuple[str, ...], ...]
    values: Mapping[str, str | int | bool]
    source: Source | None = None  # if it has more than columns and values
    blank: frozenset[str] = frozenset()
    column: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(column for addends in self.alternatives for column in addends)

    def value(self, row: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a JSON value
        """The field's value before conversion; None if there is none. Raises Refused."""
        if self.column is not None and self.column in row:
            value = row[self.column]
            return None if value.__class__ is str and (not value.strip() or value in self.blank) else value
        value = self._stated(row)
        return self.source.default if value is None and self.source else value

    def _stated(self, row: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a JSON value
        if self.source and not all(
            matches(_as_text(lookup(row, column)), tuple(patterns)) for column, patterns in self.source.when.items()
        ):
            return None
        for addends in self.alternatives:
            parts = [part for column in addends if (part := self._part(row, column)) is not None]
            if parts:
                value = parts[0] if len(parts) == 1 else self._sum(parts)
                return self._scaled(value, row) if self.source and (self.source.times or self.source.unit) else value
        return None

    def _part(self, row: Mapping[str, Any], column: str) -> Any:  # noqa: ANN401 - a JSON value
        value = lookup(row, column)
        if self.values and value is not None:
            value = self._named_value(value)
        if isinstance(value, str) and (not value.strip() or value in self.blank):
            return None
        return value

    def _named_value(self, value: Any) -> Any:  # noqa: ANN401 - a JSON value
        text = _as_text(value)
        if text in self.values:
            return self.values[text]
        return next((named for pattern, named in self.values.items() if matches(text, (pattern,))), value)

    def _sum(self, parts: list[Any]) -> Decimal:
        return reduce(EXACT.add, map(self._number, parts))

    def _scaled(self, value: Any, row: Mapping[str, Any]) -> Decimal:  # noqa: ANN401 - a JSON value
        number = self._number(value)
        source = self.source or Source("")
        if source.times:
            number = EXACT.multiply(number, Decimal(source.times))
        if source.unit:
            unit = _as_text(lookup(row, source.unit))
            factor = next((factor for text, factor in source.units.items() if matches(unit, (text,))), None)
            if factor is None:
                raise Refused("invalid", f"The unit {unit[:60]!r} is not known.", self.field)
            number = EXACT.multiply(number, Decimal(factor))
        return number

    def _number(self, value: Any) -> Decimal:  # noqa: ANN401 - a JSON value
        number = conversions.as_decimal(value)
        if number is None:
            raise Refused("invalid", f"{_as_text(value)[:60]!r} is not a number.", self.field)
        return number


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps for rows with certain columns. `usage_fields`: the fields whose absence from a row means no usage."""

    steps: tuple[Step, ...]
    usage_fields: frozenset[str]
    currency: Step | None
    has_cost: bool


def make_plan(columns: Iterable[str], layout: Layout, options: Options) -> tuple[Plan, list[str]]:
    """The plan for rows with these columns, and the columns that it does not use. Raises BadMapping."""
    columns = list(columns)
    sources = _sources(layout, options)
    if not layout.fields:
        sources |= _sources_by_name(columns, {*sources, *options.constants})
    steps = {field: _make_step(field, source, layout, options, columns) for field, source in sources.items()}
    currency = _currency_step(columns, layout, options, steps)
    used = {column for step in (*steps.values(), currency) if step for column in step.columns}
    used |= {layout.currency, *layout.id, *layout.only, *layout.skip, *layout.patterns} | _referenced(sources.values())
    used |= {layout.credits.partition("[")[0]}
    used |= {column[: dot.start()] for column in used for dot in re.finditer(r"\.", column)}
    steps.pop(CURRENCY, None)
    plan = Plan(
        tuple(steps.values()),
        frozenset(field for field in steps if field.startswith("usage.") or field == conversions.COST),
        currency,
        conversions.COST in steps,
    )
    return plan, [column for column in columns if column not in used]


def additions(mapped: Mapping[str, str], layout: Layout) -> dict[str, str] | None:
    """What the mapped columns add to the layout: metadata. None if one of them gives a field from other columns than it.

    Who maps a column that the layout adds up with others means the layout: the other columns would be lost unsaid.
    """
    sources = _sources(layout, Options())
    contradicting = [
        column
        for column, field in mapped.items()
        if not field.startswith(METADATA_PREFIX)
        and not (field in sources and _columns(column) <= _columns(sources[field].column))
    ]
    if contradicting:
        return None
    return {column: field for column, field in mapped.items() if field.startswith(METADATA_PREFIX)}


def _columns(text: str) -> set[str]:
    return set(re.split(r"\s*[|+]\s*", text))


def _sources(layout: Layout, options: Options) -> dict[str, Source]:
    sources = {
        field_of(name) or name: source if isinstance(source, Source) else Source(source)
        for name, source in layout.fields.items()
    }
    sources |= {field: Source(column) for column, field in options.columns.items()}
    return {field: source for field, source in sources.items() if field not in options.constants}


def _sources_by_name(columns: Iterable[str], taken: set[str]) -> dict[str, Source]:
    """The columns named like a field that has no other source."""
    sources: dict[str, Source] = {}
    for column in columns:
        field = field_of(column)
        if field and field not in taken:
            if field in sources:
                raise BadMapping("Two columns of the file belong to the same field.")
            sources[field] = Source(column)
    return sources


def _make_step(field: str, source: Source, layout: Layout, options: Options, columns: list[str]) -> Step:
    """A column that the file has is never taken for a sum."""
    if source.column in columns:
        alternatives: tuple[tuple[str, ...], ...] = ((source.column,),)
    else:
        alternatives = tuple(tuple(_ADDENDS.split(text.strip())) for text in _ALTERNATIVES.split(source.column))
    values = dict(source.values)
    for addends in alternatives:
        for column in addends:
            values |= options.values.get(column, {})
    if field not in _NUMERIC and any(len(addends) > 1 for addends in alternatives):
        raise BadMapping(f"{source.column}: only numbers can be added up, and {field} is none.")
    extra = source if source.when or source.times or source.unit or source.default is not None else None
    is_plain = alternatives == ((source.column,),) and not values and extra is None
    return Step(field, alternatives, values, extra, frozenset(layout.blank), source.column if is_plain else None)


def _currency_step(columns: list[str], layout: Layout, options: Options, steps: Mapping[str, Step]) -> Step | None:
    """The column with the currency of the cost: as mapped, as the layout says, or by its name."""
    if CURRENCY in options.constants or conversions.COST not in steps:
        return None
    if CURRENCY in steps:
        return steps[CURRENCY]
    column = layout.currency
    if not layout.fields:
        candidates = [name for name in columns if re.search(r"currency(_?code)?$", name, re.IGNORECASE)]
        billing = [name for name in candidates if name.lower().replace("_", "").startswith("billing")]
        if len(candidates) > 1 and len(billing) != 1:
            raise BadMapping(
                f"The columns {' and '.join(candidates)} may hold the currency; map one with --map COLUMN=currency."
            )
        column = (billing or candidates or [""])[0]
    return _make_step(CURRENCY, Source(column), layout, options, columns) if column else None


def _referenced(sources: Iterable[Source]) -> set[str]:
    return {column for source in sources for column in (*source.when, source.unit)}


def _as_text(value: Any) -> str:  # noqa: ANN401 - a JSON value
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def is_metadata(field: str) -> bool:
    return field.startswith(METADATA_PREFIX)
