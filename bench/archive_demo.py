"""`python -m bench.archive_demo`: adds an account with closed periods, some archived and one failed, for `make shots`.

KEEP_LOGS_DAYS and ARCHIVE_DIR come from the environment. The archive of the period whose totals differ fails.
"""

from __future__ import annotations

import random
from contextlib import suppress
from datetime import datetime, timedelta

import django

ACCOUNT = "example-globex"
DAY = timedelta(days=1)
CALLS = (
    {"provider": "openai", "model": "gpt-4o", "usage": {"input_tokens": 21_000, "output_tokens": 3_000}},
    {"provider": "gemini", "model": "gemini-2.5-flash", "usage": {"input_tokens": 90_000, "output_tokens": 800}},
    {"provider": "video", "category": "video", "model": "wan-2.5", "endpoint": "/video-generation/wavespeed"},
)


def main() -> None:
    django.setup()
    from django.conf import settings
    from django.db.models import F
    from django.utils import timezone

    from billing.archive import archive_job
    from billing.models import UsageDay
    from billing.statements import statements
    from lib import jobs

    at = timezone.now()
    for months in (4, 3, 2, 1):
        _record_month(at - 30 * months * DAY)
    statements.close_due(at)
    later = at + timedelta(days=settings.KEEP_LOGS_DAYS + 1)
    wrong_days = UsageDay.objects.filter(account__external_id=ACCOUNT, day__gte=(at - 40 * DAY).date())
    wrong_days.update(calls=F("calls") + 1)
    for run_at in (later, later + archive_job.DELETE_DELAY):
        with suppress(jobs.ProblemFound):
            archive_job.run(run_at, clock=lambda run_at=run_at: run_at)  # type: ignore[misc]
    wrong_days.update(calls=F("calls") - 1)


def _record_month(at: datetime) -> None:
    from billing.events import events
    from billing.recording import metering
    from billing.recording.metering import EventSource

    rng = random.Random(at.month)
    batch = [
        events.parse({**rng.choice(CALLS), "event_id": f"closed-{at:%Y-%m}-{number}", "account": ACCOUNT})
        for number in range(60)
    ]
    metering.record(batch, source=EventSource(may_create_accounts=True, live=False), at=at)


if __name__ == "__main__":
    main()
