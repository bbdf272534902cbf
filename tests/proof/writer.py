"""A writer in a process of its own (`python -m tests.proof.writer SEED COUNT`): records events in an order of its own.

Says "ready", waits for a line, then sends batches of 1 to 150 events, and prints how many were accepted, known, refused.
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
    from tests.proof import sent

    chance = random.Random(seed)
    mine = sent.shuffled(sent.events(count), chance)
    source = metering.Source(may_create_accounts=True)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    answers: Counter[str] = Counter()
    while mine:
        size = chance.randint(1, 150)
        batch, mine = [events.parse(one) for one in mine[:size]], mine[size:]
        answers.update(result.status for result in metering.record(batch, source=source, at=AT))
    close_old_connections()
    accepted, known = answers["accepted"], answers["duplicate"]
    sys.stdout.write(f"{accepted} {known} {answers.total() - accepted - known}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
