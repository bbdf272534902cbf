"""`python -m bench.month_of_requests`: adds a month of service requests and the AI calls of an hour, for `make shots`.

The data is seeded: only its times depend on the clock.
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
    _record_requests(at)
    _record_calls(at)


def _record_requests(at: datetime) -> None:
    from monitoring import request_rows

    rng = random.Random(7)
    for hours_ago in range(HOURS):
        requests = list(_requests_of_hour(at - timedelta(hours=hours_ago), rng))
        request_rows.store(request_rows.build_batch(requests))
    request_rows.store(request_rows.build_batch(list(_requests_of_hour(at, rng, minutes=4))))


def _requests_of_hour(end: datetime, rng: random.Random, *, minutes: int = 60) -> Iterator[Any]:
    """Fewer requests by night, and occasionally an hour with many errors."""
    from monitoring.request_rows import RequestEntry

    count = 20 + int(60 * max(0.0, math.sin((end.hour - 5) / 24 * 2 * math.pi)))
    error_share = rng.choices((0.01, 0.07, 0.15), (30, 3, 1))[0]
    for _ in range(count):
        route, method, _, typical_us = rng.choices(ROUTES, [route[2] for route in ROUTES])[0]
        status = 404 if route == "unmatched" else rng.choice((422, 429, 503)) if rng.random() < error_share else 200
        duration_us = int(typical_us * rng.lognormvariate(0, 0.7))
        answered_at = end - timedelta(minutes=minutes * rng.random())
        at_us = int(answered_at.timestamp() * 1e6)
        client = ("192.0.2.7", "python-httpx/0.28")
        yield RequestEntry(at_us, route, method, status, duration_us, 800, 1_200, None, None, *client, False)


def _record_calls(at: datetime) -> None:
    from billing.accounts import accounts
    from billing.events import events
    from billing.recording import metering
    from billing.recording.metering import EventSource

    account, rng = accounts.find(["demo-acme"])["demo-acme"], random.Random(7)
    for call, count, error_share, typical_ms in PROVIDERS:
        batch = []
        for number in range(count):
            failed = rng.random() < error_share
            outcome = {"event_id": f"live-{call['provider']}-{number}", "status_code": 503 if failed else 200}
            response_ms = int(typical_ms * rng.lognormvariate(0, 0.5))
            message = "upstream unavailable" if failed else ""
            batch.append(events.parse({**call, **outcome, "response_time_ms": response_ms, "error_message": message}))
        metering.record(batch, source=EventSource(account=account), at=at)


if __name__ == "__main__":
    main()
