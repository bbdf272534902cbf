"""Finding usage logs: filters, keyset pages and streams over (timestamp descending, id). The API, CSV and admin use it."""

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
from billing.models import Account, UsageAdjustment, UsageLog, UsageModel
from billing.models.usage import ProviderDisplay
from lib import ids, keyset, postgres
from lib.keyset import Mark

SPAN = timedelta(days=31)  # how far back a platform-wide search looks that no index serves
STREAM = 2000
NAMES = 10_000  # of accounts, that a stream remembers


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for. `since` and `until` are half-open; `filters` are by the API's names."""

    account: Account | None
    since: datetime | None = None
    until: datetime | None = None
    filters: Mapping[str, Any] | None = None

    @property
    def found(self) -> QuerySet[UsageLog]:
        logs = UsageLog.objects.select_related("account")
        if self.account:
            logs = logs.filter(account_id=self.account.id)
        if self.since:
            logs = logs.filter(timestamp__gte=self.since)
        if self.until:
            logs = logs.filter(timestamp__lt=self.until)
        for name, value in (self.filters or {}).items():
            logs = logs.filter(
                FILTERS[name](value) if name != "q" else text(value, self.account.id if self.account else None)
            )
        return logs

    def bounded(self, at: datetime) -> Search:
        """Platform-wide: the last 31 days unless said otherwise, and at most 31 days with a filter that no index serves.

        Raises Refused where a longer span was asked for.
        """
        if self.account or (self.filters or {}).keys() == {"id"}:
            return self
        until = self.until or (min(self.since + SPAN, at) if self.since and self.filters else None)
        since = self.since or (until or at) - SPAN
        if self.filters and (until or at) - since > SPAN:
            raise Refused("out_of_range", "Across all accounts, a filter looks through at most 31 days.", "from")
        return replace(self, since=since, until=until)


page = partial(keyset.page, by="timestamp")
_beyond = partial(keyset.beyond, by="timestamp")


def pages(found: QuerySet[UsageLog], *, size: int) -> Iterator[list[UsageLog]]:
    """All of them, page after page, newest first; each is looked for when it is asked for."""
    mark = None
    while (one := page(found, size=size, mark=mark)).rows:
        yield one.rows
        if one.next is None:
            return
        mark = one.next


_COLUMNS = (
    *("id", "account_id", "event_id", "timestamp", "received_at", "usage_period", "late_for", "provider"),
    *("actual_provider_name", "confidence", "category", "model_used", "endpoint", "method", "tokens_input"),
    *("tokens_output", "tokens_total", "tokens_cached", "tokens_cache_write", "units", "effective_nano", "is_priced"),
    *("voided_at", "cost_total", "cost_source", "response_time_ms", "status_code", "error_message", "retry_count"),
    "metadata",
)
_Columns: Any = namedtuple("_Columns", (*_COLUMNS, "corrected", "external_id"))  # type: ignore[misc]  # names from above


class Listed(ProviderDisplay, _Columns):
    """A log as lists show it: the columns that a row says something of, whether there are adjustments, and its account's id.

    Without the cost of a model instance.
    """

    __slots__ = ()

    @classmethod
    def of(cls, log: UsageLog, *, corrected: bool) -> Self:
        return cls._make((*_values(log), corrected, log.external_id))


_values = attrgetter(*_COLUMNS)
_ACCOUNT = _COLUMNS.index("account_id")
_CORRECTED = Exists(UsageAdjustment.objects.filter(account_id=OuterRef("account_id"), log_id=OuterRef("id")))


def stream(found: QuerySet[UsageLog]) -> Iterator[list[Any]]:
    """All of them, as Listed, keyset page after keyset page: memory stays flat on every database.

    Accounts are read beside the logs: a join would cost as much again as the logs themselves.
    """
    found, mark, names = found.annotate(corrected=_CORRECTED), None, dict[int, str]()
    while True:
        rows = read(_beyond(found, mark).values_list(*_COLUMNS, "corrected")[:STREAM])
        _learn(names, {row[_ACCOUNT] for row in rows})
        logs: list[Any] = [Listed._make((*row, names[row[_ACCOUNT]])) for row in rows]
        yield logs
        if len(logs) < STREAM:
            return
        mark = Mark(logs[-1].timestamp, logs[-1].id)


def read(rows: QuerySet[UsageLog, tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """What a `values_list` finds, as quickly as the database can."""
    return postgres.fetch(connection, rows) if connection.vendor == "postgresql" else list(rows)


def _learn(names: dict[int, str], accounts: set[int]) -> None:
    """Into `names` the external ids of these accounts, asked for where they are not known yet; it never grows for long."""
    if len(names) > NAMES:
        names.clear()
    unknown = accounts - names.keys()
    names.update(Account.objects.filter(pk__in=unknown).values_list("pk", "external_id"))


def _declared(label: str) -> Q:
    """Whatever its case: `iexact` would go by the collation, which is exact on MariaDB."""
    return Q(Exact(Lower("provider"), label.lower()))


def _actual_provider(slug: str) -> Q:
    """By what is shown: a log that nothing has been detected for stands under its declared label."""
    return Q(actual_provider_name=slug) | (Q(actual_provider_name=None) & _declared(slug))


def _confidence(value: str) -> Q:
    undetected = Q(actual_provider_name=None)
    return Q(confidence=value) | undetected if value == "fallback" else Q(confidence=value) & ~undetected


def _status(value: str) -> Q:
    return Q(status_code__gte=400) if value == "failed" else Q(status_code__lt=400)


def text(value: str, account_id: int | None) -> Q:
    """An exact event id, an exact log id, or the start of a model's name.

    Within an account, models are looked for only where its totals know one that begins so: else the ids' indexes are all it
    takes, and not every log that the account has.
    """
    wanted = Q(event_key=ids.key_of(value))
    with suppress(ValueError):
        wanted |= Q(id=UUID(value))
    of_models = UsageModel.objects.filter(model__startswith=value.strip().lower())
    if account_id is not None and not of_models.filter(account_id=account_id).exists():
        return wanted
    return wanted | Q(StartsWith(Lower("model_used"), value.lower()))


FILTERS: dict[str, Callable[[Any], Q]] = {
    "id": lambda value: Q(id=value),
    "provider": _declared,
    "actual_provider": _actual_provider,
    "category": lambda value: Q(category=value),
    "model": lambda value: Q(model_used=value),
    "status": _status,
    "status_code": lambda value: Q(status_code=value),
    "priced": lambda value: Q(is_priced=value),
    "confidence": _confidence,
    "voided": lambda value: Q(voided_at__isnull=not value),
}


def of_period(account: Account | None, name: str) -> tuple[datetime, datetime]:
    """The instants of a named period. Raises ValueError. A late log is found by when it happened, not where it counts."""
    period = usage_periods.named_period(account, name)
    return period.starts_at, period.ends_at
