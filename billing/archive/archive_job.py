"""Usage logs of closed periods, once their statements are old enough: written to files, and only then deleted. Opt-in.

Run by the job `archive_logs` and by `manage.py prune`. A period is claimed, so that nothing corrects it any more; its logs are
written, compared with its totals and its statement, and read back; and MARGIN later they are deleted, a part of the file in one
transaction, after each was found in the file as it stands in the log. Killed at any moment, it goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Sum
from django.utils import timezone

from billing.accounts import accounts, usage_periods
from billing.accounts.usage_periods import Period
from billing.archive import archive_file, archived
from billing.archive.archive_file import Part
from billing.corrections import as_closed
from billing.ledger import ledger, rollups
from billing.ledger.rollups import DAY_COUNTS
from billing.models import Account, Archive, ArchivedEvent, Statement, UsageLog
from lib import gzip_parts, jobs, retention, retry, upsert
from lib.gzip_parts import Damaged
from lib.retention import Rule

PART = 1_000  # logs in one part of a file, and so in one transaction
CLAIMS = 100  # periods that are claimed at a time: looking for them reads all statements
AGAIN = 20  # archives that were held up, whichever: a run tries so many again, and the others have their turn
BEYOND = timedelta(days=2)  # a change of zone may end a day so much earlier than it was when its calls came
MARGIN = timedelta(hours=1)  # no event is on its way for so long: each was stored, or saw its account's flag


class Unfit(Exception):
    """The period cannot be archived, or not yet; the message says why."""


def run(at: datetime) -> str:
    """The job. Raises Trouble where a period does not go on."""
    going = Archive.objects.filter(finished_at=None)
    again = list(going.exclude(trouble="").order_by("?").values_list("pk", flat=True)[:AGAIN])
    going.filter(pk__in=again).update(trouble="")  # whatever it was may be over
    told = f"{retention.told(retention.run([RULE], at))} deleted"
    if troubled := going.exclude(trouble="").count():
        raise jobs.Trouble(f"{told}; {troubled} archives do not go on: *Archives* in the admin tells why.")
    return told


def _due(before: datetime) -> int:
    mine = _statements(before).filter(account_id=OuterRef("account_id"), period=OuterRef("usage_period"))
    return UsageLog.objects.filter(Exists(mine)).order_by().count()


def _step(before: datetime) -> int | None:
    """Delete a part, else write a file, else claim what is due; None where nothing can be done now."""
    at = before + timedelta(days=settings.KEEP_LOGS_DAYS)
    going = Archive.objects.filter(finished_at=None, trouble="").select_related("account").order_by("begun_at", "id")
    if one := going.filter(verified_at__lte=at - MARGIN).first():
        return _tried(one, partial(_delete, one, at))
    if one := going.filter(verified_at=None).first():
        return _tried(one, partial(_write, one))
    return _claim(before, at)


RULE = Rule("logs of closed periods", lambda: int(settings.KEEP_LOGS_DAYS), _due, _step)


def _tried(one: Archive, work: Callable[[], int]) -> int | None:
    try:
        return work()
    except BlockingIOError:
        return None  # another process is writing the same file
    except (Unfit, Damaged, OSError) as error:
        Archive.objects.filter(pk=one.pk).update(trouble=(str(error) or repr(error))[:300])
        return 0


def _statements(before: datetime) -> QuerySet[Statement]:
    """Those whose logs are due."""
    return Statement.objects.filter(closed_at__lt=before, calls__gt=0)


def _claim(before: datetime, at: datetime) -> int | None:
    begun = Archive.objects.filter(account_id=OuterRef("account_id"), period=OuterRef("period"))
    due = _statements(before).exclude(Exists(begun)).order_by("period", "id")
    claimed = list(due.values_list("account_id", "period")[:CLAIMS])
    for account_id, period in claimed:
        retry.on_deadlock(partial(_begin, account_id, period, at))
    return 0 if claimed else None


@transaction.atomic
def _begin(account_id: int, period: date, at: datetime) -> None:
    """Corrections of the account that are under way end first, and later ones see it."""
    account = accounts.lock(account_id)
    Archive.objects.get_or_create(account=account, period=period, defaults={"begun_at": at})
    Account.objects.filter(pk=account_id, has_archive=False).update(has_archive=True)


def _write(one: Archive) -> int:
    """Write the file, read it back and describe it, and only then let it be there. Raises Unfit, Damaged or OSError."""
    period, path = usage_periods.period_from(one.account.schedule, one.period), archive_file.path_of(one)
    counts = [0] * len(DAY_COUNTS)
    with archive_file.writing(path) as file:
        for logs in _pages(one, period):
            _refuse_unnamed(logs)
            file.add(logs)
            as_closed.restore(logs)
            counts = [sum(column) for column in zip(counts, *map(rollups.counts_of, logs), strict=True)]
        totals = dict(zip(DAY_COUNTS, counts, strict=True))
        _compare(one, period, totals)
        start, found = file.compare(), file.found()
        now = timezone.now()  # the run may have begun hours ago, and MARGIN is to be a whole one
        whose = {"account": one.account.external_id, "timezone": one.account.timezone}
        span = {"period": period.name, "starts_at": period.starts_at, "ends_at": period.ends_at, "written_at": now}
        archive_file.describe(path, {**whose, **span, **found, "totals": totals})
    Archive.objects.filter(pk=one.pk, verified_at=None).update(verified_at=now, offset=start, **found)
    return 0


def _pages(one: Archive, period: Period) -> Iterator[list[UsageLog]]:
    """The period's logs in the order of their time. What came late for an earlier period happened before it began.

    `usage_period` says which are its own; the time only keeps the index from being read to its end.
    """
    counted = UsageLog.objects.filter(account_id=one.account_id, usage_period=one.period)
    rest = counted = counted.filter(timestamp__lt=period.ends_at + BEYOND).order_by("timestamp", "id")
    while page := list(rest[:PART]):
        yield page
        last = page[-1]
        rest = counted.filter(Q(timestamp__gt=last.timestamp) | Q(id__gt=last.id), timestamp__gte=last.timestamp)


def _refuse_unnamed(logs: Sequence[UsageLog]) -> None:
    if any(log.actual_provider_name is None for log in logs):
        raise Unfit("It has logs not yet detected: `manage.py backfill_actual_providers` names them.")


def _compare(one: Archive, period: Period, totals: dict[str, int]) -> None:
    """What was written must be what stands in the totals, and what was stated."""
    days = rollups.days_between(one.account, period.start, period.end)
    sums = days.aggregate(**{f"sum_{counter}": Sum(counter) for counter in DAY_COUNTS})
    stands = {counter: int(sums[f"sum_{counter}"] or 0) for counter in DAY_COUNTS}
    if totals != stands:
        raise Unfit("Its logs do not add up to its totals: `manage.py verify_ledger` tells the differences.")
    statement = Statement.objects.get(account_id=one.account_id, period=one.period)
    stated = {"calls": statement.calls, "tokens_total": statement.tokens_total, "cost_nano": statement.usage_nano}
    if stated != {counter: totals[counter] for counter in stated}:
        raise Unfit("Its logs do not add up to its statement: `manage.py verify_ledger` tells the differences.")


def _delete(one: Archive, at: datetime) -> int:
    """Delete the next part. Raises Unfit, Damaged or OSError: the logs that are left stay."""
    path = archive_file.path_of(one)
    if one.offset >= one.size:
        Archive.objects.filter(pk=one.pk).update(finished_at=at)
        return 0
    if not one.deleted and gzip_parts.checksum(path) != one.sha256:
        raise Damaged("The file is not the one that was written.")
    return retry.on_deadlock(partial(_delete_part, one, archive_file.part(path, one.offset)))


@transaction.atomic
def _delete_part(one: Archive, part: Part) -> int:
    """Without the account's lock, for which reservations would wait: nothing else writes what is claimed."""
    mine = Archive.objects.filter(pk=one.pk, offset=one.offset)
    if not mine.update(offset=part.next, deleted=F("deleted") + len(part.ids)):
        return 0  # another process was quicker
    left = UsageLog.objects.filter(account_id=one.account_id, usage_period=one.period, id__in=part.ids)
    logs = list(left.order_by("timestamp", "id"))
    if archive_file.text_of(logs) != part.text:
        raise Unfit(f"The logs from {part.ids[0]} on are not those of the file.")
    ArchivedEvent.objects.bulk_create([_event(log) for log in logs])
    as_closed.restore(logs)
    _count(logs)
    ledger.delete(left)
    return len(logs)


def _event(log: UsageLog) -> ArchivedEvent:
    return ArchivedEvent(
        account_id=log.account_id,
        event_key=log.event_key,
        log=log.id,
        digest=log.digest,
        provider=log.provider,
        actual_provider_name=log.shown_provider,
        confidence=log.confidence,
        cost_total=log.cost_total,
        cost_source=log.cost_source,
        period=log.usage_period,
    )


def _count(logs: Sequence[UsageLog]) -> None:
    """What the rollups hold of them, for the ledger's check."""
    table = archived.USAGE
    rows = [(*key, *counts) for key, counts in sorted(rollups.added(table, logs).items()) if any(counts)]
    upsert.add(connection, upsert.Sums(table.table, table.keys, table.counters, rows))
