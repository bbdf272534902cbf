"""An account with closed, stated periods, one of them archived (`python -m bench.closed_account`): for `make shots`.

KEEP_LOGS_DAYS and ARCHIVE_DIR come from the environment. One period that differs from its totals is held up.
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
        _month(at - 30 * months * DAY)
    statements.close_due(at)
    later = at + timedelta(days=settings.KEEP_LOGS_DAYS + 1)
    drifted = UsageDay.objects.filter(account__external_id=ACCOUNT, day__gte=(at - 40 * DAY).date())
    drifted.update(calls=F("calls") + 1)
    for moment in (later, later + archive_job.MARGIN):
        with suppress(jobs.Trouble):
            archive_job.run(moment)
    drifted.update(calls=F("calls") - 1)


def _month(at: datetime) -> None:
    from billing.events import events
    from billing.recording import metering
    from billing.recording.metering import Source

    chance = random.Random(at.month)
    batch = [
        events.parse({**chance.choice(CALLS), "event_id": f"closed-{at:%Y-%m}-{number}", "account": ACCOUNT})
        for number in range(60)
    ]
    metering.record(batch, source=Source(may_create_accounts=True, live=False), at=at)


if __name__ == "__main__":
    main()
