"""Makes events of a file's rows, and counts what is left out, skipped or refused as a credit. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from billing.errors import Refused
from billing.events import event_responses
from billing.events.events import Event
from billing.events.lines import ImportLine
from billing.events.usage_files import conversions, field_plan
from billing.events.usage_files.conversions import EXACT
from billing.events.usage_files.field_plan import Plan
from billing.events.usage_files.formats import CURRENCY, Layout, field_of, matches
from billing.events.usage_files.options import Options
from billing.events.usage_files.rows import Row, lookup
from lib import strict_json

NOT_A_FIELD = "is not a field"
NO_USAGE = "no usage"
USD = "USD"
MAX_ID_LENGTH = 200
MAX_COLUMN_SETS = 1000  # whose plans are cached
MAX_DIGITS = 40  # of a number in metadata, before it keeps its exponent
MAX_LEFT_OUT = 200  # columns that are named


@dataclass(slots=True)
class CreditSum:
    count: int = 0
    amount: Decimal = Decimal()  # negative


@dataclass(slots=True)
class RowCounts:
    """What did not become an event, so far. `left_out`: column or key -> why. `skipped`: reason -> rows.

    `credits`: currency -> credits and corrections, which are refused or, beside a cost, left out.
    """

    left_out: dict[str, str] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    credits: dict[str, CreditSum] = field(default_factory=dict)

    def add_credit(self, currency: str, amount: Decimal) -> None:
        total = self.credits.setdefault(currency, CreditSum())
        total.count += 1
        total.amount = EXACT.add(total.amount, amount)


class RowReader:
    """Makes events of rows. `prefix`: of ids that the rows have, `line_prefix`: of ids made of the line's number."""

    def __init__(self, layout: Layout, options: Options, *, prefix: str, line_prefix: str, formulas: bool) -> None:
        self.counts = RowCounts()
        self._layout, self._options = layout, options
        self._prefix, self._line_prefix, self._formulas = prefix, line_prefix, formulas
        self._zone = options.zone or (ZoneInfo(layout.timezone) if layout.timezone else None)
        self._patterns = {column: re.compile(pattern) for column, pattern in layout.patterns.items()}
        constants = {field_of(name) or name: value for name, value in layout.set.items()}
        self._constants = {**constants, **options.constants}
        self._stated_currency = str(self._constants.pop(CURRENCY, USD)).upper()
        self._plans: dict[tuple[str, ...], Plan] = {}

    def read(self, rows: Iterable[Row]) -> Iterator[ImportLine]:
        """Yield the events and refusals; skipped rows are only counted."""
        for name, values in rows:
            if isinstance(values, Refused):
                yield ImportLine(name, values)
                continue
            event: Event | Refused | None
            try:
                event = self._event(name, values)
            except Refused as refused:
                event = refused
            except strict_json.BadJSON as error:
                event = Refused("invalid_json", str(error).replace("The body", "The line"))
            except RecursionError:
                event = Refused("invalid_json", f"The line is nested more than {strict_json.MAX_DEPTH} levels deep.")
            if event is not None:
                yield ImportLine(name, event)

    def plan_for(self, columns: tuple[str, ...]) -> Plan:
        """The plan for rows with these columns; names the columns that are left out. Raises BadMapping."""
        plan = self._plans.get(columns)
        if plan is None:
            plan, unused = field_plan.make_plan(columns, self._layout, self._options)
            for column in unused:
                if len(self.counts.left_out) < MAX_LEFT_OUT:
                    self.counts.left_out.setdefault(column, self._layout.left_out.get(column, NOT_A_FIELD))
            if len(self._plans) >= MAX_COLUMN_SETS:
                self._plans.clear()
            self._plans[columns] = plan
        return plan

    def _event(self, name: str, row: dict[str, Any]) -> Event | None:
        """The event; None for a row that is skipped. Raises Refused."""
        plan = self.plan_for(tuple(row) if self._layout.fields else _columns(row))
        self._derive(row)
        if reason := self._skip_reason(row):
            self.counts.skipped[reason] += 1
            return None
        fields = self._fields(row, plan)
        if plan.has_cost and conversions.COST in fields:
            self._convert_cost(fields, row, plan)
        if not _has_usage(fields, plan, self._constants):
            self.counts.skipped[NO_USAGE] += 1
            return None
        if self._layout.credits:
            self._count_credits(row, plan)
        return self._parse({"event_id": self._event_id(name, row), **fields, **self._constants}, plan)

    def _derive(self, row: dict[str, Any]) -> None:
        """Add the named groups of the layout's patterns as columns; the first pattern that matches gives a group."""
        for column, pattern in self._patterns.items():
            match = pattern.search(str(lookup(row, column) or ""))
            for name, text in (match.groupdict() if match else {}).items():
                row.setdefault(name, text)

    def _skip_reason(self, row: Mapping[str, Any]) -> str:
        for column, patterns in self._layout.only.items():
            if not matches(str(lookup(row, column) or ""), tuple(patterns)):
                return f"{column} is not {' or '.join(patterns)}"
        for column, patterns in self._layout.skip.items():
            if matches(text := str(lookup(row, column) or ""), tuple(patterns)):
                return f"{column} is {text[:60] or 'empty'}"
        return ""

    def _fields(self, row: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
        """The converted values, by dotted field. Raises Refused."""
        fields = {}
        for step in plan.steps:
            try:
                value = step.value(row)
                if value is not None:
                    fields[step.field] = self._convert(step.field, value)
            except Refused as refused:
                raise _named(refused, plan) from refused
        return fields

    def _convert(self, name: str, value: Any) -> Any:  # noqa: ANN401 - a JSON value
        if name == conversions.TIME:
            return conversions.convert_time(value, self._zone, self._layout.time_forms)
        if isinstance(value, str):
            if self._formulas and value.startswith("="):
                raise Refused("invalid", "A formula; export its value.", name)
            if not value.isascii() and _UNDECODED.search(value):
                raise Refused("invalid", _UNDECODED_TEXT, name)
            return conversions.convert_cell(name, value)
        if name in conversions.COUNT_FIELDS or name in conversions.DECIMAL_FIELDS:
            return conversions.convert_number(name, value)
        if name == conversions.COST or isinstance(value, bool):
            return value
        if isinstance(value, Decimal) and field_plan.is_metadata(name):
            return conversions.plain(value) if abs(value.adjusted()) < MAX_DIGITS else str(value)
        if isinstance(value, int | Decimal) and not field_plan.is_metadata(name):
            return str(value)
        return _without_decimals(value)

    def _convert_cost(self, fields: dict[str, Any], row: Mapping[str, Any], plan: Plan) -> None:
        """Turn the stated cost into US dollars. Raises Refused for credits and for currencies without a rate."""
        amount = conversions.as_decimal(fields[conversions.COST])
        if amount is None:
            return
        currency = self._currency(row, plan)
        if amount < 0:
            self.counts.add_credit(currency, amount)
            detail = f"A credit or correction of {conversions.plain(amount)} {currency}: accounts have no credits."
            raise _named(Refused("credit", detail, conversions.COST), plan)
        if currency != USD:
            rate = self._options.rates.get(currency)
            if rate is None:
                detail = f"The cost is in {currency[:60]}; state its rate with --rate {currency[:60]}=USD."
                raise _named(Refused("currency", detail, conversions.COST), plan)
            fields["metadata.original_cost"] = conversions.plain(amount)
            fields["metadata.original_currency"] = currency
            fields["metadata.exchange_rate"] = conversions.plain(rate)
            amount = EXACT.multiply(amount, rate)
        fields[conversions.COST] = conversions.cost_text(amount.copy_abs())

    def _currency(self, row: Mapping[str, Any], plan: Plan) -> str:
        stated = plan.currency.value(row) if plan.currency else None
        return str(stated).strip().upper() if stated is not None else self._stated_currency

    def _count_credits(self, row: Mapping[str, Any], plan: Plan) -> None:
        outer, _, inner = self._layout.credits.partition("[].")
        for credit in lookup(row, outer) or ():
            amount = conversions.as_decimal(lookup(credit, inner)) if isinstance(credit, dict) else None
            if amount:
                self.counts.add_credit(self._currency(row, plan), amount)

    def _event_id(self, name: str, row: Mapping[str, Any]) -> str:
        """The row's own id, a hash of the columns that identify it, or its line."""
        values = [lookup(row, column) for column in self._layout.id]
        if all(value is None or value == "" for value in values):
            return f"{self._line_prefix}:{name}"
        own = str(values[0])
        if len(values) > 1 or len(own) > MAX_ID_LENGTH:
            canonical = json.dumps([None if value == "" else value for value in values], sort_keys=True, default=str)
            own = hashlib.sha256(canonical.encode()).hexdigest()[:32]
        return f"{self._prefix}:{own}"

    def _parse(self, fields: dict[str, Any], plan: Plan) -> Event:
        try:
            return event_responses.parse(_nested(fields))
        except Refused as refused:
            raise _named(refused, plan) from refused


_UNDECODED = re.compile("[\udc80-\udcff]")
_UNDECODED_TEXT = "The text is not UTF-8. State the file's encoding, such as --encoding latin-1."


def _named(refused: Refused, plan: Plan) -> Refused:
    """The refusal with the name of the field's column, unless the column is named like the field."""
    columns = next((" + ".join(step.columns) for step in plan.steps if step.field == refused.attr), "")
    if not columns or field_of(columns) == refused.attr:
        return refused
    return Refused(refused.code, f"{refused.detail.removesuffix('.')} (column {columns!r}).", refused.attr)


def _has_usage(fields: Mapping[str, Any], plan: Plan, constants: Mapping[str, Any]) -> bool:
    """False if all columns of usage are empty, or if there were no requests and nothing else is above zero.

    A failed call counts: it is a call without usage.
    """
    if not plan.usage_fields or "response" in fields or fields.get("error_message"):
        return True
    if isinstance(fields.get("status_code"), int) and fields["status_code"] >= 400:
        return True
    stated = [fields[name] for name in plan.usage_fields if name in fields]
    requests = fields.get("usage.requests", constants.get("usage.requests"))
    return any(value not in {0, "0"} for value in stated) if requests == 0 else bool(stated)


def _columns(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The row's keys, with those of `usage` and `variant` as dotted names."""
    nested = [key for key in ("usage", "variant") if isinstance(row.get(key), dict)]
    if not nested:
        return tuple(row)
    inner = (f"{key}.{name}" for key in nested for name in row[key])
    return (*(key for key in row if key not in nested), *inner)


def _nested(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Turn dotted names into nested objects."""
    raw: dict[str, Any] = {}
    for name, value in fields.items():
        if "." not in name:
            raw[name] = value
            continue
        outer, _, inner = name.partition(".")
        if isinstance(raw.setdefault(outer, {}), dict):
            raw[outer][inner] = value
    return raw


def _without_decimals(value: Any) -> Any:  # noqa: ANN401 - a JSON value
    """A JSON value as its parser gives it: with floats, in what is stored or hashed as it was sent."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: _without_decimals(child) for key, child in value.items()}
    return [_without_decimals(child) for child in value] if isinstance(value, list) else value
