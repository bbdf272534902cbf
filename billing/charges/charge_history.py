"""A log's current charge and the effect of each correction on it. Runs no queries.

The functions take a log in any form that has the columns, and its adjustments, oldest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from billing.models import CostSource, UsageAdjustment

AdjustmentKind = UsageAdjustment.Kind
RATING_KINDS = (AdjustmentKind.REPRICE, AdjustmentKind.RESOLVE)


class Charge(NamedTuple):
    """A rating: price id (None if not from a price), CostSource, and nano-USD by part."""

    price_id: int | None
    source: str
    input_nano: int
    output_nano: int
    other_nano: int
    total_nano: int


class LogValue(NamedTuple):
    """A log's cost in nano-USD at one point of its history. `nano` is meaningful only if priced or voided."""

    nano: int
    priced: bool
    voided: bool

    @property
    def known_nano(self) -> int | None:
        return self.nano if self.priced or self.voided else None


class CorrectionEffect(NamedTuple):
    """A correction, and the log's value before and after it."""

    adjustment: UsageAdjustment
    before: LogValue
    after: LogValue


def current_value(log: Any) -> LogValue:  # noqa: ANN401 - any form of a log that has the columns
    """The log's value after all corrections."""
    return LogValue(log.effective_nano, log.is_priced, log.voided_at is not None)


def original_value(log: Any) -> LogValue:  # noqa: ANN401 - as above
    """The log's value before any correction."""
    return LogValue(log.cost_total, log.cost_source != CostSource.UNPRICED, voided=False)


def current_charge(log: Any, adjustments: Sequence[UsageAdjustment]) -> Charge:  # noqa: ANN401 - as above
    """The last re-pricing that was not reverted, or the original rating; zero if the log is voided."""
    charge = _effective_rating(log, adjustments)
    return Charge(None, charge.source, 0, 0, 0, 0) if log.voided_at else charge


def current_source(log: Any, adjustments: Sequence[UsageAdjustment]) -> str:  # noqa: ANN401 - as above
    """The CostSource of the current rating, also of a voided log."""
    details = _last_repricing(adjustments)
    return str(details["source"] if details else log.cost_source)


def _effective_rating(log: Any, adjustments: Sequence[UsageAdjustment]) -> Charge:  # noqa: ANN401 - as above
    if details := _last_repricing(adjustments):
        parts = (details["input"], details["output"], details["other"])
        return Charge(details["price"], details["source"], *parts, sum(parts))
    return Charge(log.price_id, log.cost_source, log.cost_input, log.cost_output, log.cost_other, log.cost_total)


def _last_repricing(adjustments: Sequence[UsageAdjustment]) -> dict[str, Any] | None:
    """The details of the last re-pricing or resolution that was not reverted."""
    for adjustment in reversed(adjustments):
        is_current = adjustment.kind in RATING_KINDS and adjustment.reverted_by is None
        if is_current and "source" in adjustment.details:
            return dict(adjustment.details)
    return None


def correction_effects(log: Any, adjustments: Iterable[UsageAdjustment]) -> Iterator[CorrectionEffect]:  # noqa: ANN401 - as above
    """Yield each correction with the log's value before and after it."""
    value = original_value(log)
    for adjustment in adjustments:
        before, value = value, _value_after(adjustment, value._replace(nano=value.nano + adjustment.delta_nano))
        yield CorrectionEffect(adjustment, before, value)


def _value_after(adjustment: UsageAdjustment, value: LogValue) -> LogValue:
    kind, details = adjustment.kind, adjustment.details
    reverted = details.get("kind") if kind == AdjustmentKind.REVERT else None
    if AdjustmentKind.VOID in (kind, reverted):
        return value._replace(voided=reverted is None)
    if kind in RATING_KINDS:
        return value._replace(priced=details.get("source") != CostSource.UNPRICED)
    return value._replace(priced=details["priced"]) if reverted in RATING_KINDS else value
