"""Context of a log's page: its charge, provider and corrections, for the admin and the customers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from billing.charges import charge_history, explanation, explanation_text, rating
from billing.charges.explanation import PriceCalculation
from billing.charges.explanation_text import Labels
from billing.events.vendor_responses import informational
from billing.models import CostSource, UsageAdjustment, UsageLog
from billing.reports import log_rows
from lib import money

Kind = UsageAdjustment.Kind
REVERTIBLE = (
    Kind.VOID,
    Kind.REPRICE,
    Kind.REDETECT,
)  # kinds that can be reverted; a voided call needs its void reverted before a re-price


@dataclass(frozen=True, slots=True)
class RatedUnit:
    """A row of the table of units and rates."""

    unit: str
    conditions: list[str]
    quantity: str
    rate: str
    usd: str


@dataclass(frozen=True, slots=True)
class CorrectionRow:
    """A row of the table of corrections."""

    adjustment: UsageAdjustment
    summary: str
    can_revert: bool


def context_for(log: UsageLog) -> dict[str, Any]:
    row, snapshot = log_rows.load(log), rating.snapshot()
    labels = snapshot.rules.labels
    why = explanation.explain(*row, snapshot)
    row_json, explained = log_rows.as_json(row, labels), log_rows.explanation_as_json(log, why, labels)
    return {
        "log": log,
        "row": row_json,
        "why": explained,
        "charge": explanation_text.charge_sentences(log, why, labels),
        "detection": explanation_text.detection_sentence(log, labels),
        "billed": [_rated_unit(line, why.calculation) for line in explained["lines"]] if why.calculation else [],
        "cost_source": CostSource(row_json["cost_source"]).label,
        "variant": _labelled(log.variant),
        "served_variant": _labelled((log.reading or {}).get("variant", {})),
        **_other_fields(log.reading or {}),
        "vendor_cost_differs": _vendor_cost_differs(log),
        "corrections": correction_rows(log, row[1], labels),
    }


def _labelled(variant: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name.replace("_", " "), value) for name, value in variant.items()]


def _other_fields(reading: Mapping[str, Any]) -> dict[str, list[str]]:
    """The fields that are not counted and why, the unread ones with their values, and those that are counted as a unit."""
    values: Mapping[str, int | str] = reading.get("unread_values", {})
    named = {path: f"{path} = {value}" for path, value in values.items()}
    counted = [
        f"{named.get(path, path)} as {explanation_text.unit_label(unit)}"
        for path, unit in reading.get("mapped", {}).items()
    ]
    reasons = informational.reasons(reading.get("ignored", ()), values)
    not_counted = [f"{path} ({reason})" for path, reason in reasons.items()]
    return {
        "not_counted": not_counted,
        "unread": [named.get(path, path) for path in reading.get("unread", ())],
        "counted": counted,
    }


def _vendor_cost_differs(log: UsageLog) -> bool:
    """Whether the cost in the vendor's response differs from the charge as recorded by more than 1 %."""
    stated = (log.reading or {}).get("cost_usd")
    if stated is None or log.cost_source == CostSource.UNPRICED:
        return False
    vendor_nano = money.nano_from_usd(Decimal(stated))
    return abs(log.cost_total - vendor_nano) * 100 > vendor_nano


def correction_rows(log: UsageLog, adjustments: Sequence[UsageAdjustment], labels: Labels) -> list[CorrectionRow]:
    last = {adjustment.kind: adjustment.pk for adjustment in adjustments if adjustment.reverted_by is None}
    revertible = {last.get(kind) for kind in REVERTIBLE if not (log.voided_at and kind == Kind.REPRICE)}
    rows = []
    for effect in charge_history.correction_effects(log, adjustments):
        summary = explanation_text.describe_correction(effect, labels)
        rows.append(CorrectionRow(effect.adjustment, summary, effect.adjustment.pk in revertible))
    return rows


def _rated_unit(line: dict[str, Any], calculation: PriceCalculation) -> RatedUnit:
    conditions = [explanation_text.describe_conditions(line["variant"])] if line["variant"] else []
    conditions += [f"above {line['above']:,} input tokens"] if line["above"] else []
    rate = explanation_text.format_rate(line["unit"], calculation.rates[line["unit"]].nano_per_million)
    return RatedUnit(explanation_text.unit_label(line["unit"]), conditions, line["quantity"], rate, line["cost_usd"])
