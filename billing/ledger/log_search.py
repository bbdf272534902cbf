"""Searches usage logs: filters, keyset pages and streams, ordered by (timestamp descending, id)."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from operator import attrgetter
from typing import Any, Self
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Lower
from django.db.models.lookups import Exact, StartsWith

from billing.accounts import usage_periods
from billing.errors import Refused
from billing.ledger import rollups
from billing.models import Account, UsageAdjustment, UsageLog, UsageModel
from billing.models.usage import ProviderDisplay
from lib import ids, keyset, postgres
from lib.keyset import PageCursor

MAX_SPAN = timedelta(days=31)  # of a platform-wide search, which no index serves
STREAM_PAGE_SIZE = 2000
MAX_CACHED_NAMES = 10_000  # account names cached by a stream


@dataclass(frozen=True, slots=True)
class LogSearch:
    """A search for logs from `since` to `until` (exclusive, UTC); `filters` are keyed by the API's parameter names."""

    account: Account | None
    since: datetime | None = None
    until: datetime | None = None
    filters: Mapping[str, Any] | None = None

    @property
    def logs(self) -> QuerySet[UsageLog]:
        logs = UsageLog.objects.select_related("account")
        if self.account:
            logs = logs.filter(account_id=self.account.id)
        if self.since:
            logs = logs.filter(timestamp__gte=self.since)
        if self.until:
            logs = logs.filter(timestamp__lt=self.until)
        for name, value in (self.filters or {}).items():
            logs = logs.filter(
                FILTERS[name](value) if name != "q" else text_filter(value, self.account.id if self.account else None)
            )
        return logs

    def bounded(self, at: datetime) -> LogSearch:
        """Limit a platform-wide search: the last 31 days by default, and at most 31 days with filters.

        Raises Refused if the request has filters and a longer span.
        """
        if self.account or (self.filters or {}).keys() == {"id"}:
            return self
        until = self.until or (min(self.since + MAX_SPAN, at) if self.since and self.filters else None)
        since = self.since or (until or at) - MAX_SPAN
        if self.filters and (until or at) - since > MAX_SPAN:
            raise Refused("out_of_range", "A filtered search across all accounts can span at most 31 days.", "from")
        return replace(self, since=since, until=until)


fetch_page = partial(keyset.load_page, time_column="timestamp")
_after_cursor = partial(keyset.filter_from, time_column="timestamp")


def iter_pages(logs: QuerySet[UsageLog], *, size: int) -> Iterator[list[UsageLog]]:
    """Yield the logs page by page, newest first; each page is queried when it is needed."""
    cursor = None
    while (page := fetch_page(logs, size=size, cursor=cursor)).rows:
        yield page.rows
        if page.next is None:
            return
        cursor = page.next


_COLUMNS = (
    *("id", "account_id", "event_id", "timestamp", "received_at", "usage_period", "late_for", "provider"),
    *("actual_provider_name", "confidence", "category", "model_used", "endpoint", "method", "tokens_input"),
    *("tokens_output", "tokens_total", "tokens_cached", "tokens_cache_write", "units", "effective_nano", "is_priced"),
    *("voided_at", "cost_total", "cost_source", "response_time_ms", "status_code", "error_message", "retry_count"),
    *("metadata", "usage_state", "unpriced_reason", "calls", "resolved"),
)
_Columns: Any = namedtuple("_Columns", (*_COLUMNS, "corrected", "external_id"))  # type: ignore[misc]  # names from above


class ListedLog(ProviderDisplay, _Columns):
    """The columns of a log that lists show, whether it has adjustments, and its account's external id.

    Cheaper than a model instance.
    """

    __slots__ = ()

    @classmethod
    def from_log(cls, log: UsageLog, *, corrected: bool) -> Self:
        return cls._make((*_values(log), corrected, log.external_id))


_values = attrgetter(*_COLUMNS)
_ACCOUNT = _COLUMNS.index("account_id")
_HAS_CORRECTIONS = Exists(UsageAdjustment.objects.filter(account_id=OuterRef("account_id"), log_id=OuterRef("id")))


def stream(logs: QuerySet[UsageLog]) -> Iterator[list[Any]]:
    """Yield the logs as lists of ListedLog, one keyset page at a time: constant memory on every database.

    Accounts are queried separately: a join would double the cost.
    """
    logs, cursor, names = logs.annotate(corrected=_HAS_CORRECTIONS), None, dict[int, str]()
    while True:
        rows = fetch_rows(_after_cursor(logs, cursor).values_list(*_COLUMNS, "corrected")[:STREAM_PAGE_SIZE])
        _load_names(names, {row[_ACCOUNT] for row in rows})
        page: list[Any] = [ListedLog._make((*row, names[row[_ACCOUNT]])) for row in rows]
        yield page
        if len(page) < STREAM_PAGE_SIZE:
            return
        cursor = PageCursor(page[-1].timestamp, page[-1].id)


def fetch_rows(rows: QuerySet[UsageLog, tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Evaluate a `values_list` queryset by the fastest way of the database."""
    return postgres.fetch_binary(connection, rows) if connection.vendor == "postgresql" else list(rows)


def _load_names(names: dict[int, str], accounts: set[int]) -> None:
    """Add the external ids of these accounts to `names`, a bounded cache."""
    if len(names) > MAX_CACHED_NAMES:
        names.clear()
    unknown = accounts - names.keys()
    names.update(Account.objects.filter(pk__in=unknown).values_list("pk", "external_id"))


def _declared(label: str) -> Q:
    """Compare in lower case: `iexact` depends on the collation, which is case-sensitive on MariaDB."""
    return Q(Exact(Lower("provider"), label.lower()))


def _actual_provider(slug: str) -> Q:
    """Match the shown provider: logs without a detected provider show their declared label."""
    return Q(actual_provider_name=slug) | (Q(actual_provider_name=None) & _declared(slug))


def _confidence(value: str) -> Q:
    undetected = Q(actual_provider_name=None)
    return Q(confidence=value) | undetected if value == "fallback" else Q(confidence=value) & ~undetected


def _status(value: str) -> Q:
    return Q(status_code__gte=400) if value == "failed" else Q(status_code__lt=400)


def text_filter(value: str, account_id: int | None) -> Q:
    """Match an exact event id, an exact log id, or the start of a model name.

    For one account, models are searched only if its rollup has a matching one, so that a search for an id uses the indexes
    instead of scanning all logs of the account.
    """
    match = Q(event_key=ids.lookup_key(value))
    with suppress(ValueError):
        match |= Q(id=UUID(value))
    models = UsageModel.objects.filter(model__startswith=value.strip().lower())
    if account_id is not None and not models.filter(account_id=account_id).exists():
        return match
    return match | Q(StartsWith(Lower("model_used"), value.lower()))


FILTERS: dict[str, Callable[[Any], Q]] = {
    "id": lambda value: Q(id=value),
    "provider": _declared,
    "actual_provider": _actual_provider,
    "category": lambda value: Q(category=value),
    "model": lambda value: Q(model_used=value),
    "status": _status,
    "status_code": lambda value: Q(status_code=value),
    "priced": lambda value: Q(is_priced=value),
    "estimated": lambda value: rollups.ESTIMATED if value else ~rollups.ESTIMATED,
    "usage_state": lambda value: Q(usage_state=value),
    "unpriced_reason": lambda value: Q(unpriced_reason=value),
    "confidence": _confidence,
    "voided": lambda value: Q(voided_at__isnull=not value),
}


def period_bounds(account: Account | None, name: str) -> tuple[datetime, datetime]:
    """The start and end (UTC) of a named period, for a search by call time. Raises ValueError for an invalid name."""
    period = usage_periods.named_period(account, name)
    return period.starts_at, period.ends_at
