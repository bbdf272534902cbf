"""A log's charge, provider and corrections as a page tells them: the admin's and the customers' pages show the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from billing.charges import charge_history, explanation, explanation_text, rating
from billing.charges.explanation import Priced
from billing.charges.explanation_text import Labels
from billing.models import CostSource, UsageAdjustment, UsageLog
from billing.reports import log_rows

Kind = UsageAdjustment.Kind
REVERTED = (Kind.VOID, Kind.REPRICE, Kind.REDETECT)  # what a revert can undo; of a voided call its void first


@dataclass(frozen=True, slots=True)
class Billed:
    """A row of the table of units and rates."""

    unit: str
    conditions: list[str]
    quantity: str
    rate: str
    usd: str


@dataclass(frozen=True, slots=True)
class Correction:
    """A row of the table of corrections; `can_revert` says whether that is possible now."""

    one: UsageAdjustment
    what: str
    can_revert: bool


def shown(log: UsageLog) -> dict[str, Any]:
    """Of the same functions that the API answers with."""
    row, edition = log_rows.of(log), rating.snapshot()
    labels = edition.rules.labels
    why = explanation.explain(*row, edition)
    told, explained = log_rows.log(row, labels), log_rows.explained(log, why, labels)
    return {
        "log": log,
        "row": told,
        "why": explained,
        "charge": explanation_text.charge(log, why, labels),
        "detection": explanation_text.detection(log, labels),
        "billed": [_billed(line, why.priced) for line in explained["lines"]] if why.priced else [],
        "cost_source": CostSource(told["cost_source"]).label,
        "corrections": corrections_of(log, row[1], labels),
    }


def corrections_of(log: UsageLog, adjustments: Sequence[UsageAdjustment], labels: Labels) -> list[Correction]:
    last = {one.kind: one.pk for one in adjustments if one.reverted_by is None}
    possible = {last.get(kind) for kind in REVERTED if not (log.voided_at and kind == Kind.REPRICE)}
    steps = charge_history.history(log, adjustments)
    return [
        Correction(step.adjustment, explanation_text.done(step, labels), step.adjustment.pk in possible)
        for step in steps
    ]


def _billed(line: dict[str, Any], priced: Priced) -> Billed:
    """A line of the API's explanation, with its unit and rate in words."""
    conditions = [explanation_text.variant(line["variant"])] if line["variant"] else []
    conditions += [f"above {line['above']:,} input tokens"] if line["above"] else []
    rate = explanation_text.rate(line["unit"], priced.rates[line["unit"]].nano_per_million)
    return Billed(explanation_text.unit(line["unit"]), conditions, line["quantity"], rate, line["cost_usd"])
