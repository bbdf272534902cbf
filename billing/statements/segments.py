"""The parts of a usage period with one allowance each, and the overage that they owe.

With U the cumulative use at cost and A the allowance, a segment with a soft limit owes max(0, U(end) - max(A, U(start))).
A is never prorated. Segments with a hard limit, or none, owe nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from billing.accounts import usage_periods
from billing.accounts.usage_periods import Period
from billing.models import Account, Statement
from billing.reports import reports
from billing.statements import cumulative_use
from billing.statements.dated_terms import DatedTerms


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a usage period, half-open. `used_*` is the period's use at cost up to its start and end, in nano-USD."""

    starts_at: datetime
    ends_at: datetime
    plan: int | None  # an id; None where the account had no plan
    allowance_nano: int | None  # the amount of a soft limit
    used_from_nano: int
    used_to_nano: int

    @property
    def used_nano(self) -> int:
        return self.used_to_nano - self.used_from_nano

    @property
    def overage_nano(self) -> int:
        if self.allowance_nano is None:
            return 0
        return max(0, self.used_to_nano - max(self.allowance_nano, self.used_from_nano))

    @property
    def terms(self) -> DatedTerms:
        return DatedTerms(self.starts_at, self.ends_at, self.plan, self.allowance_nano)

    def as_json(self) -> dict[str, Any]:
        """The format of the column `statements.segments`."""
        return asdict(self) | {"starts_at": self.starts_at.isoformat(), "ends_at": self.ends_at.isoformat()}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Segment:
        moments = {name: datetime.fromisoformat(stored[name]) for name in ("starts_at", "ends_at")}
        return cls(**{**stored, **moments})


def derive(account: Account, period: Period, terms: Sequence[DatedTerms]) -> list[Segment]:
    """The segments of a period with these terms, from its rollups and logs. The logs must not be archived."""
    inner = cumulative_use.at_closing(account, period, [part.starts_at for part in terms[1:]])
    return combine(terms, [0, *inner, reports.cost_nano_between(account, period.start, period.end)])


def combine(terms: Sequence[DatedTerms], used: Sequence[int]) -> list[Segment]:
    """The segments with these terms; `used` is the cumulative use at their bounds."""
    return [Segment(*part, *used[index : index + 2]) for index, part in enumerate(terms)]


def for_statement(statement: Statement) -> list[Segment]:
    """The segments of a statement; of one from before allowances were dated, a single segment."""
    if statement.segments is not None:
        return [Segment.from_json(stored) for stored in statement.segments]
    return [whole_period(statement)]


def whole_period(statement: Statement) -> Segment:
    """The period as a single segment with the statement's plan and allowance."""
    period = usage_periods.period_from(statement.account.schedule, statement.period)
    terms = (statement.plan_id, statement.allowance_nano)
    return Segment(period.starts_at, period.ends_at, *terms, used_from_nano=0, used_to_nano=statement.usage_nano)


def total_overage(segments: Sequence[Segment], shifts: Sequence[int]) -> int:
    """The overage in nano-USD if the use at each bound were different by these amounts."""
    return sum(
        replace(
            segment,
            used_from_nano=segment.used_from_nano + shifts[index],
            used_to_nano=segment.used_to_nano + shifts[index + 1],
        ).overage_nano
        for index, segment in enumerate(segments)
    )
