"""Archives the usage logs of old periods: writes them to files, then deletes them. Off unless KEEP_LOGS_DAYS is set.

A period is claimed, which ends its corrections. Its logs are written, compared with its totals and its statement, and read
back. After DELETE_DELAY they are deleted, one part of the file per transaction, if the part equals the logs in the database.
A killed run continues where it stopped. If the setting is changed so that a claimed period is not due, its claim is released,
unless its deletion has begun: that is finished.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from billing.accounts import accounts, usage_periods
from billing.accounts.usage_periods import Period
from billing.archive import archive_file, archived, due_periods, ordered_logs
from billing.archive.archive_file import FilePart
from billing.corrections import as_closed
from billing.corrections.apply_corrections import Clock
from billing.ledger import ledger, rollups
from billing.ledger.rollups import DAY_COUNTERS
from billing.models import Account, Archive, ArchivedEvent, Statement, UsageLog
from lib import gzip_parts, isolation, retention, retry, upsert
from lib.exact_sum import ExactSum
from lib.gzip_parts import DamagedFile
from lib.retention import RetentionRule

LOGS_PER_PART = 1_000  # in one part of a file, and so in one transaction
MAX_RETRIES = 20  # failed archives that one run tries again, picked at random so that all get their turn
# A call may be this much later than its period's end: after a change of time zone, days may end up to 26 hours earlier, and
# usage that settles a reservation counts where that was granted, up to a day before the call.
MAX_TIME_AFTER_PERIOD = timedelta(days=3)
DELETE_DELAY = timedelta(hours=1)  # longer than any event's transaction, so that all later events see has_archive


class NotArchivable(Exception):
    """The period cannot be archived, or not yet. The message says why."""


EXPECTED_ERRORS = (NotArchivable, DamagedFile, OSError)  # stored without a traceback in the log


def run(at: datetime, clock: Clock = timezone.now) -> str:
    """Retry failed archives, then write and delete what is due. Raises ProblemFound if an archive has failed."""
    problems: list[str] = []
    _release_early(RULE.cutoff(at), problems)
    unfinished = Archive.objects.filter(finished_at=None)
    retried = list(unfinished.exclude(trouble="").order_by("?").values_list("pk", flat=True)[:MAX_RETRIES])
    unfinished.filter(pk__in=retried).update(trouble="")  # the cause may be gone
    rule = replace(RULE, delete_batch=partial(_work, clock=clock, problems=problems))
    counts = retention.delete_due([rule], at) if rule.days() else [(rule, _finish_begun(clock))]
    failed = unfinished.exclude(trouble="").order_by("begun_at", "id")
    reasons = failed.values_list("account__external_id", "period", "trouble")
    problems += [f"{account} {period:%Y-%m}: {trouble}" for account, period, trouble in reasons]
    return isolation.finish(f"{retention.describe(counts)} deleted", problems)


def _work(before: datetime, clock: Clock = timezone.now, problems: list[str] | None = None) -> int | None:
    """Delete one part, or write one file, or claim due periods. Return the number of deleted logs; None if idle."""
    pending = Archive.objects.filter(finished_at=None, trouble="").select_related("account").order_by("begun_at", "id")
    if archive := pending.filter(verified_at__lte=clock() - DELETE_DELAY).first():
        return _attempt(archive, partial(_delete_next_part, archive, clock))
    if archive := pending.filter(verified_at=None).first():
        return _attempt(archive, partial(_write_file, archive, clock))
    return _claim(before, clock, [] if problems is None else problems)


RULE = RetentionRule("logs of closed periods", lambda: int(settings.KEEP_LOGS_DAYS), due_periods.count_logs, _work)


def _finish_begun(clock: Clock) -> int:
    """Delete the rest of periods whose deletion has begun, in at most as many steps as a run. Return the number of logs."""
    begun, deleted = Archive.objects.filter(finished_at=None, trouble="", deleted__gt=0), 0
    for _ in range(retention.MAX_BATCHES):
        archive = begun.select_related("account").order_by("begun_at", "id").first()
        if archive is None:
            break
        deleted += _attempt(archive, partial(_delete_next_part, archive, clock)) or 0
    return deleted


def _attempt(archive: Archive, work: Callable[[], int]) -> int | None:
    """What `work` returns; None if another process is writing the same file. An error is stored as `trouble`."""
    name, problems = f"{archive.account} {archive}", list[str]()
    try:
        done = isolation.attempt(work, name=name, problems=problems, passing=EXPECTED_ERRORS)
    except BlockingIOError:
        return None
    except EXPECTED_ERRORS as error:
        problems.append(f"{name}: {str(error) or repr(error)}")
    for problem in problems:
        Archive.objects.filter(pk=archive.pk).update(trouble=problem.removeprefix(f"{name}: ")[:300])
    return 0 if problems else done


def _claim(before: datetime, clock: Clock, problems: list[str]) -> int | None:
    claimed = 0
    for account_id, period in due_periods.find_unclaimed(before, problems):
        claim = partial(_claim_period, account_id, period, clock)
        claimed += bool(isolation.attempt(claim, name=f"account {account_id} {period:%Y-%m}", problems=problems))
    return 0 if claimed else None


@retry.atomic
def _claim_period(account_id: int, period: date, clock: Clock) -> bool:
    """The lock waits for running corrections of the account; later ones see the claim."""
    account = accounts.lock(account_id)
    values = {"begun_at": clock(), "folder": archive_file.folder_for(account_id)}
    Archive.objects.get_or_create(account=account, period=period, defaults=values)
    Account.objects.filter(pk=account_id, has_archive=False).update(has_archive=True)
    return True


def _release_early(before: datetime | None, problems: list[str]) -> None:
    """Release the claims of periods that are not due, as the setting has changed."""
    for archive in Archive.objects.filter(finished_at=None, deleted=0).select_related("account"):
        check = partial(due_periods.is_due, archive.account, archive.period, before)
        name = f"{archive.account} {archive}"
        if isolation.attempt(check, name=name, problems=problems) is False:
            isolation.attempt(partial(_release, archive), name=name, problems=problems)


@retry.atomic
def _release(archive: Archive) -> None:
    """Remove the claim and its file, unless another process has begun to delete the logs."""
    account = accounts.lock(archive.account_id)
    if not Archive.objects.filter(pk=archive.pk, finished_at=None, deleted=0).delete()[0]:
        return
    if not Archive.objects.filter(account=account).exists():
        Account.objects.filter(pk=account.pk).update(has_archive=False)
    archive_file.remove(archive_file.archive_path(archive), archive)


def _write_file(archive: Archive, clock: Clock) -> int:
    """Write the file, read it back and write its manifest; then give it its name.

    Raises NotArchivable, DamagedFile or OSError.
    """
    if not archive.folder:  # claimed by an earlier release
        archive.folder = archive_file.folder_for(archive.account_id)
        Archive.objects.filter(pk=archive.pk, verified_at=None).update(folder=archive.folder)
    period = usage_periods.period_from(archive.account.schedule, archive.period)
    path, counts = archive_file.archive_path(archive), [0] * len(DAY_COUNTERS)
    with archive_file.open_writer(path) as file:
        archive_file.check_free(path, archive)
        for logs in _pages(archive, period):
            _require_detected(logs)
            file.add(logs)
            as_closed.restore(logs)
            counts = [sum(column) for column in zip(counts, *map(rollups.counts_of, logs), strict=True)]
        totals = dict(zip(DAY_COUNTERS, counts, strict=True))
        _check_totals(archive, period, totals)
        start, facts = file.verify(), file.facts()
        now = clock()  # DELETE_DELAY counts from here
        account = {"account": archive.account.external_id, "timezone": archive.account.timezone}
        span = {"period": period.name, "starts_at": period.starts_at, "ends_at": period.ends_at, "written_at": now}
        archive_file.write_manifest(path, archive, {**account, **span, **facts, "totals": totals})
    Archive.objects.filter(pk=archive.pk, verified_at=None).update(verified_at=now, offset=start, **facts)
    return 0


def _pages(archive: Archive, period: Period) -> Iterator[list[UsageLog]]:
    """Pages of the period's logs by time.

    `usage_period` selects them. The upper bound in time only limits the index scan; there is no lower bound, as late calls
    happened before the period in which they count.
    """
    logs = UsageLog.objects.filter(account_id=archive.account_id, usage_period=archive.period)
    return ordered_logs.iter_pages(logs, until=period.ends_at + MAX_TIME_AFTER_PERIOD, size=LOGS_PER_PART)


def _require_detected(logs: Sequence[UsageLog]) -> None:
    if any(log.actual_provider_name is None for log in logs):
        raise NotArchivable("Some logs have no detected provider. Run `manage.py backfill_actual_providers`.")


def _check_totals(archive: Archive, period: Period, totals: dict[str, int]) -> None:
    """Compare the totals of the written logs with the rollup, and the statement if there is one. Raises NotArchivable."""
    days = rollups.days_between(archive.account, period.start, period.end)
    sums = days.aggregate(**{f"sum_{counter}": ExactSum(counter) for counter in DAY_COUNTERS})
    if totals != {counter: int(sums[f"sum_{counter}"] or 0) for counter in DAY_COUNTERS}:
        raise NotArchivable("The logs do not add up to the totals. Run `manage.py verify_ledger` for details.")
    statement = Statement.objects.filter(account_id=archive.account_id, period=archive.period).first()
    if statement is None:
        return
    stated = {"calls": statement.calls, "tokens_total": statement.tokens_total, "cost_nano": statement.usage_nano}
    if stated != {counter: totals[counter] for counter in stated}:
        raise NotArchivable("The logs do not add up to the statement. Run `manage.py verify_ledger` for details.")


def _delete_next_part(archive: Archive, clock: Clock) -> int:
    """Delete the logs of the file's next part. Raises NotArchivable, DamagedFile or OSError; the other logs stay."""
    path = archive_file.archive_path(archive)
    if archive.offset >= archive.size:
        Archive.objects.filter(pk=archive.pk).update(finished_at=clock())
        return 0
    if not archive.deleted and gzip_parts.checksum(path) != archive.sha256:
        raise DamagedFile("The file has changed since it was written.")
    columns, part = archive_file.read_columns(path), archive_file.read_part(path, archive.offset)
    return retry.on_deadlock(partial(_delete_part, archive, part, columns))


@transaction.atomic
def _delete_part(archive: Archive, part: FilePart, columns: Sequence[str]) -> int:
    """Needs no account lock, which would block reservations: nothing else writes the logs of a claimed period."""
    current = Archive.objects.filter(pk=archive.pk, offset=archive.offset)
    if not current.update(offset=part.next_offset, deleted=F("deleted") + len(part.ids)):
        return 0  # another process deleted this part
    stored = UsageLog.objects.filter(account_id=archive.account_id, usage_period=archive.period, id__in=part.ids)
    by_id = {log.id: log for log in stored.order_by()}
    logs = [by_id[id_] for id_ in part.ids if id_ in by_id]
    if archive_file.format_logs(logs, columns) != part.text:
        raise NotArchivable(f"The logs from {part.ids[0]} on differ from the file.")
    ArchivedEvent.objects.bulk_create([_archived_event(log) for log in logs])
    as_closed.restore(logs)
    _add_archived_usage(logs)
    ledger.delete(stored)
    return len(logs)


def _archived_event(log: UsageLog) -> ArchivedEvent:
    return ArchivedEvent(
        account_id=log.account_id,
        event_key=log.event_key,
        log=log.id,
        digest=log.digest,
        provider=log.provider,
        actual_provider_name=log.display_provider,
        confidence=log.confidence,
        cost_total=log.cost_total,
        cost_source=log.cost_source,
        usage_state=log.usage_state,
        unpriced_reason=log.unpriced_reason,
        period=log.usage_period,
    )


def _add_archived_usage(logs: Sequence[UsageLog]) -> None:
    """Record what these logs add to the rollups, for `verify_ledger`."""
    table = archived.ARCHIVED_USAGE
    rows = [(*key, *counts) for key, counts in sorted(rollups.totals_for(table, logs).items()) if any(counts)]
    upsert.increment(connection, upsert.Increments(table.table, table.keys, table.counters, rows))
