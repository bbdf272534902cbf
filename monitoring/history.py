"""How the service did hour by hour and day by day, by the same counts as its health. Read by the Monitoring page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from monitoring import traffic
from monitoring.traffic import Traffic

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HOURS, DAYS = 24, 30


@dataclass(frozen=True, slots=True)
class Step:
    """The traffic from `start` up to `end`, both UTC; the newest step is still running."""

    start: datetime
    end: datetime
    traffic: Traffic


def hours(at: datetime) -> list[Step]:
    """The last 24 hours, oldest first and none missing; the running hour comes on top."""
    return _steps(at.replace(minute=0, second=0, microsecond=0), HOUR, HOURS)


def days(at: datetime) -> list[Step]:
    """The last 30 days (UTC), oldest first and none missing; today comes on top."""
    return _steps(at.replace(hour=0, minute=0, second=0, microsecond=0), DAY, DAYS)


def _steps(newest: datetime, length: timedelta, count: int) -> list[Step]:
    first = newest - length * count
    found: list[list[Traffic]] = [[] for _ in range(count + 1)]
    for hour, of_hour in traffic.hours(first, newest + length - HOUR).items():
        found[(hour - first) // length].append(of_hour)
    return [
        Step(first + length * number, first + length * (number + 1), traffic.total(parts))
        for number, parts in enumerate(found)
    ]
