"""Bar charts as numbers for an SVG that the server renders: positions, sizes and titles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lib.health_status import HealthStatus
from monitoring.history import TrafficInterval

CHART_HEIGHT, BAR_SPACING, BAR_WIDTH = 60, 10, 8  # in units of the SVG's viewBox
MIN_BAR_HEIGHT = 1.5  # so that every value above zero is visible


@dataclass(frozen=True, slots=True)
class Bar:
    """`tone` is the CSS class of its status, empty for none; `title` gives the value in words."""

    x: int
    y: float
    height: float
    tone: str
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """`peak` is the value at the upper edge. An interval without a value has no bar."""

    title: str
    unit: str
    peak: float
    width: int
    bars: tuple[Bar, ...]


TONES: dict[HealthStatus, str] = {"healthy": "ok", "warning": "warning", "critical": "critical", "unknown": "unknown"}


def bar_chart(
    title: str,
    unit: str,
    intervals: Sequence[TrafficInterval],
    value_of: Callable[[TrafficInterval], float | None],
    *,
    toned: bool = False,
) -> Chart:
    """A chart with one bar per interval; with `toned`, the interval's health status colours its bar."""
    values = [value_of(interval) for interval in intervals]
    peak = max((value for value in values if value is not None), default=0)
    bars = [
        _bar(
            number,
            value,
            peak,
            TONES[interval.traffic.status] if toned else "",
            f"{interval_label(interval)}: {value:,g} {unit}",
        )
        for number, (interval, value) in enumerate(zip(intervals, values, strict=True))
        if value
    ]
    return Chart(title, unit, peak, len(intervals) * BAR_SPACING, tuple(bars))


def interval_label(interval: TrafficInterval) -> str:
    """The interval's day, or its day and hour."""
    is_day = (interval.end - interval.start).days
    return f"{interval.start:%b %d}" if is_day else f"{interval.start:%b %d %H:%M}"


def _bar(number: int, value: float, peak: float, tone: str, title: str) -> Bar:
    height = round(max(MIN_BAR_HEIGHT, CHART_HEIGHT * value / peak), 1)
    return Bar(
        number * BAR_SPACING + (BAR_SPACING - BAR_WIDTH) // 2, round(CHART_HEIGHT - height, 1), height, tone, title
    )
