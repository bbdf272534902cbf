"""A measurement as a ratio to its limit or peer, and whether the ratio meets the target."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Literal

TargetStatus = Literal["ok", "missed", "peer missing"]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One line of the table. `ratio` is None without a peer; the target is then neither met nor missed."""

    what: str
    measured: str
    peer: str
    ratio: float | None
    target: float
    at_most: bool = False

    @property
    def status(self) -> TargetStatus:
        if self.ratio is None:
            return "peer missing"
        met = self.ratio <= self.target if self.at_most else self.ratio >= self.target
        return "ok" if met else "missed"

    @property
    def target_text(self) -> str:
        return f"{'<=' if self.at_most else '>='} {self.target:g}"


def compare_rates(what: str, rates: list[tuple[float, float]], *, unit: str, peer: str, target: float) -> Measurement:
    """Compare our rate with the peer's in each round; the ratio is the median of the rounds' ratios."""
    ours, theirs = (median(column) for column in zip(*rates, strict=True))
    ratio = median(our / their for our, their in rates)
    return Measurement(what, f"{format_number(ours)} {unit}", f"{peer}: {format_number(theirs)} {unit}", ratio, target)


def compare_times(what: str, seconds: list[tuple[float, float]], *, peer: str, target: float) -> Measurement:
    """Compare our time with the peer's in each round; the ratio is the median and must be at most `target`."""
    ours, theirs = (median(column) for column in zip(*seconds, strict=True))
    ratio = median(our / their for our, their in seconds)
    measured, limit = f"{format_number(ours * 1000)} ms", f"{peer}: {format_number(theirs * 1000)} ms"
    return Measurement(what, measured, limit, ratio, target, at_most=True)


def format_number(number: float) -> str:
    """Three significant digits, or all digits before the point: 12,345 or 1.23."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
