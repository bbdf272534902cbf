"""What a log is charged now, after its corrections, and how each of them moved it. Runs no queries.

Every function takes a log in any form that has the columns, and its adjustments, oldest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from billing.models import CostSource, UsageAdjustment

Kind = UsageAdjustment.Kind


class Charge(NamedTuple):
    """A rating: the price that made it (None: no price did), the CostSource, and nano-USD by part."""

    price_id: int | None
    source: str
    input_nano: int
    output_nano: int
    other_nano: int
    total_nano: int


class LogValue(NamedTuple):
    """What a log is worth at one moment. Only where it is priced or voided does `nano` say anything."""

    nano: int
    priced: bool
    voided: bool

    @property
    def known_nano(self) -> int | None:
        return self.nano if self.priced or self.voided else None


class CorrectionEffect(NamedTuple):
    """A correction, and what the log was worth before and after it."""

    adjustment: UsageAdjustment
    before: LogValue
    after: LogValue


def current_value(log: Any) -> LogValue:  # noqa: ANN401 - any form of a log that has the columns
    """What it is worth now."""
    return LogValue(log.effective_nano, log.is_priced, log.voided_at is not None)


def original_value(log: Any) -> LogValue:  # noqa: ANN401 - as above
    """What it was worth when it was rated, before any correction."""
    return LogValue(log.cost_total, log.cost_source != CostSource.UNPRICED, voided=False)


def current_charge(log: Any, adjustments: Sequence[UsageAdjustment]) -> Charge:  # noqa: ANN401 - as above
    """The rating that stands now: the last re-pricing that was not taken back, else the first one; nothing once voided."""
    rated = _rated(log, adjustments)
    return Charge(None, rated.source, 0, 0, 0, 0) if log.voided_at else rated


def current_source(log: Any, adjustments: Sequence[UsageAdjustment]) -> str:  # noqa: ANN401 - as above
    """The CostSource of the rating that stands now; a voided log keeps it."""
    told = _repriced(adjustments)
    return str(told["source"] if told else log.cost_source)


def _rated(log: Any, adjustments: Sequence[UsageAdjustment]) -> Charge:  # noqa: ANN401 - as above
    if told := _repriced(adjustments):
        parts = (told["input"], told["output"], told["other"])
        return Charge(told["price"], told["source"], *parts, sum(parts))
    return Charge(log.price_id, log.cost_source, log.cost_input, log.cost_output, log.cost_other, log.cost_total)


def _repriced(adjustments: Sequence[UsageAdjustment]) -> dict[str, Any] | None:
    """What the last re-pricing that was not taken back says of itself."""
    for one in reversed(adjustments):
        if one.kind == Kind.REPRICE and one.reverted_by is None and "source" in one.details:
            return dict(one.details)
    return None


def history(log: Any, adjustments: Iterable[UsageAdjustment]) -> Iterator[CorrectionEffect]:  # noqa: ANN401 - as above
    """Each correction with the worth before and after it."""
    now = original_value(log)
    for one in adjustments:
        before, now = now, _after(one, now._replace(nano=now.nano + one.delta_nano))
        yield CorrectionEffect(one, before, now)


def _after(one: UsageAdjustment, now: LogValue) -> LogValue:
    told = one.details
    undone = told.get("kind") if one.kind == Kind.REVERT else None
    if Kind.VOID in (one.kind, undone):
        return now._replace(voided=undone is None)
    if one.kind == Kind.REPRICE:
        return now._replace(priced=told.get("source") != CostSource.UNPRICED)
    return now._replace(priced=told["priced"]) if undone == Kind.REPRICE else now
