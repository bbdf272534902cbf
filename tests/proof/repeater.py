"""A client that sends the same events again and again (`python -m tests.proof.repeater SEED COUNT`) until it gets input.

Prints as JSON how often each event was answered with which status and id.
"""

from __future__ import annotations

import json
import random
import select
import sys
from collections import Counter

import django

CALL = {"account": "a", "provider": "openai", "model": "gpt-4o", "cost_usd": "0.01"}


def numbered_events(count: int) -> list[dict[str, str]]:
    return [{"event_id": f"e{number}", **CALL} for number in range(count)]


def main(seed: int, count: int) -> None:
    django.setup()
    from billing.events import events
    from billing.recording import metering
    from tests.billing.ledger_rows import NOON, TRUSTED_SOURCE

    rng, counts = random.Random(seed), Counter[tuple[str, str, str]]()
    batches = 0
    while not batches or not select.select([sys.stdin], [], [], 0)[0]:
        sample = rng.sample(numbered_events(count), rng.randint(1, 120))
        answers = metering.record([events.parse(event) for event in sample], source=TRUSTED_SOURCE, at=NOON)
        counts.update((answer.event_id, answer.status, str(answer.id)) for answer in answers)
        batches += 1
    sys.stdout.write(json.dumps(sorted(counts.items())))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
