"""Archives the usage logs of closed periods: writes them to files, then deletes them. Off unless KEEP_LOGS_DAYS is set.

A period is claimed, which ends its corrections. Its logs are written, compared with its totals and its statement, and read
back. After DELETE_DELAY they are deleted, one part of the file per transaction, if the part equals the logs in the database.
A killed run continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from billing.accounts import accounts, usage_periods
from billing.accounts.usage_periods import Period
from billing.archive import archive_file, archived
from billing.archive.archive_file import FilePart
from billing.corrections import as_closed
from billing.ledger import ledger, rollups
from billing.ledger.rollups import DAY_COUNTERS
from billing.models import Account, Archive, ArchivedEvent, Statement, UsageLog
from lib import gzip_parts, jobs, retention, retry, upsert
from lib.exact_sum import ExactSum
from lib.gzip_parts import DamagedFile
from lib.retention import RetentionRule

LOGS_PER_PART = 1_000  # in one part of a file, and so in one transaction
MAX_CLAIMS = 100  # periods claimed at a time, because finding them reads all statements
MAX_RETRIES = 20  # failed archives that one run tries again, picked at random so that all get their turn
ZONE_CHANGE_MARGIN = timedelta(days=2)  # after a change of time zone, a day may end this much earlier than before
DELETE_DELAY = timedelta(hours=1)  # longer than any event's transaction, so that all later events see has_archive


class NotArchivable(Exception):
    """The period cannot be archived, or not yet. The message says why."""


def run(at: datetime) -> str:
    """Retry failed archives, then write and delete what is due. Raises ProblemFound if an archive has failed."""
    unfinished = Archive.objects.filter(finished_at=None)
    retried = list(unfinished.exclude(trouble="").order_by("?").values_list("pk", flat=True)[:MAX_RETRIES])
    unfinished.filter(pk__in=retried).update(trouble="")  # the cause may be gone
    summary = f"{retention.describe(retention.delete_due([RULE], at))} deleted"
    if failed := unfinished.exclude(trouble="").count():
        raise jobs.ProblemFound(f"{summary}; {failed} archives failed. See Archives in the admin for the reasons.")
    return summary


def _count_due(before: datetime) -> int:
    statement = _due_statements(before).filter(account_id=OuterRef("account_id"), period=OuterRef("usage_period"))
    return UsageLog.objects.filter(Exists(statement)).order_by().count()


def _work(before: datetime) -> int | None:
    """Delete one part, or write one file, or claim due periods. Return the number of deleted logs; None if idle."""
    at = before + timedelta(days=settings.KEEP_LOGS_DAYS)
    pending = Archive.objects.filter(finished_at=None, trouble="").select_related("account").order_by("begun_at", "id")
    if archive := pending.filter(verified_at__lte=at - DELETE_DELAY).first():
        return _attempt(archive, partial(_delete_next_part, archive, at))
    if archive := pending.filter(verified_at=None).first():
        return _attempt(archive, partial(_write_file, archive))
    return _claim(before, at)


RULE = RetentionRule("logs of closed periods", lambda: int(settings.KEEP_LOGS_DAYS), _count_due, _work)


def _attempt(archive: Archive, work: Callable[[], int]) -> int | None:
    try:
        return work()
    except BlockingIOError:
        return None  # another process is writing the same file
    except (NotArchivable, DamagedFile, OSError) as error:
        Archive.objects.filter(pk=archive.pk).update(trouble=(str(error) or repr(error))[:300])
        return 0


def _due_statements(before: datetime) -> QuerySet[Statement]:
    """Statements closed before this time; their periods' logs are due."""
    return Statement.objects.filter(closed_at__lt=before, calls__gt=0)


def _claim(before: datetime, at: datetime) -> int | None:
    claimed = Archive.objects.filter(account_id=OuterRef("account_id"), period=OuterRef("period"))
    due = _due_statements(before).exclude(Exists(claimed)).order_by("period", "id")
    periods = list(due.values_list("account_id", "period")[:MAX_CLAIMS])
    for account_id, period in periods:
        retry.on_deadlock(partial(_claim_period, account_id, period, at))
    return 0 if periods else None


@transaction.atomic
def _claim_period(account_id: int, period: date, at: datetime) -> None:
    """The lock waits for running corrections of the account; later ones see the claim."""
    account = accounts.lock(account_id)
    Archive.objects.get_or_create(account=account, period=period, defaults={"begun_at": at})
    Account.objects.filter(pk=account_id, has_archive=False).update(has_archive=True)


def _write_file(archive: Archive) -> int:
    """Write the file, read it back and write its manifest; then give it its name.

    Raises NotArchivable, DamagedFile or OSError.
    """
    period, path = (
        usage_periods.period_from(archive.account.schedule, archive.period),
        archive_file.archive_path(archive),
    )
    counts = [0] * len(DAY_COUNTERS)
    with archive_file.open_writer(path) as file:
        for logs in _pages(archive, period):
            _require_detected(logs)
            file.add(logs)
            as_closed.restore(logs)
            counts = [sum(column) for column in zip(counts, *map(rollups.counts_of, logs), strict=True)]
        totals = dict(zip(DAY_COUNTERS, counts, strict=True))
        _check_totals(archive, period, totals)
        start, facts = file.verify(), file.facts()
        now = timezone.now()  # the run may have begun hours ago, and DELETE_DELAY counts from here
        account = {"account": archive.account.external_id, "timezone": archive.account.timezone}
        span = {"period": period.name, "starts_at": period.starts_at, "ends_at": period.ends_at, "written_at": now}
        archive_file.write_manifest(path, {**account, **span, **facts, "totals": totals})
    Archive.objects.filter(pk=archive.pk, verified_at=None).update(verified_at=now, offset=start, **facts)
    return 0


def _pages(archive: Archive, period: Period) -> Iterator[list[UsageLog]]:
    """Pages of the period's logs by time.

    `usage_period` selects them. The upper bound in time only limits the index scan; there is no lower bound, as late calls
    happened before the period in which they count.
    """
    logs = UsageLog.objects.filter(account_id=archive.account_id, usage_period=archive.period)
    rest = logs = logs.filter(timestamp__lt=period.ends_at + ZONE_CHANGE_MARGIN).order_by("timestamp", "id")
    while page := list(rest[:LOGS_PER_PART]):
        yield page
        last = page[-1]
        rest = logs.filter(Q(timestamp__gt=last.timestamp) | Q(id__gt=last.id), timestamp__gte=last.timestamp)


def _require_detected(logs: Sequence[UsageLog]) -> None:
    if any(log.actual_provider_name is None for log in logs):
        raise NotArchivable("Some logs have no detected provider. Run `manage.py backfill_actual_providers`.")


def _check_totals(archive: Archive, period: Period, totals: dict[str, int]) -> None:
    """Compare the totals of the written logs with the rollup and the statement. Raises NotArchivable."""
    days = rollups.days_between(archive.account, period.start, period.end)
    sums = days.aggregate(**{f"sum_{counter}": ExactSum(counter) for counter in DAY_COUNTERS})
    if totals != {counter: int(sums[f"sum_{counter}"] or 0) for counter in DAY_COUNTERS}:
        raise NotArchivable("The logs do not add up to the totals. Run `manage.py verify_ledger` for details.")
    statement = Statement.objects.get(account_id=archive.account_id, period=archive.period)
    stated = {"calls": statement.calls, "tokens_total": statement.tokens_total, "cost_nano": statement.usage_nano}
    if stated != {counter: totals[counter] for counter in stated}:
        raise NotArchivable("The logs do not add up to the statement. Run `manage.py verify_ledger` for details.")


def _delete_next_part(archive: Archive, at: datetime) -> int:
    """Delete the logs of the file's next part. Raises NotArchivable, DamagedFile or OSError; the other logs stay."""
    path = archive_file.archive_path(archive)
    if archive.offset >= archive.size:
        Archive.objects.filter(pk=archive.pk).update(finished_at=at)
        return 0
    if not archive.deleted and gzip_parts.checksum(path) != archive.sha256:
        raise DamagedFile("The file has changed since it was written.")
    return retry.on_deadlock(partial(_delete_part, archive, archive_file.read_part(path, archive.offset)))


@transaction.atomic
def _delete_part(archive: Archive, part: FilePart) -> int:
    """Needs no account lock, which would block reservations: nothing else writes the logs of a claimed period."""
    current = Archive.objects.filter(pk=archive.pk, offset=archive.offset)
    if not current.update(offset=part.next_offset, deleted=F("deleted") + len(part.ids)):
        return 0  # another process deleted this part
    stored = UsageLog.objects.filter(account_id=archive.account_id, usage_period=archive.period, id__in=part.ids)
    logs = list(stored.order_by("timestamp", "id"))
    if archive_file.format_logs(logs) != part.text:
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
        period=log.usage_period,
    )


def _add_archived_usage(logs: Sequence[UsageLog]) -> None:
    """Record what these logs add to the rollups, for `verify_ledger`."""
    table = archived.ARCHIVED_USAGE
    rows = [(*key, *counts) for key, counts in sorted(rollups.totals_for(table, logs).items()) if any(counts)]
    upsert.increment(connection, upsert.Increments(table.table, table.keys, table.counters, rows))
