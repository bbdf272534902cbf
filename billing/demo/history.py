"""The demonstration's three months: accounts, subscriptions, calls, statements and corrections, created in order of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from django.conf import settings

from billing.accounts import accounts, usage_periods
from billing.accounts.usage_periods import Period
from billing.alerts import alerts
from billing.corrections import corrections, repricing
from billing.corrections.repricing import RepricingChoice
from billing.demo import calls, states
from billing.demo.calls import ACME, LATE_MODEL, ORBIT, SOLO, Caller
from billing.demo.states import ACTOR
from billing.events import events
from billing.models import Account, Category, LimitOverride, Meter, Statement, UsageAdjustment, UsageAlert, UsageLog
from billing.plans import overrides, subscriptions
from billing.recording import metering
from billing.recording.metering import EventSource, Result
from billing.statements import statements
from lib import ids, money, periods
from lib.periods import CALENDAR_UTC
from providers import price_edits
from providers.models import Price, PriceRate, Provider

ACCOUNTS = {ACME: "Demo: Acme Stories", ORBIT: "Demo: Orbit Search", SOLO: "Demo: Solo Studio"}
JOIN_DELAY = timedelta(days=2, hours=9)  # after the start of the first month
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
BATCH_SIZE = 500
LATEST_CALLS = 40  # all of the current month; the two most expensive of them are voided

# Acme pays for usage above its limit. Orbit's monthly job uses most of its budget at the start of each month.
BUDGETS = (
    (ACME, 6 * money.NANO, False, "Demo: overage is charged"),
    (ORBIT, 2 * money.NANO, True, "Demo: individual budget"),
)
MONTHLY_JOB_USD = "1.62"


@dataclass(frozen=True, slots=True)
class Months:
    """The month of `at` and the two before it, in UTC."""

    first: Period
    previous: Period
    current: Period

    @classmethod
    def until(cls, at: datetime) -> Months:
        current = usage_periods.current_period(None, at)
        previous = _month_before(current)
        return cls(_month_before(previous), previous, current)


def seed(at: datetime) -> int:
    """Create the demonstration and return its number of calls; if any account exists, create nothing and return 0.

    The jobs run at past times and process every account, so no other account may exist.
    """
    if Account.objects.exists():
        return 0
    at = at.astimezone(UTC)
    months, caller = Months.until(at), Caller()
    joined_at = months.first.starts_at + JOIN_DELAY
    _subscribe(joined_at)
    results = _record_month(caller, joined_at, months.first.ends_at, calls.FIRST_MONTH_CALLS)
    _price_late_model(months.first.ends_at)
    _end_month(months.first, months.previous.ends_at)
    results += _record_month(caller, months.previous.starts_at, months.previous.ends_at, calls.CALLS_PER_MONTH)
    _end_month(months.previous, at)
    results += _record_current_month(caller, months.current, at)
    _correct(months, results, at)
    states.create(at, since=months.first.start)
    return UsageLog.objects.count()


def _subscribe(at: datetime) -> None:
    """Subscribe two accounts, monthly and yearly; the third stays on the default plan."""
    for external_id, name in ACCOUNTS.items():
        accounts.create(external_id=external_id, at=at, name=name, timezone="UTC", anchor_day=1)
    for external_id, plan, cycle in ((ACME, "pro", "monthly"), (ORBIT, "basic", "yearly")):
        subscriptions.subscribe(_load_account(external_id), plan=plan, cycle=cycle, actor=ACTOR, at=at)
    meter = Meter.objects.get(slug="monthly_cost")
    for external_id, amount, hard, reason in BUDGETS:
        account = _load_account(external_id)
        override = LimitOverride(account=account, meter=meter, amount=amount, hard=hard, reason=reason)
        overrides.change(account, saved=[override], at=at)


def _record_month(caller: Caller, start: datetime, end: datetime, count: int) -> list[Result]:
    """Record the calls of a past month; Orbit's job runs at its start."""
    job = caller.contract_job(ORBIT, start + SECOND, MONTHLY_JOB_USD)
    return _record([job, *caller.events(caller.moments(start, end, count))], live=False)


def _record_current_month(caller: Caller, month: Period, at: datetime) -> list[Result]:
    """Record the calls up to `at`. Those of the last minutes are live calls, which provider health counts too."""
    start, count = month.starts_at, calls.current_month_calls(month.starts_at, month.ends_at, at)
    job = caller.contract_job(ORBIT, min(start + SECOND, at), MONTHLY_JOB_USD)
    earlier = caller.events(caller.moments(start, at, count - calls.LIVE_CALLS))
    live = caller.events(caller.moments(max(start, at - calls.LIVE_SPAN), at, calls.LIVE_CALLS))
    return [*_record([job, *earlier], live=False), *_record(list(live), live=True)]


def _record(raw: Sequence[dict[str, Any]], *, live: bool) -> list[Result]:
    """Record events in order of time, one batch per day, at the time of the day's last call."""
    source, results = EventSource(may_state_cost=True, any_age=True, live=live), list[Result]()
    for _, day in groupby(sorted(raw, key=_occurred), key=lambda event: _occurred(event).date()):
        batch = list(day)
        results += metering.record([events.parse(event) for event in batch], source=source, at=_occurred(batch[-1]))
    return results


def _occurred(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["occurred_at"])


def _end_month(month: Period, until: datetime) -> None:
    """Do what jobs and people do after a month, up to `until`: alerts, renewals, statements and payments.

    Each statement is paid one day before it is due.
    """
    alerts.sweep(month.ends_at - SECOND)
    alerts.mark_read(UsageAlert.objects.all(), month.ends_at - SECOND)
    subscriptions.renew_due(month.ends_at)
    closes_at = month.ends_at + timedelta(hours=settings.CLOSE_GRACE_HOURS) + statements.CLOSE_MARGIN
    if closes_at <= until:
        statements.close_due(closes_at)
    for statement in Statement.objects.filter(state=Statement.State.OPEN):
        if statement.due_at and statement.due_at - DAY <= until:
            statements.mark_paid(statement, actor=ACTOR, note="Demo: bank transfer", at=statement.due_at - DAY)


def _price_late_model(at: datetime) -> None:
    """Add the price of a model after its calls, and re-price these calls."""
    _set_late_price()
    choice = RepricingChoice(provider="openai", model=LATE_MODEL)
    batch = repricing.start(choice, reason="Demo: the price is now known", actor=ACTOR, at=at)
    for _ in repricing.run(batch, size=BATCH_SIZE, clock=lambda: at):
        pass


def _correct(months: Months, results: Sequence[Result], at: datetime) -> None:
    """Void a call of the current month and one of a closed month, and revert another void."""
    charged = sorted(
        (result.cost_nano, result.id) for result in results[-LATEST_CALLS:] if result.id and result.cost_nano
    )
    _void(charged[-1][1], "Demo: the answer was empty", at)
    adjustment = _void(charged[-2][1], "Demo: assumed duplicate", at)
    corrections.revert_adjustment(adjustment, reason="Demo: not a duplicate", actor=ACTOR, at=at)
    closed = UsageLog.objects.filter(
        account__external_id=ACME, usage_period=months.first.start, category=Category.VIDEO
    )
    _void(closed.order_by("-effective_nano", "timestamp")[0].id, "Demo: the video never arrived", at)


def _set_late_price() -> None:
    provider = Provider.objects.get(slug="openai")
    price = Price(
        provider=provider, pattern=LATE_MODEL, valid_from=date(2025, 1, 1), source="demonstration, not a real price"
    )
    rates = {"input_tokens": 2_500_000_000, "cached_input_tokens": 300_000_000, "output_tokens": 10_000_000_000}
    price_edits.add_revision(
        price=price, rates=[PriceRate(unit=unit, nano_per_million=nano) for unit, nano in rates.items()]
    )


def _void(log_id: UUID, reason: str, at: datetime) -> UsageAdjustment:
    log = UsageLog.objects.get(pk=log_id)
    corrections.void(log, reason=reason, actor=ACTOR, at=at)
    return UsageAdjustment.objects.get(account=log.account_id, log=log.pk)


def _load_account(external_id: str) -> Account:
    """Load the stored account, because changes of its configuration update its version."""
    return Account.objects.get(external_key=ids.lookup_key(external_id))


def _month_before(month: Period) -> Period:
    return usage_periods.period_from(CALENDAR_UTC, periods.previous_period_start(CALENDAR_UTC, month.start))
