"""A client that sends what it sent before (`python -m tests.proof.repeater SEED COUNT`), until its input ends.

Prints how often each event was answered with which status and id, as JSON.
"""

from __future__ import annotations

import json
import random
import select
import sys
from collections import Counter

import django

CALL = {"account": "a", "provider": "openai", "model": "gpt-4o", "cost_usd": "0.01"}


def events_of(count: int) -> list[dict[str, str]]:
    return [{"event_id": f"e{number}", **CALL} for number in range(count)]


def main(seed: int, count: int) -> None:
    django.setup()
    from billing.events import events
    from billing.recording import metering
    from tests.billing.ledger_rows import ANY, NOW

    chance, told = random.Random(seed), Counter[tuple[str, str, str]]()
    batches = 0
    while not batches or not select.select([sys.stdin], [], [], 0)[0]:
        some = chance.sample(events_of(count), chance.randint(1, 120))
        answers = metering.record([events.parse(one) for one in some], source=ANY, at=NOW)
        told.update((answer.event_id, answer.status, str(answer.id)) for answer in answers)
        batches += 1
    sys.stdout.write(json.dumps(sorted(told.items())))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
