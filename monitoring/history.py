"""The traffic of the service by hour and by day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from monitoring import traffic
from monitoring.traffic import Traffic

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HOURS, DAYS = 24, 30


@dataclass(frozen=True, slots=True)
class TrafficInterval:
    """The traffic from `start` up to `end`, both UTC; the newest interval is not over yet."""

    start: datetime
    end: datetime
    traffic: Traffic

    @property
    def label(self) -> str:
        """The interval's day, or its day and hour."""
        return f"{self.start:%b %d}" if self.end - self.start >= DAY else f"{self.start:%b %d %H:%M}"


def last_24_hours(at: datetime) -> list[TrafficInterval]:
    """The last 24 full hours and the current one, oldest first, none missing."""
    return _intervals(at.replace(minute=0, second=0, microsecond=0), HOUR, HOURS)


def last_30_days(at: datetime) -> list[TrafficInterval]:
    """The last 30 full days (UTC) and today, oldest first, none missing."""
    return _intervals(at.replace(hour=0, minute=0, second=0, microsecond=0), DAY, DAYS)


def _intervals(newest: datetime, length: timedelta, count: int) -> list[TrafficInterval]:
    first = newest - length * count
    hours_of: list[list[Traffic]] = [[] for _ in range(count + 1)]
    for hour, hour_traffic in traffic.hourly_traffic(first, newest + length - HOUR).items():
        hours_of[(hour - first) // length].append(hour_traffic)
    return [
        TrafficInterval(first + length * number, first + length * (number + 1), traffic.combine(hours))
        for number, hours in enumerate(hours_of)
    ]
