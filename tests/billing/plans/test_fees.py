"""Fees of a cycle whose end moves, and of days that are paid already: each day at one price, paid once."""

from __future__ import annotations

import pytest

from billing.models import Account, Subscription, SubscriptionEvent
from billing.plans import anchor_changes, subscriptions
from billing.statements import statements
from lib.money import CENT
from tests.billing.subscribers import create_soft_plan, set_billing_anchor
from tests.frozen_clock import utc

pytestmark = pytest.mark.django_db

Events = list[tuple[str, list[tuple[str, int]]]]


@pytest.fixture
def dollar_a_day(account: Account) -> Account:
    """An account, and plans of 31 and 62 USD a month."""
    create_soft_plan("day", 5, monthly_usd=31)
    create_soft_plan("two", 5, monthly_usd=62)
    return account


def subscribe(account: Account, plan: str, when: str, cycle: str = "monthly") -> Subscription:
    return subscriptions.subscribe(account, plan=plan, cycle=cycle, actor="test", at=utc(when))[0]


def cancel_now(account: Account, when: str) -> None:
    subscriptions.cancel(account, actor="test", at=utc(when), immediately=True)


def move(account: Account, anchor_day: int, when: str, zone: str = "UTC") -> None:
    anchor_changes.change(account, anchor_day=anchor_day, timezone=zone, at=utc(when), actor="test")


def fee_lines() -> Events:
    """Kind, and texts and cents of the fee lines, of each event with a fee."""
    events = SubscriptionEvent.objects.exclude(fee_lines=[]).order_by("id")
    return [(event.kind, [(line["text"], line["nano"] // CENT) for line in event.fee_lines]) for event in events]


def total_cents() -> int:
    return sum(SubscriptionEvent.objects.values_list("fee_nano", flat=True)) // CENT


def test_a_month_that_is_cut_short_is_not_charged_in_full(dollar_a_day: Account) -> None:
    """62 USD for the time from 31 January to 1 March, that 32.11 are due for."""
    set_billing_anchor(dollar_a_day, 31)
    subscribe(dollar_a_day, "day", "2027-01-31")
    move(dollar_a_day, 1, "2027-01-31T12:00")
    subscriptions.renew_due(utc("2027-02-01"))

    assert fee_lines() == [
        ("subscribed", [("Day, monthly, 2027-01-31 to 2027-02-27", 3100)]),
        ("rescheduled", [("Unused: Day, monthly, 2027-02-01 to 2027-02-27, 27 of 28 days of $31.00", -2989)]),
        ("renewed", [("Day, monthly, 2027-02-01 to 2027-02-28", 3100)]),
    ]
    assert str(Subscription.objects.get().charged_until) == "2027-03-01"


def test_the_last_day_of_a_period_that_was_cut_short_costs_a_day(dollar_a_day: Account) -> None:
    """62 USD for two days."""
    set_billing_anchor(dollar_a_day, 31)
    move(dollar_a_day, 1, "2027-01-31T01:00")
    subscribe(dollar_a_day, "day", "2027-01-31T12:00")
    subscriptions.cancel(dollar_a_day, actor="", at=utc("2027-01-31T13:00"))
    move(dollar_a_day, 31, "2027-03-01T02:00")
    move(dollar_a_day, 1, "2027-03-31T02:00")
    subscribe(dollar_a_day, "day", "2027-03-31T12:00")

    assert fee_lines() == [
        ("subscribed", [("Day, monthly, 2027-01-31 to 2027-01-31, 1 of 28 days of $31.00", 111)]),
        ("subscribed", [("Day, monthly, 2027-03-31 to 2027-03-31, 1 of 31 days of $31.00", 100)]),
    ]


def test_an_upgrade_credits_no_more_than_was_charged(dollar_a_day: Account) -> None:
    """14.97 given back of 1.00 paid."""
    subscribe(dollar_a_day, "day", "2026-12-31")
    move(dollar_a_day, 29, "2026-12-31T01:00")
    subscribe(dollar_a_day, "two", "2026-12-31T02:00")

    assert fee_lines() == [
        ("subscribed", [("Day, monthly, 2026-12-31 to 2026-12-31, 1 of 31 days of $31.00", 100)]),
        ("rescheduled", [("Day, monthly, 2027-01-01 to 2027-01-28, 28 of 31 days of $31.00", 2800)]),
        (
            "upgraded",
            [
                ("Two, monthly, 2026-12-31 to 2027-01-28, 29 of 31 days of $62.00", 5800),
                ("Unused: Day, monthly, 2026-12-31 to 2027-01-28, 29 of 31 days of $31.00", -2900),
            ],
        ),
    ]
    assert total_cents() == 5800


def test_the_days_that_a_change_adds_are_charged(dollar_a_day: Account) -> None:
    """58 days for one month's fee."""
    set_billing_anchor(dollar_a_day, 2)
    subscribe(dollar_a_day, "day", "2027-01-02")
    move(dollar_a_day, 1, "2027-01-31T23:30")

    subscription, event = Subscription.objects.get(), SubscriptionEvent.objects.latest("id")
    assert (str(subscription.period_end), str(subscription.charged_until)) == ("2027-03-01", "2027-03-01")
    assert (event.kind, event.fee_nano // CENT, str(event.billed_in), event.actor, event.effective_at) == (
        "rescheduled",
        2700,
        "2027-01-02",
        "test",
        utc("2027-01-31T23:30"),
    )
    assert (event.plan_id, event.status, event.cycle) == (subscription.plan_id, "active", "monthly")
    assert total_cents() == 5800
    assert event.fee_lines == [
        {
            "text": "Day, monthly, 2027-02-02 to 2027-02-28, 27 of 31 days of $31.00",
            "nano": 2700 * CENT,
            "first": "2027-02-02",
            "end": "2027-03-01",
            "price_nano": 3100 * CENT,
            "cycle_days": 31,
            "credit": False,
        }
    ]


def test_the_statement_of_the_open_period_carries_the_fee_of_the_added_days(dollar_a_day: Account) -> None:
    set_billing_anchor(dollar_a_day, billed_from="2026-11-01")
    subscribe(dollar_a_day, "day", "2026-11-01")
    move(dollar_a_day, 20, "2026-11-10")
    statements.close_due(utc("2026-12-24"))

    (statement,) = dollar_a_day.statement_set.all()
    assert [(line["text"], line["nano"] // CENT) for line in statement.lines] == [
        ("Day, monthly, 2026-11-01 to 2026-11-30", 3100),
        ("Day, monthly, 2026-12-01 to 2026-12-19, 19 of 30 days of $31.00", 1963),
    ]


def test_a_yearly_cycle_is_settled_at_the_price_of_its_days(dollar_a_day: Account) -> None:
    set_billing_anchor(dollar_a_day, 20)
    subscribe(dollar_a_day, "day", "2026-11-20", "yearly")
    move(dollar_a_day, 25, "2026-12-01")
    move(dollar_a_day, 5, "2026-12-02")
    move(dollar_a_day, 20, "2026-12-03")

    assert [lines for _, lines in fee_lines()] == [
        [("Day, yearly, 2026-11-20 to 2027-11-19", 31000)],
        [("Day, yearly, 2027-11-20 to 2027-11-24, 5 of 365 days of $310.00", 425)],
        [("Unused: Day, yearly, 2027-11-05 to 2027-11-24, 20 of 365 days of $310.00", -1699)],
        [("Day, yearly, 2027-11-05 to 2027-11-19, 15 of 365 days of $310.00", 1274)],
    ]
    assert total_cents() == 31000


def test_an_end_that_stays_is_no_event(dollar_a_day: Account) -> None:
    subscribe(dollar_a_day, "day", "2026-11-10")
    move(dollar_a_day, 1, "2026-11-11", "Asia/Tokyo")

    subscription = Subscription.objects.get()
    assert (str(subscription.period_end), subscription.renews_at) == ("2026-12-01", utc("2026-11-30T15:00"))
    assert SubscriptionEvent.objects.count() == 1
    assert (subscription.fee_nano, str(subscription.prorated_from)) == (2170 * CENT, "2026-11-10")


def test_a_free_plan_moves_without_a_fee(account: Account) -> None:
    create_soft_plan("gratis", 5, monthly_usd=0)
    subscribe(account, "gratis", "2026-11-01")
    move(account, 20, "2026-11-10")
    move(account, 5, "2026-11-11")

    ends = [str(event.period_end) for event in SubscriptionEvent.objects.order_by("id")]
    assert (ends, fee_lines()) == (["2026-12-01", "2026-12-20", "2026-12-05"], [])
    assert str(Subscription.objects.get().charged_until) == "2026-12-05"


def test_a_scheduled_change_leaves_the_price_of_the_running_cycle(dollar_a_day: Account) -> None:
    subscribe(dollar_a_day, "two", "2026-11-01")
    subscribe(dollar_a_day, "day", "2026-11-05")
    move(dollar_a_day, 20, "2026-11-10")
    subscriptions.renew_due(utc("2026-12-20"))

    assert [(kind, lines[0][1]) for kind, lines in fee_lines()] == [
        ("subscribed", 6200),
        ("rescheduled", 3927),  # 19 of 30 days of 62 USD
        ("changed", 3100),
    ]


@pytest.mark.parametrize("suspended", [False, True])
def test_a_past_due_or_suspended_subscription_follows_its_account(dollar_a_day: Account, *, suspended: bool) -> None:
    set_billing_anchor(dollar_a_day, 20)
    subscribe(dollar_a_day, "day", "2026-11-20", "yearly")
    subscriptions.mark_past_due(dollar_a_day, utc("2026-12-01"))
    at = "2027-02-10" if suspended else "2026-12-02"
    move(dollar_a_day, 21, at)

    subscription = Subscription.objects.get()
    assert (subscription.status, str(subscription.period_end)) == (
        "suspended" if suspended else "past_due",
        "2027-11-21",
    )
    assert fee_lines()[1:] == [
        ("rescheduled", [("Day, yearly, 2027-11-20 to 2027-11-20, 1 of 365 days of $310.00", 85)])
    ]


def test_subscribing_again_after_an_immediate_cancellation_charges_no_day_twice(dollar_a_day: Account) -> None:
    subscribe(dollar_a_day, "day", "2026-11-01T10:00", "yearly")
    cancel_now(dollar_a_day, "2026-11-01T10:10")
    assert str(Subscription.objects.get().charged_until) == "2027-11-01"
    subscription = subscribe(dollar_a_day, "day", "2026-11-01T10:20", "yearly")

    assert fee_lines() == [
        ("subscribed", [("Day, yearly, 2026-11-01 to 2027-10-31", 31000)]),
        (
            "subscribed",
            [
                ("Day, yearly, 2026-11-01 to 2027-10-31", 31000),
                ("Already paid: 2026-11-01 to 2027-10-31", -31000),
            ],
        ),
    ]
    assert (subscription.fee_nano, subscription.status, str(subscription.charged_until)) == (0, "active", "2027-11-01")


def test_a_detour_over_a_cheaper_plan_refunds_no_cancellation_and_forgets_no_paid_day(dollar_a_day: Account) -> None:
    subscribe(dollar_a_day, "two", "2026-11-01", "yearly")  # 620 USD for 365 days: 1.70 a day
    cancel_now(dollar_a_day, "2026-11-11")
    subscribe(dollar_a_day, "day", "2026-11-11")  # 1.03 a day
    subscriptions.renew_due(utc("2026-12-01"))
    subscribe(dollar_a_day, "two", "2026-12-11")  # 2.00 a day
    cancel_now(dollar_a_day, "2026-12-12")
    subscribe(dollar_a_day, "two", "2026-12-12", "yearly")

    assert fee_lines()[1:] == [
        (
            "subscribed",
            [
                ("Day, monthly, 2026-11-11 to 2026-11-30, 20 of 30 days of $31.00", 2067),
                ("Already paid: 2026-11-11 to 2026-11-30, 20 of 30 days of $31.00", -2067),
            ],
        ),
        (
            "renewed",
            [("Day, monthly, 2026-12-01 to 2026-12-31", 3100), ("Already paid: 2026-12-01 to 2026-12-31", -3100)],
        ),
        (
            "upgraded",
            [
                ("Two, monthly, 2026-12-11 to 2026-12-31, 21 of 31 days of $62.00", 4200),
                ("Already paid: 2026-12-11 to 2026-12-31, 21 of 365 days of $620.00", -3567),
            ],
        ),
        (
            "subscribed",
            [
                ("Two, yearly, 2026-12-12 to 2027-11-30, 354 of 365 days of $620.00", 60132),
                ("Already paid: 2026-12-12 to 2027-10-31, 324 of 365 days of $620.00", -55036),
            ],
        ),
    ]


def forget_facts() -> None:
    """The fee lines as releases before this one stored them, and the column as the migration fills it."""
    for event in SubscriptionEvent.objects.all():
        event.fee_lines = [{"text": line["text"], "nano": line["nano"]} for line in event.fee_lines]
        event.save(update_fields=["fee_lines"])


def test_fees_of_an_earlier_release_count_as_paid(dollar_a_day: Account) -> None:
    subscribe(dollar_a_day, "day", "2026-11-01", "yearly")
    subscribe(dollar_a_day, "two", "2026-11-11", "yearly")
    forget_facts()
    subscribe(dollar_a_day, "two", "2026-11-21")  # a change at the end of the year
    cancel_now(dollar_a_day, "2026-11-21")
    subscribe(dollar_a_day, "two", "2026-11-21", "yearly")
    move(dollar_a_day, 3, "2026-11-22")

    assert [(kind, [cents for _, cents in lines]) for kind, lines in fee_lines()[2:]] == [
        ("subscribed", [58603, -58603]),  # 345 of 365 days
        ("rescheduled", [340]),
    ]


def test_an_end_that_an_earlier_release_moved_without_a_fee_is_settled_as_far_as_it_was_charged(
    dollar_a_day: Account,
) -> None:
    subscribe(dollar_a_day, "day", "2026-12-31")
    forget_facts()
    move(dollar_a_day, 29, "2026-12-31T01:00")
    SubscriptionEvent.objects.filter(kind="rescheduled").delete()
    Subscription.objects.update(charged_until="2027-01-01")
    subscribe(dollar_a_day, "two", "2026-12-31T02:00")

    assert fee_lines()[-1] == (
        "upgraded",
        [
            ("Two, monthly, 2026-12-31 to 2027-01-28, 29 of 31 days of $62.00", 5800),
            ("Unused: Day, monthly, 2026-12-31 to 2026-12-31, 1 of 31 days of $31.00", -100),
        ],
    )
