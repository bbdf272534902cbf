"""What billing does by itself, again and again: registered with lib.jobs, run by `run_jobs`.

Each does what is due by what is stored, part by part, so that it may be killed, repeated, and run by several at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from billing.alerts import alerts, deliveries
from billing.archive import archive_job
from billing.corrections import corrections, redetection, repricing
from billing.corrections.apply_corrections import BatchClosed
from billing.ledger import retention, slot_compaction
from billing.limits import reservations
from billing.models import CorrectionBatch, UsageAdjustment, UsageLog
from billing.plans import idempotency, subscriptions
from billing.statements import statements
from billing.verification import verify
from lib import jobs
from lib.jobs import Trouble

LEFT = timedelta(minutes=10)  # a batch that is as old was left by whoever began it; going on beside him does no harm
CORRECTED = 1_000  # logs that a correction takes at a time


def verify_ledger(_at: datetime) -> str:
    """`verify_ledger` by night. Raises Trouble where something differs from the ledger."""
    rows = differences = 0
    for part in verify.parts():
        rows, differences = rows + part.rows, differences + len(part.differences)
    found = f"{rows} rows compared, {differences} differences"
    if differences:
        raise Trouble(f"{found}: `manage.py verify_ledger` tells which.")
    return found


def find_undetected(_at: datetime) -> str:
    """Logs of before the provider's name was kept, or of a stopped backfill. No index tells them: once a day is enough."""
    undetected = UsageLog.objects.filter(actual_provider_name=None).count()
    if undetected:
        raise Trouble(f"{undetected} logs not yet detected: `manage.py backfill_actual_providers` names them.")
    return "0 logs not yet detected"


def sweep_alerts(at: datetime) -> str:
    swept = alerts.sweep(at)
    return f"{swept.accounts} accounts looked at, {swept.alerts} alerts raised"


def deliver_alerts(at: datetime) -> str:
    ran = deliveries.deliver(at)
    return f"{ran.delivered} delivered, {ran.failed} attempts failed"


def expire_reservations(at: datetime) -> str:
    return f"{reservations.expire(at)} expired"


def close_periods(at: datetime) -> str:
    closed = statements.close_due(at)
    return f"{closed} periods closed, {statements.fall_due(at)} accounts past due"


def renew_subscriptions(at: datetime) -> str:
    return f"{subscriptions.roll(at)} subscriptions brought up to date"


def finish_corrections(at: datetime) -> str:
    """Those that were stopped or killed; one that shall not go on is reverted."""
    left = CorrectionBatch.objects.filter(kind__in=FINISH, finished_at=None, created_at__lte=at - LEFT)
    batches = list(left.order_by("created_at"))
    for batch in batches:
        try:
            for _ in FINISH[batch.kind](batch, at):
                pass
        except BatchClosed:  # somebody else finished or reverted it meanwhile
            continue
    return f"{len(batches)} batches gone on with"


def _price(batch: CorrectionBatch, at: datetime) -> Iterable[object]:
    return repricing.go_on(batch, size=CORRECTED, at=at)


def _name(batch: CorrectionBatch, at: datetime) -> Iterable[object]:
    return redetection.run(redetection.Choice.of(batch.choice), size=CORRECTED, at=at)


def _revert(undo: CorrectionBatch, at: datetime) -> Iterable[object]:
    batch = CorrectionBatch.objects.get(pk=undo.choice["batch"])
    return corrections.revert(batch, actor=undo.actor, size=CORRECTED, at=at)


FINISH: dict[str, Callable[[CorrectionBatch, datetime], Iterable[object]]] = {
    UsageAdjustment.Kind.REPRICE: _price,
    UsageAdjustment.Kind.REDETECT: _name,
    UsageAdjustment.Kind.REVERT: _revert,
}


def gather_days(at: datetime) -> str:
    return f"{slot_compaction.compact(at)} platform days gathered"


def prune(at: datetime) -> str:
    """What nobody asks for any more."""
    return f"{idempotency.prune(at)} idempotency keys and {deliveries.prune(at)} deliveries deleted"


def register() -> None:
    jobs.register("verify_ledger", verify_ledger, every=timedelta(days=1), lease=timedelta(hours=3))
    jobs.register("find_undetected", find_undetected, every=timedelta(days=1), lease=timedelta(hours=1))
    jobs.register("sweep_alerts", sweep_alerts, every=timedelta(seconds=30))
    jobs.register("deliver_alerts", deliver_alerts, every=timedelta(seconds=10))
    jobs.register("expire_reservations", expire_reservations, every=timedelta(minutes=1))
    jobs.register("renew_subscriptions", renew_subscriptions, every=timedelta(minutes=10))
    jobs.register("close_periods", close_periods, every=timedelta(minutes=10), lease=timedelta(hours=3))
    jobs.register("finish_corrections", finish_corrections, every=timedelta(minutes=1), lease=timedelta(hours=3))
    jobs.register("gather_days", gather_days, every=timedelta(days=1), lease=timedelta(hours=1))
    jobs.register("prune", prune, every=timedelta(days=1), lease=timedelta(hours=1))
    jobs.register("erase_addresses", retention.prune, every=timedelta(minutes=10))
    jobs.register("archive_logs", archive_job.run, every=timedelta(minutes=10), lease=timedelta(hours=3))
