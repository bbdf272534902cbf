"""Checks that the current cost, price state and provider of logs follow from their adjustments, and these from each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from billing.charges import charge_history
from billing.charges.charge_history import CorrectionEffect
from billing.ledger import row_checksum
from billing.models import CostSource, UnpricedReason, UsageAdjustment, UsageState
from billing.verification.differences import CheckedPart, CheckedRow, Pairs, compare
from billing.verification.log_check import REASONS_SINCE_VERSION, TABLE, LogPage

AdjustmentKind = UsageAdjustment.Kind
ADJUSTMENTS = UsageAdjustment._meta.db_table


def compare_values(page: LogPage) -> CheckedPart:
    """The current cost, price state, void and provider of each log, against its original cost and its adjustments."""
    return compare(
        CheckedRow(TABLE, (log.id,), _expected_values(log, page.adjustments.get(log.id, ()))) for log in page.logs
    )


def _expected_values(log: Any, adjustments: Sequence[UsageAdjustment]) -> Pairs:  # noqa: ANN401 - a StoredLog
    value, voided_at, detected = charge_history.original_value(log), None, None
    for effect in charge_history.correction_effects(log, adjustments):
        value, adjustment = effect.after, effect.adjustment
        if value.voided != effect.before.voided:
            voided_at = adjustment.created_at if value.voided else None
        detected = _detected_by(adjustment) or detected
    pairs: dict[str, tuple[object, object]] = {
        "effective_nano": (log.effective_nano, value.nano),
        "is_priced": (log.is_priced, value.priced),
        "voided_at": (log.voided_at, voided_at),
        "unpriced_reason": (log.unpriced_reason, _expected_reason(log, priced=value.priced)),
        "usage_state": (log.usage_state, _expected_state(log, adjustments)),
        "resolved": (log.resolved, _last_detail(adjustments, "resolved")),
    }
    if detected:
        pairs["actual_provider_name"] = (log.actual_provider_name, detected["to"])
        pairs["detection_rule"] = (log.detection_rule, detected.get("rule", log.detection_rule))
    return pairs


def _expected_reason(log: Any, *, priced: bool) -> str | None:  # noqa: ANN401 - a StoredLog
    """None where priced; else any reason, or none yet on a log of a release that did not store it."""
    stored: str | None = log.unpriced_reason
    if priced or (stored is None and row_checksum.version_of(log.checksum or 0) < REASONS_SINCE_VERSION):
        return None
    return stored if stored in UnpricedReason.values else UnpricedReason.PRICE_UNKNOWN.value


def _expected_state(log: Any, adjustments: Sequence[UsageAdjustment]) -> str:  # noqa: ANN401 - as above
    """What the last correction recorded; else complete for a cost by a price, and not complete for an estimate."""
    stored = str(log.usage_state)
    if recorded := _last_detail(adjustments, "usage_state"):
        return str(recorded)
    if log.cost_source == CostSource.PRICE_BOOK:
        return UsageState.COMPLETE.value
    possible = UsageState.values if log.cost_source != CostSource.ESTIMATE else NOT_COMPLETE
    return stored if stored in possible else UsageState.UNKNOWN.value


def _last_detail(adjustments: Sequence[UsageAdjustment], name: str) -> object:
    """What the last adjustment with this detail recorded; None if there is none."""
    return next((row.details[name] for row in reversed(adjustments) if name in row.details), None)


NOT_COMPLETE = (UsageState.INCOMPLETE.value, UsageState.UNKNOWN.value)


def _detected_by(adjustment: UsageAdjustment) -> dict[str, Any] | None:
    """The details of a redetection or of its revert; None of any other kind."""
    details: dict[str, Any] = adjustment.details
    return details if AdjustmentKind.REDETECT in (adjustment.kind, details.get("kind")) else None


def compare_corrections(page: LogPage) -> CheckedPart:
    """What each adjustment of a log says of the values before it, against the adjustments before that one."""
    return compare(_correction_rows(page))


def _correction_rows(page: LogPage) -> Iterator[CheckedRow]:
    for log in page.logs:
        adjustments = page.adjustments.get(log.id, ())
        provider = None
        for effect in charge_history.correction_effects(log, adjustments):
            pairs, provider = _correction_pairs(effect, provider)
            yield CheckedRow(ADJUSTMENTS, (effect.adjustment.id,), pairs)


def _correction_pairs(effect: CorrectionEffect, provider: object) -> tuple[Pairs, object]:
    """The pairs of one adjustment, and the provider after it; None as long as no redetection names one."""
    adjustment, before, pairs = effect.adjustment, effect.before, dict[str, tuple[object, object]]()
    recorded = adjustment.details.get("before", {})
    if "nano" in recorded:
        pairs["details.before.nano"] = (recorded["nano"], before.nano)
    if "priced" in recorded:
        pairs["details.before.priced"] = (recorded["priced"], before.priced)
    if "unpriced_reason" in recorded:
        pairs["details.before.unpriced_reason"] = (recorded["unpriced_reason"] is None, before.priced)
    if "unpriced_reason" in adjustment.details:
        pairs["details.unpriced_reason"] = (adjustment.details["unpriced_reason"] is None, effect.after.priced)
    if adjustment.kind == AdjustmentKind.VOID:
        pairs["voided before"] = (before.voided, False)
    if detected := _detected_by(adjustment):
        pairs["details.from"] = (detected.get("from"), provider or detected.get("from"))
        provider = detected.get("to")
    return pairs, provider
