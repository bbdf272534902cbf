"""What the chaos run left behind, as JSON: what was sent and answered against what is stored, caps, ledger and fees.

`python -m tests.proof.chaos.outcome FOLDER`, after all other processes have ended. Runs the jobs once more, as a service would.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from tests.proof.chaos import actors, world

from django.utils import timezone  # isort: skip - after the clock and the setup

from billing.models import ArchivedEvent, SubscriptionEvent, UsageLog, UsageReservation
from lib import ids, jobs

JOB_ROUNDS = 3  # closing makes renewals and archives due
DAY = timedelta(days=1)


def main(folder: str) -> None:
    world.wait_for_clock(Path(folder))
    entries = list(world.entries(Path(folder)))
    problems = _run_jobs()
    answers = Counter[tuple[str, str]](
        (id_, status) for kind, rows in entries if kind == "answered" for id_, status in rows
    )
    sent = {id_ for kind, value in entries if kind == "sent" for id_ in value}
    acknowledged = {id_ for (id_, status) in answers if status in ("accepted", "duplicate")}
    stored = _stored_keys()
    differences = list(actors.differences())
    outcome = {
        "steps": sum(kind == "done" for kind, _ in entries),
        "sent": len(sent),
        "acknowledged": len(acknowledged),
        "stored": len(stored),
        "accepted twice": sum(count > 1 for (_, status), count in answers.items() if status == "accepted"),
        "missing": sum(ids.lookup_key(id_) not in stored for id_ in acknowledged),
        "never sent": len(stored - {ids.lookup_key(id_) for id_ in sent}),
        "over a cap": _over_caps(),
        "ledger differences": len(differences),
        "differences while it ran": sum(kind == "difference" for kind, _ in entries),
        "fee differences": _fee_differences(),
        "checks while it ran": sum(kind == "verified" for kind, _ in entries),
        "errors": sum(kind == "error" for kind, _ in entries),
        **_sizes(),
    }
    refusals = Counter(str(value) for kind, value in entries if kind == "refused")
    found_while_it_ran = [value for kind, value in entries if kind in ("error", "difference")]
    sys.stdout.write(
        json.dumps(
            {
                "outcome": outcome,
                "details": [*differences, *problems, *found_while_it_ran][:20],
                "refusals": refusals.most_common(12),
            }
        )
        + "\n"
    )


def _run_jobs() -> list[str]:
    """Run all jobs a few times. Returns what they report as problems."""
    problems = []
    for _ in range(JOB_ROUNDS):
        for job in jobs.registered():
            if job.name not in actors.JOBS_LEFT_OUT:
                try:
                    job.run(timezone.now())
                except jobs.ProblemFound as problem:
                    problems.append(f"{job.name}: {problem}")
    return problems


def _stored_keys() -> set[Any]:
    return {
        *UsageLog.objects.values_list("event_key", flat=True),
        *ArchivedEvent.objects.values_list("event_key", flat=True),
    }


def _over_caps() -> int:
    """Video calls beyond the hard limits, by period and day. Calls settled after their reservation's end are left out."""
    late = set(UsageReservation.objects.filter(over=True).values_list("account_id", "reservation_id"))
    periods, days = Counter[tuple[int, date]](), Counter[tuple[int, date]]()
    logs = UsageLog.objects.filter(category="video")
    for account, event_id, period, day in logs.values_list("account_id", "event_id", "usage_period", "usage_day"):
        if (account, event_id.removesuffix("-call")) not in late:
            periods[account, period] += 1
            days[account, day] += 1
    over_period = sum(max(count - world.VIDEO_PER_PERIOD, 0) for count in periods.values())
    return over_period + sum(max(count - world.VIDEO_PER_DAY, 0) for count in days.values())


def _fee_differences() -> int:
    """Local days that were charged more than once or credited without a charge, by the events of all accounts."""
    charged: dict[int, Counter[date]] = {}
    for event in SubscriptionEvent.objects.order_by("account_id", "effective_at", "id"):
        days = charged.setdefault(event.account_id, Counter())
        for line in event.fee_lines:
            first, end = date.fromisoformat(line["first"]), date.fromisoformat(line["end"])
            for number in range((end - first).days):
                days[first + number * DAY] += -1 if line["credit"] else 1
    return sum(count not in (0, 1) for days in charged.values() for count in days.values())


def _sizes() -> dict[str, int]:
    from billing.models import Archive, ClosedPeriod, Statement, UsageAdjustment

    return {
        "reservations": UsageReservation.objects.count(),
        "adjustments": UsageAdjustment.objects.count(),
        "subscription events": SubscriptionEvent.objects.count(),
        "closed periods": ClosedPeriod.objects.count(),
        "statements": Statement.objects.count(),
        "archives": Archive.objects.exclude(finished_at=None).count(),
    }


if __name__ == "__main__":
    main(sys.argv[1])
