"""Checks of usage logs by themselves: checksum, key of the event, cost and tokens, day and period."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from billing.charges import rating
from billing.ledger import log_search, rollups, row_checksum
from billing.models import Account, CostSource, UsageAdjustment, UsageLog
from billing.verification import scans
from billing.verification.differences import CheckedPart, CheckedRow, Pairs, compare
from billing.verification.scans import Cursor
from lib import ids, periods
from lib.periods import Schedule
from providers import costing, price_book
from providers.costing import PricedModel
from providers.models import Price
from providers.quantities import tokens_total

PAGE_SIZE = 2_000  # logs
TABLE = UsageLog._meta.db_table
CALLS_SINCE_VERSION = REASONS_SINCE_VERSION = 2  # of the checksum
COST_COLUMNS = ("cost_input", "cost_output", "cost_other", "cost_total", "cost_source")
STATED_SOURCES = (CostSource.CALLER, CostSource.VENDOR, CostSource.ESTIMATE)  # without a price
PROVIDER_COLUMNS = ("actual_provider_name", "confidence", "detection_rule", "evidence")
COLUMNS = (
    *row_checksum.PROFILE_COLUMNS,
    *row_checksum.OWN_COLUMNS,
    *("checksum", "effective_nano", "is_priced", "voided_at", "usage_state", "unpriced_reason", "resolved"),
)
StoredLog: Any = namedtuple("StoredLog", COLUMNS)  # type: ignore[misc]  # names from above
_own_values = attrgetter(*row_checksum.OWN_COLUMNS)
_profile_values = attrgetter(*row_checksum.PROFILE_COLUMNS)


class LogPage:
    """Logs in order of their ids, with their accounts and adjustments."""

    def __init__(self, logs: Sequence[Any]) -> None:
        self.logs = logs

    @cached_property
    def accounts(self) -> dict[int, Any]:
        """The accounts by id, annotated with whether they have adjustments."""
        corrected = Exists(UsageAdjustment.objects.filter(account_id=OuterRef("pk")))
        accounts: QuerySet[Any] = Account.objects.annotate(corrected=corrected)
        return dict(accounts.in_bulk({log.account_id for log in self.logs}))

    @cached_property
    def adjustments(self) -> dict[UUID, list[UsageAdjustment]]:
        """The adjustments of each log that has some, oldest first."""
        corrected = {pk for pk, account in self.accounts.items() if account.corrected}
        pairs = ((log.account_id, log.id) for log in self.logs if log.account_id in corrected)
        by_log: dict[UUID, list[UsageAdjustment]] = {}
        for adjustment in scans.find_pairs(UsageAdjustment.objects.order_by("id"), "log_id", pairs):
            by_log.setdefault(adjustment.log_id, []).append(adjustment)
        return by_log


def next_page(cursor: Cursor) -> tuple[LogPage, Cursor | None]:
    logs = UsageLog.objects.order_by("id").values_list(*COLUMNS)
    rest = logs.filter(id__gt=UUID(cursor)) if cursor else logs
    page: list[Any] = [StoredLog._make(row) for row in log_search.fetch_rows(rest[:PAGE_SIZE])]
    return LogPage(page), str(page[-1].id) if len(page) == PAGE_SIZE else None


def compare_checksums(page: LogPage) -> CheckedPart:
    """The columns that never change, against the checksum; logs of earlier releases have none."""
    return compare(_checksum_row(log, page.adjustments.get(log.id, ())) for log in page.logs)


def _checksum_row(log: Any, adjustments: Iterable[UsageAdjustment]) -> CheckedRow:  # noqa: ANN401 - a StoredLog
    provider = _recorded_provider(log, adjustments)
    if log.checksum is None or provider is None:
        return CheckedRow(TABLE, (log.id,), {}, complete=False)
    version = row_checksum.version_of(log.checksum)
    if version not in (row_checksum.VERSION, *row_checksum.OLDER_WIDTHS):
        return CheckedRow(TABLE, (log.id,), {}, complete=False)
    profile = _profile_values(log)[: -len(PROVIDER_COLUMNS)]
    own = tuple(value.bytes if isinstance(value, UUID) else value for value in _own_values(log))
    checksum = row_checksum.compute(row_checksum.hash_profile((*profile, *provider)), own, version)
    return CheckedRow(TABLE, (log.id,), {"checksum": (log.checksum, checksum)})


def _recorded_provider(log: Any, adjustments: Iterable[UsageAdjustment]) -> tuple[Any, ...] | None:  # noqa: ANN401
    """The values of PROVIDER_COLUMNS before the first redetection; None if they were not recorded."""
    for adjustment in adjustments:
        if adjustment.kind == UsageAdjustment.Kind.REDETECT:
            before = adjustment.details.get("before")
            if before is None:
                return None
            return adjustment.details["from"], before["confidence"], before["rule"], before["evidence"]
    return log.actual_provider_name, log.confidence, log.detection_rule, log.evidence


def compare_keys(page: LogPage) -> CheckedPart:
    """The key of each event, against its id; the existence of its account; and the number of its calls."""
    return compare(
        CheckedRow(
            TABLE,
            (log.id,),
            {
                "event_key": (log.event_key, ids.lookup_key(log.event_id)),
                "account_id": (log.account_id, log.account_id if log.account_id in page.accounts else None),
                "calls": (log.calls, _expected_calls(log)),
            },
        )
        for log in page.logs
    )


def _expected_calls(log: Any) -> int:  # noqa: ANN401 - a StoredLog
    """At least one; exactly one on a log of a release that did not count the calls of aggregated rows."""
    if row_checksum.version_of(log.checksum or 0) < CALLS_SINCE_VERSION:
        return 1
    return max(int(log.calls), 1)


def compare_costs(page: LogPage) -> CheckedPart:
    """The parts of each cost, against units x rates of its price where it has one; the tokens, against their parts."""
    prices = _load_prices({log.price_id for log in page.logs if log.price_id is not None})
    return compare(_cost_row(log, prices) for log in page.logs)


def _cost_row(log: Any, prices: dict[tuple[int, str], PricedModel]) -> CheckedRow:  # noqa: ANN401 - a StoredLog
    quantities = rating.quantities_of_log(log._replace(resolved=None))
    pairs: dict[str, tuple[object, object]] = {
        "cost_total": (log.cost_total, log.cost_input + log.cost_output + log.cost_other),
    }
    if log.cost_source != CostSource.ESTIMATE or log.price_id is not None:  # else a reservation's tokens
        pairs["tokens_total"] = log.tokens_total, tokens_total(quantities)
    price = prices.get((log.price_id, price_book.tier_of(log.model_used)))
    if price is None and (log.cost_source == CostSource.PRICE_BOOK or log.price_id is not None):
        return CheckedRow(TABLE, (log.id,), pairs, complete=False)
    if price is None:
        stated = log.cost_total if log.cost_source in STATED_SOURCES else 0
        expected: tuple[object, ...] = (0, 0, stated, stated, log.cost_source)
    else:
        cost = costing.cost(price, quantities)
        if (cost.total_nano, cost.source) != (log.cost_total, log.cost_source) and _is_of_first_releases(log):
            cost = costing.cost_by_any_rate(price, quantities)
        source = CostSource.ESTIMATE if log.cost_source == CostSource.ESTIMATE and cost.billed else cost.source
        expected = (cost.input_nano, cost.output_nano, cost.other_nano, cost.total_nano, source)
    for name, value in zip(COST_COLUMNS, expected, strict=True):
        pairs[name] = (getattr(log, name), value)
    return CheckedRow(TABLE, (log.id,), pairs)


def _is_of_first_releases(log: Any) -> bool:  # noqa: ANN401 - a StoredLog
    """Whether the log was recorded before costs depended on conditions that a price must know."""
    return log.checksum is None or row_checksum.version_of(log.checksum) in row_checksum.OLDER_WIDTHS


def _load_prices(price_ids: Iterable[int]) -> dict[tuple[int, str], PricedModel]:
    """The prices by id and service tier; the rates of a price are never edited once it is used."""
    stored = Price.objects.filter(pk__in=price_ids).select_related("provider").prefetch_related("rates")
    return {(price.pk, tier): price_book.priced_model(price, tier) for price in stored for tier in ("", "batch")}


def compare_days(page: LogPage) -> CheckedPart:
    """The day and period of each log, against its account's schedule."""
    return compare(_day_rows(page))


def _day_rows(page: LogPage) -> Iterator[CheckedRow]:
    for log in page.logs:
        account = page.accounts.get(log.account_id)
        if account is None or not periods.is_known(account.schedule):
            yield CheckedRow(TABLE, (log.id,), {}, complete=False)
        else:
            yield CheckedRow(TABLE, (log.id,), _day_pairs(log, account.schedule))


def _day_pairs(log: Any, schedule: Schedule) -> Pairs:  # noqa: ANN401 - a StoredLog
    """A log counts at `counts_at`, or where late, when it was received, or when it occurred."""
    day = periods.local_day(schedule, rollups.counting_time(log))
    pairs: dict[str, tuple[object, object]] = {
        "usage_day": (log.usage_day, day),
        "usage_period": (log.usage_period, periods.period_start(schedule, log.usage_day)),
    }
    if log.late_for is not None:
        occurred = periods.period_start(schedule, periods.local_day(schedule, log.timestamp))
        pairs["late_for"] = (log.late_for, occurred if occurred < log.usage_period else None)
    return pairs
