"""Over any changes of subscription and schedule, fees equal days times daily price; compared with a model in plain Python."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from django.db import transaction

from billing.accounts import accounts
from billing.errors import Refused
from billing.models import Account, Plan, Subscription, SubscriptionEvent
from billing.plans import anchor_changes, plans, subscriptions
from lib import money, periods
from lib.money import CENT
from tests.billing.subscribers import create_soft_plan
from tests.frozen_clock import utc

pytestmark = pytest.mark.django_db

SEQUENCES = int(os.environ.get("PROOF_EXAMPLES", "50")) // 5


@dataclass
class Model:
    """Per local day the price that was charged for it, and whether the running subscription did; by the events' dates alone."""

    account: Account
    anchors: list[tuple[date, int]] = field(default_factory=list)  # first day, anchor day
    days: dict[date, tuple[Fraction, bool]] = field(default_factory=dict)
    cycle_end: date = date.min
    event_count: int = 0
    line_count: int = 0

    def change_anchor(self, first_day: date, anchor_day: int) -> None:
        self.anchors = [(day, anchor) for day, anchor in self.anchors if day < first_day] + [(first_day, anchor_day)]

    def daily_price(self, event: SubscriptionEvent) -> Fraction:
        """The price of a cycle of one month or year on the anchor day that held at its start, divided by its days."""
        start = event.period_start
        (*_, anchor_day) = (anchor for day, anchor in self.anchors if day <= start)
        if event.cycle == "yearly":
            return Fraction(
                event.plan.price_yearly_nano, (_anchor_date(start.year + 1, start.month, anchor_day) - start).days
            )
        year, month = (start.year + 1, 1) if start.month == 12 else (start.year, start.month + 1)
        return Fraction(event.plan.price_monthly_nano, (_anchor_date(year, month, anchor_day) - start).days)

    def follow(self) -> None:
        events = SubscriptionEvent.objects.filter(account=self.account).select_related("plan").order_by("id")
        for event in events[self.event_count :]:
            self.apply(event)
            self.event_count += 1
            self.line_count += len(event.fee_lines)

    def apply(self, event: SubscriptionEvent) -> None:
        today = periods.local_day(Account.objects.get(pk=self.account.pk).schedule, event.recorded_at)
        price = self.daily_price(event)
        if event.kind in ("subscribed", "upgraded"):
            self.charge(today, event.period_end, price, replace=event.kind == "upgraded")
        elif event.kind in ("renewed", "changed"):
            self.charge(event.period_start, event.period_end, price)
        elif event.kind == "rescheduled":
            self.charge(self.cycle_end, event.period_end, price)
            for day in [day for day, (_, running) in self.days.items() if day >= event.period_end and running]:
                del self.days[day]
        elif event.kind == "cancelled":
            self.days = {day: (price, False) for day, (price, _) in self.days.items()}
        self.cycle_end = event.period_end

    def charge(self, first: date, end: date, price: Fraction, *, replace: bool = False) -> None:
        for number in range(first.toordinal(), end.toordinal()):
            paid, running = self.days.get(date.fromordinal(number), (Fraction(0), False))
            if price and (price >= paid or (replace and running)):
                self.days[date.fromordinal(number)] = (price, True)

    def check(self) -> None:
        fees = sum(SubscriptionEvent.objects.filter(account=self.account).values_list("fee_nano", flat=True))
        assert abs(sum((price for price, _ in self.days.values()), Fraction(0)) - fees) <= CENT * self.line_count
        subscription = Subscription.objects.filter(account=self.account).first()
        if subscription is not None and subscription.status != "cancelled":
            paid_until = max((day + periods.DAY for day in self.days), default=date.min)
            assert subscription.charged_until == max(paid_until, subscription.period_end)


def _anchor_date(year: int, month: int, anchor_day: int) -> date:
    following = date(year + month // 12, month % 12 + 1, 1)
    return date(year, month, min(anchor_day, (following - periods.DAY).day))


def check_lines(account: Account) -> None:
    """Every line's amount is what its own facts give, and every event's fee is the sum of its lines."""
    for event in SubscriptionEvent.objects.filter(account=account):
        for line in event.fee_lines:
            days = (date.fromisoformat(line["end"]) - date.fromisoformat(line["first"])).days
            nano = money.divide_half_even(line["price_nano"] * days, line["cycle_days"] * CENT) * CENT
            assert (line["nano"], days > 0) == (-nano if line["credit"] else nano, True)
        assert event.fee_nano == sum(line["nano"] for line in event.fee_lines)
        assert event.fee_nano >= 0 or event.kind in ("upgraded", "rescheduled")


def run_sequence(rng: random.Random) -> None:
    account = accounts.build(
        external_id=f"fuzz{rng.random()}", at=utc("2026-01-01"), anchor_day=rng.choice([1, 15, 31])
    )
    account.save(force_insert=True)
    model, at = Model(account), utc("2026-01-01")
    model.change_anchor(date.min, account.anchor_day)
    for _ in range(15):
        at += (
            rng.choice([timedelta(minutes=5), timedelta(days=1), timedelta(days=12), timedelta(days=45)]) * rng.random()
        )
        for moment in [at - timedelta(hours=1)] * (rng.random() < 0.5):
            subscriptions.renew_due(moment)
        model.follow()
        change_something(rng, account, model, at)
        model.follow()
        model.check()
    subscriptions.renew_due(at + timedelta(days=200))
    model.follow()
    model.check()
    check_lines(account)


def change_something(rng: random.Random, account: Account, model: Model, at: datetime) -> None:
    by: dict[str, Any] = {"actor": "", "at": at}
    step = rng.choice(
        ["subscribe", "subscribe", "subscribe", "move", "move", "cancel", "end", "resume", "late", "paid"]
    )
    try:
        if step == "subscribe":
            slug, cycle = rng.choice(["day", "two", "odd", "gratis"]), rng.choice(["monthly", "yearly"])
            subscriptions.subscribe(account, plan=slug, cycle=cycle, **by)
        elif step == "move":
            anchor_day, zone = rng.choice([1, 2, 15, 28, 30, 31]), rng.choice(["UTC", "Asia/Tokyo", "Pacific/Niue"])
            subscriptions.renew_due(at)
            model.follow()
            model.change_anchor(anchor_changes.change(account, anchor_day=anchor_day, timezone=zone, at=at), anchor_day)
        elif step in ("cancel", "end"):
            subscriptions.cancel(account, immediately=step == "end", **by)
        elif step == "resume":
            subscriptions.resume(account, **by)
        elif step == "late":
            subscriptions.mark_past_due(account, at)
        else:
            subscriptions.reinstate(account, **by)
    except Refused:
        pass


def test_over_any_sequence_of_changes_fees_equal_days_times_daily_price(db: None) -> None:
    for slug, monthly_usd in (("day", 31), ("two", 62), ("gratis", 0), ("odd", 7)):
        create_soft_plan(slug, 5, monthly_usd=monthly_usd)
    Plan.objects.filter(slug="odd").update(price_monthly_nano=777 * CENT, price_yearly_nano=9_999 * CENT)
    plans.invalidate()
    for number in range(SEQUENCES):
        with transaction.atomic():
            try:
                run_sequence(random.Random(number))
            except AssertionError as error:
                raise AssertionError(f"sequence {number}") from error
            transaction.set_rollback(True)
