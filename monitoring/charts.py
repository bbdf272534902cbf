"""Bar charts as numbers for an SVG made by the server: positions, sizes and titles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lib.health_status import Status
from monitoring.history import Step

HEIGHT, STEP, BAR = 60, 10, 8  # of the drawing, of the room for a bar, and of a bar's width
LEAST = 1.5  # a value above zero is always seen


@dataclass(frozen=True, slots=True)
class Bar:
    """`tone` is the state that colours it, empty for none; `title` says the value in words."""

    x: int
    y: float
    height: float
    tone: str
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """`most` is the value at the upper edge; a step without a value has no bar."""

    title: str
    unit: str
    most: float
    width: int
    bars: tuple[Bar, ...]


TONES: dict[Status, str] = {"healthy": "ok", "warning": "warning", "critical": "critical", "unknown": "unknown"}


def of(
    title: str, unit: str, steps: Sequence[Step], value: Callable[[Step], float | None], *, toned: bool = False
) -> Chart:
    values = [value(step) for step in steps]
    most = max((one for one in values if one is not None), default=0)
    bars = [
        _bar(number, one, most, TONES[step.traffic.status] if toned else "", f"{name(step)}: {one:,g} {unit}")
        for number, (step, one) in enumerate(zip(steps, values, strict=True))
        if one
    ]
    return Chart(title, unit, most, len(steps) * STEP, tuple(bars))


def name(step: Step) -> str:
    """How a step is called on the page: by its hour, or by its day."""
    return f"{step.start:%b %d}" if (step.end - step.start).days else f"{step.start:%b %d %H:%M}"


def _bar(number: int, value: float, most: float, tone: str, title: str) -> Bar:
    height = round(max(LEAST, HEIGHT * value / most), 1)
    return Bar(number * STEP + (STEP - BAR) // 2, round(HEIGHT - height, 1), height, tone, title)
