"""Rate of `metering.record` on SQLite and MariaDB, against only `bulk_create` of the same rows."""

from __future__ import annotations

from django.db import connection

from bench import timing
from bench.benchmarks import Sizes
from bench.measurement import Measurement, compare_rates
from bench.record_rate import BATCH_EVENTS, events_per_second, parsed_batches
from billing.models import UsageLog
from lib import ids

DATABASE_NAMES = {"sqlite": "SQLite", "mysql": "MariaDB"}
TARGET = 0.5


def measure(sizes: Sizes) -> list[Measurement]:
    events_per_second(parsed_batches("mixed", 2))
    rates = [_measure_round(max(sizes.batches // 2, 1)) for _ in range(sizes.rounds)]
    name = f"metering.record, mixed, {DATABASE_NAMES[connection.vendor]}"
    return [compare_rates(name, rates, unit="/s", peer="bulk_create alone", target=TARGET)]


def _measure_round(batches: int) -> tuple[float, float]:
    event_batches = parsed_batches("mixed", batches)
    ours = events_per_second(event_batches)
    copies = [_copies([event.event_id for event in batch]) for batch in event_batches]

    def create() -> None:
        for batch in copies:
            UsageLog.objects.bulk_create(batch)

    return ours, batches * BATCH_EVENTS / timing.elapsed_seconds(create)


def _copies(event_ids: list[str]) -> list[UsageLog]:
    """Unsaved copies of the stored logs, with new ids and keys."""
    logs = list(UsageLog.objects.filter(event_id__in=event_ids))
    for log in logs:
        log.pk = ids.new_id()
        log.event_id = f"copy-{log.event_id}"
        log.event_key = ids.lookup_key(log.event_id)
    return logs
