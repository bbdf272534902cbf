"""Starting, changing, cancelling, resuming and renewing subscriptions; every fee exact to the cent."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from billing.errors import Refused
from billing.models import Account, Plan, Subscription, SubscriptionEvent
from billing.plans import anchor_changes, plans, subscriptions
from lib.money import CENT, NANO
from tests.billing.subscribers import create_soft_plan, set_billing_anchor
from tests.billing.usage import record
from tests.frozen_clock import utc

pytestmark = pytest.mark.django_db


def subscribe(account: Account, plan: str, when: str | datetime, cycle: str = "monthly") -> Subscription:
    moment = utc(when) if isinstance(when, str) else when
    return subscriptions.subscribe(account, plan=plan, cycle=cycle, actor="test", at=moment)[0]


def plan_of(account: Account, when: str) -> str:
    account.refresh_from_db()
    return plans.for_account(account, utc(when)).slug


def fee_cents(subscription: Subscription) -> int:
    assert subscription.fee_nano % CENT == 0
    return subscription.fee_nano // CENT


def event_kinds(account: Account) -> list[str]:
    return list(SubscriptionEvent.objects.filter(account=account).order_by("id").values_list("kind", flat=True))


@pytest.mark.parametrize(
    ("anchor", "zone", "when", "cycle", "prorated_from", "fee", "period"),
    [
        (1, "UTC", "2026-11-01T00:00", "monthly", None, 2900, ("2026-11-01", "2026-12-01")),
        (1, "UTC", "2026-11-22T12:00", "monthly", "2026-11-22", 870, ("2026-11-01", "2026-12-01")),  # 9 of 30
        (1, "UTC", "2026-11-30T23:59:59", "monthly", "2026-11-30", 97, ("2026-11-01", "2026-12-01")),  # 1 of 30: 96.67
        (1, "UTC", "2026-12-15T12:00", "monthly", "2026-12-15", 1590, ("2026-12-01", "2027-01-01")),  # 17 of 31: 1590.3
        (1, "UTC", "2027-02-15T12:00", "monthly", "2027-02-15", 1450, ("2027-02-01", "2027-03-01")),  # 14 of 28
        (1, "UTC", "2028-02-15T12:00", "monthly", "2028-02-15", 1500, ("2028-02-01", "2028-03-01")),  # 15 of 29
        (31, "UTC", "2027-02-27T12:00", "monthly", "2027-02-27", 104, ("2027-01-31", "2027-02-28")),  # 1 of 28: 103.57
        (31, "UTC", "2027-02-28T00:00", "monthly", None, 2900, ("2027-02-28", "2027-03-31")),
        # 25- and 23-hour days count as one day each: the local date decides
        (1, "Europe/Berlin", "2026-10-31T23:00", "monthly", None, 2900, ("2026-11-01", "2026-12-01")),
        (1, "Europe/Berlin", "2026-10-31T22:59", "monthly", "2026-10-31", 94, ("2026-10-01", "2026-11-01")),  # 93.55
        (1, "Europe/Berlin", "2027-03-28T12:00", "monthly", "2027-03-28", 374, ("2027-03-01", "2027-04-01")),  # 4 of 31
        (1, "UTC", "2026-11-01T00:00", "yearly", None, 29000, ("2026-11-01", "2027-11-01")),
        (1, "UTC", "2026-11-22T12:00", "yearly", "2026-11-22", 27332, ("2026-11-01", "2027-11-01")),  # 344 of 365
        (1, "UTC", "2027-03-10T12:00", "yearly", "2027-03-10", 28287, ("2027-03-01", "2028-03-01")),  # 357 of 366
        (31, "UTC", "2027-02-28T12:00", "yearly", None, 29000, ("2027-02-28", "2028-02-29")),
    ],
)
def test_the_first_fee_covers_the_remaining_days(
    account: Account,
    anchor: int,
    zone: str,
    when: str,
    cycle: str,
    prorated_from: str | None,
    fee: int,
    period: tuple[str, str],
) -> None:
    subscription = subscribe(set_billing_anchor(account, anchor, zone), "basic", when, cycle)

    assert (str(subscription.period_start), str(subscription.period_end)) == period
    assert (fee_cents(subscription), subscription.prorated_from) == (
        fee,
        date.fromisoformat(prorated_from) if prorated_from else None,
    )
    event = SubscriptionEvent.objects.get()
    assert (event.kind, event.fee_nano, [part["nano"] for part in event.fee_lines]) == (
        "subscribed",
        subscription.fee_nano,
        [subscription.fee_nano],
    )
    account.refresh_from_db()
    assert (account.anchor_day, account.config_version) == (anchor, 2)


def test_half_a_cent_is_rounded_to_even(account: Account) -> None:
    create_soft_plan("odd", 1, monthly_usd=0)
    Plan.objects.filter(slug="odd").update(price_monthly_nano=30 * CENT // 2)  # 15 cents a month: half a cent a day
    plans.invalidate()

    assert fee_cents(subscribe(account, "odd", "2026-11-30")) == 0  # 1 of 30 days: 0.5 cents
    subscriptions.cancel(account, actor="", at=utc("2026-11-30T01:00"), immediately=True)
    assert fee_cents(subscribe(account, "odd", "2027-04-28")) == 2  # 3 of 30 days: 1.5 cents


def test_an_upgrade_takes_effect_immediately_and_is_prorated(account: Account) -> None:
    subscribe(account, "basic", "2026-11-01")
    subscription = subscribe(account, "pro", "2026-11-19T12:00")

    event = SubscriptionEvent.objects.latest("id")
    assert (event.kind, [(part["text"], part["nano"] // CENT) for part in event.fee_lines]) == (
        "upgraded",
        [
            ("Pro, monthly, 2026-11-19 to 2026-11-30, 12 of 30 days of $79.00", 3160),
            ("Unused: Basic, monthly, 2026-11-19 to 2026-11-30, 12 of 30 days of $29.00", -1160),
        ],
    )
    assert (fee_cents(subscription), subscription.prorated_from, str(subscription.period_end)) == (
        2000,
        date(2026, 11, 19),
        "2026-12-01",
    )
    assert plan_of(account, "2026-11-19T12:00") == "pro"


def test_changing_from_monthly_to_yearly_starts_a_year_and_credits_the_rest_of_the_month(account: Account) -> None:
    subscribe(account, "basic", "2026-11-01")
    subscription = subscribe(account, "basic", "2026-11-16", "yearly")

    assert [part["nano"] // CENT for part in SubscriptionEvent.objects.latest("id").fee_lines] == [27808, -1450]
    assert (fee_cents(subscription), str(subscription.period_start), str(subscription.period_end)) == (
        26358,
        "2026-11-01",
        "2027-11-01",
    )


def test_an_upgrade_within_a_yearly_cycle_keeps_the_end_of_the_cycle(account: Account) -> None:
    subscribe(account, "basic", "2026-01-01", "yearly")
    subscription = subscribe(account, "pro", "2026-07-02T08:00", "yearly")

    assert [part["nano"] // CENT for part in SubscriptionEvent.objects.latest("id").fee_lines] == [39608, -14540]
    assert (str(subscription.period_start), str(subscription.period_end)) == ("2026-01-01", "2027-01-01")


@pytest.mark.parametrize(
    ("current", "target"),
    [
        (("pro", "monthly"), ("basic", "monthly")),
        (("pro", "monthly"), ("basic", "yearly")),
        (("basic", "yearly"), ("basic", "monthly")),
        (("basic", "yearly"), ("pro", "monthly")),  # a shorter cycle never takes effect immediately
        (("basic", "monthly"), ("free", "monthly")),
    ],
)
def test_a_downgrade_waits_for_the_end_of_the_cycle(
    account: Account, current: tuple[str, str], target: tuple[str, str]
) -> None:
    before = subscribe(account, current[0], "2026-11-01", current[1])
    subscription = subscribe(account, target[0], "2026-11-10", target[1])

    assert (subscription.plan_id, subscription.cycle, subscription.period_end, subscription.fee_nano) == (
        before.plan_id,
        current[1],
        before.period_end,
        0,
    )
    assert subscription.pending_plan_id == plans.current().latest[target[0]].id
    assert event_kinds(account) == ["subscribed", "planned"]
    end = subscription.renews_at
    account.refresh_from_db()
    assert plans.for_account(account, end.replace(year=end.year - 1)).slug == current[0]
    assert plans.for_account(account, end).slug == target[0]  # before any job has run

    assert subscriptions.renew_due(end) == 1
    account.refresh_from_db()
    subscription = Subscription.objects.get()
    assert (plans.for_account(account, end).slug, subscription.cycle, subscription.pending_plan_id) == (
        target[0],
        target[1],
        None,
    )
    assert event_kinds(account) == ["subscribed", "planned", "changed"]
    assert subscription.period_start == before.period_end


def test_subscribing_to_the_current_plan_again_cancels_a_pending_change(account: Account) -> None:
    subscribe(account, "pro", "2026-11-01")
    assert subscribe(account, "pro", "2026-11-02").fee_nano == 79 * NANO
    assert event_kinds(account) == ["subscribed"]
    subscribe(account, "basic", "2026-11-03")
    subscription = subscribe(account, "pro", "2026-11-04")

    assert (subscription.pending_plan_id, subscription.auto_renew) == (None, True)
    assert event_kinds(account) == ["subscribed", "planned", "resumed"]


def test_a_cancelled_subscription_ends_with_its_cycle(account: Account) -> None:
    subscribe(account, "pro", "2026-11-01")
    for _ in range(2):  # the second cancellation changes nothing
        subscription = subscriptions.cancel(account, actor="test", at=utc("2026-11-10"))
        assert (subscription.status, subscription.auto_renew) == ("active", False)
    assert event_kinds(account) == ["subscribed", "cancel_planned"]
    assert [plan_of(account, when) for when in ("2026-11-30T23:59:59", "2026-12-01")] == ["pro", "free"]

    assert [subscriptions.renew_due(utc("2026-12-01")), subscriptions.renew_due(utc("2026-12-01"))] == [1, 0]
    assert event_kinds(account) == ["subscribed", "cancel_planned", "cancelled"]
    assert plan_of(account, "2026-12-01") == "free"
    with pytest.raises(Refused, match="no subscription"):
        subscriptions.cancel(account, actor="test", at=utc("2026-12-02"))
    resubscribed = subscribe(account, "basic", "2026-12-17")
    assert (fee_cents(resubscribed), event_kinds(account)[-1]) == (1403, "subscribed")  # 15 of 31 days: 1403.23


def test_resuming_undoes_a_cancellation(account: Account) -> None:
    subscribe(account, "pro", "2026-11-01")
    subscriptions.cancel(account, actor="test", at=utc("2026-11-10"))
    subscriptions.resume(account, actor="test", at=utc("2026-11-11"))

    subscriptions.renew_due(utc("2026-12-01"))
    assert event_kinds(account) == ["subscribed", "cancel_planned", "resumed", "renewed"]
    assert plan_of(account, "2026-12-05") == "pro"


def test_staff_may_cancel_immediately(account: Account) -> None:
    subscribe(account, "pro", "2026-11-01")
    subscriptions.cancel(
        account, actor="staff", at=utc("2026-11-10T10:00"), immediately=True, reason="customer request"
    )

    assert plan_of(account, "2026-11-10T10:00") == "free"
    event = SubscriptionEvent.objects.latest("id")
    assert (event.kind, event.actor, event.reason, event.fee_nano) == ("cancelled", "staff", "customer request", 0)


def test_a_renewal_job_catches_up_on_every_missed_month(account: Account) -> None:
    set_billing_anchor(account, 31)
    subscribe(account, "basic", "2026-12-31")
    assert subscriptions.renew_due(utc("2027-04-02")) == 1

    renewals = SubscriptionEvent.objects.filter(kind="renewed").order_by("id")
    assert [(str(event.period_start), str(event.billed_in), event.fee_nano // CENT) for event in renewals] == [
        ("2027-01-31", "2027-01-31", 2900),
        ("2027-02-28", "2027-02-28", 2900),
        ("2027-03-31", "2027-03-31", 2900),
    ]
    assert [str(event.effective_at.date()) for event in renewals] == ["2027-01-31", "2027-02-28", "2027-03-31"]
    assert subscriptions.renew_due(utc("2027-04-02")) == 0


def test_a_renewal_uses_the_newest_plan_version_and_stores_the_usage(account: Account) -> None:
    create_soft_plan("team", 5)
    subscribe(account, "team", "2026-11-01")
    record(account, utc("2026-11-05"), {"cost_usd": "1.25", "usage": {"input_tokens": 7}})
    create_soft_plan("team", 5, monthly_usd=12)
    assert plan_of(account, "2026-11-10") == "team"
    assert plans.for_account(account, utc("2026-11-10")).version == 1
    subscriptions.renew_due(utc("2026-12-01"))

    account.refresh_from_db()
    event = SubscriptionEvent.objects.latest("id")
    assert (plans.for_account(account, utc("2026-12-01")).version, event.fee_nano) == (2, 12 * NANO)
    assert event.usage == {"calls": 1, "tokens": 7, "cost_nano": 1_250_000_000}


def test_an_unknown_or_withdrawn_plan_is_refused_and_nothing_changes(account: Account) -> None:
    plan = create_soft_plan("withdrawn", 1)
    Plan.objects.filter(pk=plan.pk).update(active=False)
    plans.invalidate()
    for slug in ("withdrawn", "unknown"):
        with pytest.raises(Refused) as refused:
            subscribe(account, slug, "2026-11-01")
        assert (refused.value.code, refused.value.attr) == ("unknown_plan", "plan")
    assert (Subscription.objects.count(), SubscriptionEvent.objects.count()) == (0, 0)


def test_an_anchor_change_moves_the_end_of_the_current_cycle(account: Account) -> None:
    subscribe(account, "basic", "2026-11-01")
    effective = anchor_changes.change(account, anchor_day=20, timezone="Europe/Berlin", at=utc("2026-11-10"))

    subscription = Subscription.objects.get()
    assert (str(effective), str(subscription.period_end), subscription.renews_at) == (
        "2026-12-20",
        "2026-12-20",
        utc("2026-12-19T23:00"),
    )
    subscriptions.renew_due(utc("2026-12-20"))
    assert str(Subscription.objects.get().period_end) == "2027-01-20"


def test_a_yearly_cycle_still_lasts_a_year_after_an_anchor_change(account: Account) -> None:
    subscribe(account, "basic", "2026-11-01", "yearly")
    anchor_changes.change(account, anchor_day=20, timezone="UTC", at=utc("2027-02-10"))

    assert str(Subscription.objects.get().period_end) == "2027-11-20"
