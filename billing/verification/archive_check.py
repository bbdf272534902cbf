"""Checks of archives: the keys and totals that stay in the database, the logs that are left, and the file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from django.db.models import Count, QuerySet

from billing.archive import archive_file
from billing.models import Archive, ArchivedEvent, ArchivedUsage, UsageLog
from billing.verification.differences import CheckedPart, CheckedRow, Comparison
from billing.verification.scans import AccountRange
from lib import gzip_parts

ARCHIVES, EVENTS, USAGE = Archive._meta.db_table, ArchivedEvent._meta.db_table, ArchivedUsage._meta.db_table
Key = tuple[int, date]  # account, period
Pairs = dict[str, tuple[object, object]]


def compare_archives(accounts: AccountRange) -> CheckedPart:
    """The counts and file of each archive; archived events and totals belong to an archive."""
    comparison, where = Comparison(), accounts.where()
    rows = Archive.objects.filter(where).select_related("account").order_by("account_id", "period")
    archives = {(row.account_id, row.period): row for row in rows}
    events = _counts(ArchivedEvent.objects.filter(where), "period")
    remaining = _remaining(archives)
    for key, archive in archives.items():
        comparison.add(_archive_row(archive, events.get(key, 0), remaining.get(key, 0)))
    for table, counts in ((EVENTS, events), (USAGE, _counts(ArchivedUsage.objects.filter(where), "period"))):
        for key in sorted(counts.keys() - archives.keys()):
            comparison.note(table, key, {"archived": (True, False)})
    return comparison.as_part()


def _counts(rows: QuerySet[Any], column: str) -> dict[Key, int]:
    counted = rows.order_by().values_list("account_id", column).annotate(rows=Count("account_id"))
    return {(account_id, period): count for account_id, period, count in counted}


def _remaining(archives: dict[Key, Archive]) -> dict[Key, int]:
    """The number of logs in the database that belong to archived periods."""
    if not archives:
        return {}
    logs = UsageLog.objects.filter(
        account_id__in={account_id for account_id, _ in archives}, usage_period__in={period for _, period in archives}
    )
    return {key: count for key, count in _counts(logs, "usage_period").items() if key in archives}


def _archive_row(archive: Archive, events: int, remaining: int) -> CheckedRow:
    """History may be imported after its period was archived: such logs stay in the database."""
    pairs: Pairs = {"deleted": (archive.deleted, events)}
    if archive.period < archive.account.billed_from:
        remaining = min(remaining, archive.logs - archive.deleted)
    if archive.verified_at is not None:
        pairs["logs"] = (archive.logs, archive.deleted + remaining)
    if archive.finished_at is not None:
        pairs["finished_at"] = (archive.finished_at, archive.finished_at if not remaining else None)
        pairs["offset"] = (archive.offset, archive.size)
    file = dict(_file_pairs(archive))
    return CheckedRow(ARCHIVES, (archive.account_id, archive.period), pairs | file, complete=bool(file))


def _file_pairs(archive: Archive) -> Iterator[tuple[str, tuple[object, object]]]:
    """Nothing where the file is not written yet, or was moved away."""
    path = archive_file.archive_path(archive)
    if archive.verified_at is None:
        return
    try:
        size, sha256 = path.stat().st_size, gzip_parts.checksum(path)
    except OSError:
        return
    yield "size", (archive.size, size)
    yield "sha256", (archive.sha256, sha256)
