"""A month of this service's own requests and an hour of live calls, for `make shots`.

Run as `python -m bench.month_of_requests`.

Written by the recorder's own code into a throw-away database; the same every time but for the clock.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import django

ROUTES = (
    ("/api/v1/usage/", "POST", 60, 9_000),
    ("/api/v1/preflight/", "POST", 20, 4_000),
    ("/api/v1/usage/logs/", "GET", 8, 22_000),
    ("/api/v1/usage/summary/", "GET", 6, 15_000),
    ("/admin/billing/usagelog/", "GET", 3, 90_000),
    ("unmatched", "GET", 3, 600),
)
PROVIDERS = (
    ({"provider": "openai", "model": "gpt-4o"}, 240, 0.01, 1_800),
    ({"provider": "gemini", "model": "gemini-2.5-flash"}, 160, 0.07, 900),
    ({"provider": "video", "endpoint": "/video-generation/wavespeed"}, 25, 0.16, 41_000),
    ({"provider": "tavily"}, 40, 0.0, 350),
)
HOURS = 24 * 31


def main() -> None:
    django.setup()
    from django.utils import timezone

    at = timezone.now()
    _requests(at)
    _calls(at)


def _requests(at: datetime) -> None:
    from monitoring import request_rows

    chance = random.Random(7)
    for back in range(HOURS):
        request_rows.store(request_rows.batch(list(_of_hour(at - timedelta(hours=back), chance))))
    request_rows.store(request_rows.batch(list(_of_hour(at, chance, minutes=4))))


def _of_hour(end: datetime, chance: random.Random, *, minutes: int = 60) -> Iterator[Any]:
    """Fewer by night; once in a while an hour goes badly."""
    from monitoring.request_rows import Entry

    busy = 20 + int(60 * max(0.0, math.sin((end.hour - 5) / 24 * 2 * math.pi)))
    bad = chance.choices((0.01, 0.07, 0.15), (30, 3, 1))[0]
    for _ in range(busy):
        route, method, _, usual = chance.choices(ROUTES, [route[2] for route in ROUTES])[0]
        status = 404 if route == "unmatched" else chance.choice((422, 429, 503)) if chance.random() < bad else 200
        took = int(usual * chance.lognormvariate(0, 0.7))
        when = end - timedelta(minutes=minutes * chance.random())
        at_us = int(when.timestamp() * 1e6)
        yield Entry(at_us, route, method, status, took, 800, 1_200, None, None, "192.0.2.7", "python-httpx/0.28", False)


def _calls(at: datetime) -> None:
    from billing.accounts import accounts
    from billing.events import events
    from billing.recording import metering
    from billing.recording.metering import Source

    account, chance = accounts.find(["demo-acme"])["demo-acme"], random.Random(7)
    for call, count, failing, usual in PROVIDERS:
        batch = []
        for number in range(count):
            failed = chance.random() < failing
            one = {"event_id": f"live-{call['provider']}-{number}", "status_code": 503 if failed else 200}
            took = int(usual * chance.lognormvariate(0, 0.5))
            message = "upstream unavailable" if failed else ""
            batch.append(events.parse({**call, **one, "response_time_ms": took, "error_message": message}))
        metering.record(batch, source=Source(account=account), at=at)


if __name__ == "__main__":
    main()
