"""A process that records events in its own random order (`python -m tests.proof.writer SEED COUNT`).

Prints "ready", waits for a line, records batches of 1 to 150 events, and prints how many were accepted, duplicates, refused.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from datetime import UTC, datetime

import django
from django.db import close_old_connections

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def main(seed: int, count: int) -> None:
    django.setup()
    from billing.events import events
    from billing.recording import metering
    from tests.proof import workload

    rng = random.Random(seed)
    remaining = workload.shuffled(workload.events(count), rng)
    source = metering.EventSource(may_create_accounts=True)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    answers: Counter[str] = Counter()
    while remaining:
        size = rng.randint(1, 150)
        batch, remaining = [events.parse(event) for event in remaining[:size]], remaining[size:]
        answers.update(result.status for result in metering.record(batch, source=source, at=AT))
    close_old_connections()
    accepted, duplicates = answers["accepted"], answers["duplicate"]
    sys.stdout.write(f"{accepted} {duplicates} {answers.total() - accepted - duplicates}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
