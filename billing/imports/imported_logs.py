"""The logs that an import created, in the order of the file, page by page."""

from __future__ import annotations

from uuid import UUID

from billing.models import ImportedRange, UsageImport, UsageLog

PAGE_SIZE = 100


def fetch_page(usage_import: UsageImport, after: UUID | None) -> list[UsageLog]:
    """At most PAGE_SIZE logs with an id after `after`; logs in archives are left out."""
    ranges, logs = ImportedRange.objects.filter(usage_import=usage_import).order_by("first"), list[UsageLog]()
    if after:
        ranges = ranges.filter(last__gt=after)
    for imported in ranges.iterator(chunk_size=PAGE_SIZE):
        rows = UsageLog.objects.filter(id__gte=imported.first, id__lte=imported.last).order_by("id")
        rows = rows.filter(id__gt=after) if after else rows
        logs += rows.select_related("account")[: PAGE_SIZE - len(logs)]
        if len(logs) == PAGE_SIZE:
            break
    return logs
