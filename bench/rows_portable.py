"""The portable path (SQLite, MariaDB): `metering.record`, all of it, against `bulk_create` of the same rows alone."""

from __future__ import annotations

from django.db import connection

from bench import rounds
from bench.outcome import Outcome, compared
from bench.rows import Sizes
from bench.rows_record import BATCH, parsed, record
from billing.models import UsageLog
from lib import ids

NAMES = {"sqlite": "SQLite", "mysql": "MariaDB"}
TARGET = 0.5


def measure(sizes: Sizes) -> list[Outcome]:
    record(parsed("mixed", 2))
    rates = [_round(max(sizes.batches // 2, 1)) for _ in range(sizes.rounds)]
    name = f"metering.record, mixed, {NAMES[connection.vendor]}"
    return [compared(name, rates, unit="/s", peer="bulk_create alone", target=TARGET)]


def _round(batches: int) -> tuple[float, float]:
    sent = parsed("mixed", batches)
    ours = record(sent)
    copies = [_copies([event.event_id for event in batch]) for batch in sent]

    def create() -> None:
        for batch in copies:
            UsageLog.objects.bulk_create(batch)

    return ours, batches * BATCH / rounds.seconds(create)


def _copies(event_ids: list[str]) -> list[UsageLog]:
    """The stored logs as new ones, under other keys."""
    logs = list(UsageLog.objects.filter(event_id__in=event_ids))
    for log in logs:
        log.pk = ids.new_id()
        log.event_id = f"copy-{log.event_id}"
        log.event_key = ids.key_of(log.event_id)
    return logs
