"""Recurring jobs of billing, registered with lib.jobs and run by `run_jobs`.

Each job derives the work that is due from stored data and does it in small steps, so it may be killed, repeated and run
concurrently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial

from django.utils import timezone

from billing.alerts import alerts, deliveries
from billing.archive import archive_job
from billing.corrections import (
    corrections,
    import_voids,
    redetection,
    repricing,
    unpriced_reasons,
    unread_resolution,
    unread_sightings,
)
from billing.corrections.apply_corrections import BatchClosed, Clock, CorrectionStep
from billing.corrections.redetection import RedetectionStep
from billing.imports import import_job
from billing.ledger import retention, slot_compaction
from billing.limits import reservations
from billing.models import CorrectionBatch, UsageAdjustment, UsageLog
from billing.plans import idempotency, subscriptions
from billing.statements import statements
from billing.verification import verify
from lib import isolation, jobs
from lib.jobs import ProblemFound

ABANDONED_AFTER = timedelta(minutes=10)  # of an unfinished batch; continuing one that still runs does no harm
CORRECTION_BATCH_SIZE = 1_000  # logs per transaction
AnyStep = CorrectionStep | RedetectionStep


def verify_ledger(at: datetime) -> str:
    """The command `verify_ledger` as a job. Raises ProblemFound where something differs from the ledger."""
    run = verify.Run(at)
    for _ in verify.check_all(run):
        pass
    if run.total.differences:
        raise ProblemFound(f"{run.total}: run `manage.py verify_ledger` to list them.")
    return str(run.total)


def find_undetected(_at: datetime) -> str:
    """Find logs without a detected provider, from before detection existed or a stopped backfill. No index: runs once a day."""
    undetected = UsageLog.objects.filter(actual_provider_name=None).count()
    if undetected:
        raise ProblemFound(f"{undetected} logs not yet detected: run `manage.py backfill_actual_providers`.")
    return "0 logs not yet detected"


def find_unpriced_reasons(_at: datetime, clock: Clock = timezone.now) -> str:
    """Find why calls are unpriced that were recorded by a release that did not store it."""
    problems: list[str] = []
    return isolation.finish(f"{unpriced_reasons.backfill(clock, problems)} reasons found", problems)


def gather_unread_fields(at: datetime, clock: Clock = timezone.now) -> str:
    """Gather fields that no reader knows, and complete calls that were recorded before their decision was known."""
    fields, decided = unread_sightings.gather(at)
    for field in decided:
        _finish_batch(unread_resolution.start(field, actor=field.decided_by, at=at), clock)
    return f"{fields} unread fields in new calls"


def sweep_alerts(at: datetime) -> str:
    problems: list[str] = []
    result = alerts.sweep(at, problems)
    return isolation.finish(f"{result.accounts} accounts checked, {result.alerts} alerts raised", problems)


def deliver_alerts(at: datetime) -> str:
    problems: list[str] = []
    result = deliveries.deliver(at, problems)
    return isolation.finish(f"{result.delivered} delivered, {result.failed} attempts failed", problems)


def expire_reservations(at: datetime) -> str:
    return f"{reservations.expire(at)} expired"


def close_periods(at: datetime) -> str:
    problems: list[str] = []
    closed = statements.close_due(at, problems)
    summary = f"{closed} periods closed, {statements.mark_past_due(at, problems)} accounts past due"
    return isolation.finish(summary, problems)


def renew_subscriptions(at: datetime) -> str:
    problems: list[str] = []
    return isolation.finish(f"{subscriptions.renew_due(at, problems)} subscriptions updated", problems)


def finish_corrections(at: datetime, clock: Clock = timezone.now) -> str:
    """Continue abandoned correction batches. To stop one for good, revert it."""
    abandoned = CorrectionBatch.objects.filter(
        kind__in=FINISHERS, finished_at=None, created_at__lte=at - ABANDONED_AFTER
    )
    batches, problems = list(abandoned.order_by("created_at", "id")), list[str]()
    for batch in batches:
        work = partial(_finish_batch, batch, clock)
        failed = isolation.attempt(work, name=f"batch {batch.pk}", problems=problems)
        problems += [problem for problem in failed or () if problem not in problems]
    return isolation.finish(f"{len(batches)} batches continued", problems)


def _finish_batch(batch: CorrectionBatch, clock: Clock) -> set[str]:
    """Returns the accounts that failed, with their errors."""
    try:
        return {step.failed for step in FINISHERS[batch.kind](batch, clock)} - {""}
    except BatchClosed:  # another process finished or reverted it meanwhile
        return set()


def _finish_repricing(batch: CorrectionBatch, clock: Clock) -> Iterable[AnyStep]:
    return repricing.run(batch, size=CORRECTION_BATCH_SIZE, clock=clock)


def _finish_redetection(batch: CorrectionBatch, clock: Clock) -> Iterable[AnyStep]:
    return redetection.resume(batch, size=CORRECTION_BATCH_SIZE, clock=clock)


def _finish_revert(revert: CorrectionBatch, clock: Clock) -> Iterable[AnyStep]:
    batch = CorrectionBatch.objects.get(pk=revert.choice["batch"])
    return corrections.revert(batch, actor=revert.actor, size=CORRECTION_BATCH_SIZE, clock=clock)


def _finish_resolution(batch: CorrectionBatch, clock: Clock) -> Iterable[AnyStep]:
    return unread_resolution.run(batch, size=CORRECTION_BATCH_SIZE, clock=clock)


def _finish_import_void(batch: CorrectionBatch, clock: Clock) -> Iterable[AnyStep]:
    return import_voids.run(batch, size=CORRECTION_BATCH_SIZE, clock=clock)


FINISHERS: dict[str, Callable[[CorrectionBatch, Clock], Iterable[AnyStep]]] = {
    UsageAdjustment.Kind.REPRICE: _finish_repricing,
    UsageAdjustment.Kind.REDETECT: _finish_redetection,
    UsageAdjustment.Kind.RESOLVE: _finish_resolution,
    UsageAdjustment.Kind.REVERT: _finish_revert,
    UsageAdjustment.Kind.VOID: _finish_import_void,  # the void of a single call is never unfinished
}


def compact_platform_days(at: datetime) -> str:
    problems: list[str] = []
    return isolation.finish(f"{slot_compaction.compact(at, problems)} platform days compacted", problems)


def prune(at: datetime) -> str:
    return f"{idempotency.prune(at)} idempotency keys and {deliveries.prune(at)} deliveries deleted"


def register() -> None:
    jobs.register("verify_ledger", verify_ledger, interval=timedelta(days=1), lease=timedelta(hours=3))
    jobs.register("find_undetected", find_undetected, interval=timedelta(days=1), lease=timedelta(hours=1))
    jobs.register("find_unpriced_reasons", find_unpriced_reasons, interval=timedelta(days=1), lease=timedelta(hours=1))
    jobs.register("gather_unread_fields", gather_unread_fields, interval=timedelta(minutes=5), lease=timedelta(hours=1))
    jobs.register("sweep_alerts", sweep_alerts, interval=timedelta(seconds=30))
    jobs.register("deliver_alerts", deliver_alerts, interval=timedelta(seconds=10))
    jobs.register("expire_reservations", expire_reservations, interval=timedelta(minutes=1))
    jobs.register("renew_subscriptions", renew_subscriptions, interval=timedelta(minutes=10))
    jobs.register("close_periods", close_periods, interval=timedelta(minutes=10), lease=timedelta(hours=3))
    jobs.register("finish_corrections", finish_corrections, interval=timedelta(minutes=1), lease=timedelta(hours=3))
    jobs.register("gather_days", compact_platform_days, interval=timedelta(days=1), lease=timedelta(hours=1))
    jobs.register("prune", prune, interval=timedelta(days=1), lease=timedelta(hours=1))
    jobs.register("erase_addresses", retention.prune, interval=timedelta(minutes=10))
    jobs.register("import_files", import_job.run, interval=timedelta(seconds=5), lease=timedelta(minutes=20))
    jobs.register("archive_logs", archive_job.run, interval=timedelta(minutes=10), lease=timedelta(hours=3))
