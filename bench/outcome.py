"""What a row found: measured beside its limit or peer, as a ratio, and whether that meets the target."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Literal

Status = Literal["ok", "missed", "peer missing"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One line of the table. `ratio` None: there was no peer to compare with, which is neither met nor missed."""

    what: str
    measured: str
    peer: str
    ratio: float | None
    target: float
    at_most: bool = False

    @property
    def status(self) -> Status:
        if self.ratio is None:
            return "peer missing"
        met = self.ratio <= self.target if self.at_most else self.ratio >= self.target
        return "ok" if met else "missed"

    @property
    def wanted(self) -> str:
        return f"{'<=' if self.at_most else '>='} {self.target:g}"


def compared(what: str, rates: list[tuple[float, float]], *, unit: str, peer: str, target: float) -> Outcome:
    """Of rounds, each with our rate and the peer's: the median of the rounds' ratios, as both ran on the same minute."""
    ours, theirs = (median(column) for column in zip(*rates, strict=True))
    ratio = median(our / their for our, their in rates)
    return Outcome(what, f"{shown(ours)} {unit}", f"{peer}: {shown(theirs)} {unit}", ratio, target)


def slower(what: str, seconds: list[tuple[float, float]], *, peer: str, target: float) -> Outcome:
    """Of rounds, each with our time and the peer's: how many times the peer's time ours is, at most `target`."""
    ours, theirs = (median(column) for column in zip(*seconds, strict=True))
    ratio = median(our / their for our, their in seconds)
    measured, limit = f"{shown(ours * 1000)} ms", f"{peer}: {shown(theirs * 1000)} ms"
    return Outcome(what, measured, limit, ratio, target, at_most=True)


def shown(number: float) -> str:
    """Three digits that mean something: 12,345 or 1.23."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
