"""Subscriptions: begun, moved, cancelled, resumed, renewed; every fee to the cent."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from billing.errors import Refused
from billing.models import Account, Plan, Subscription, SubscriptionEvent
from billing.plans import anchor_changes, plans, subscriptions
from lib.money import CENT, NANO
from tests.billing.subscribers import at, on, soft_plan
from tests.billing.usage import record

pytestmark = pytest.mark.django_db


def subscribe(account: Account, plan: str, when: str | datetime, cycle: str = "monthly") -> Subscription:
    moment = at(when) if isinstance(when, str) else when
    return subscriptions.subscribe(account, plan=plan, cycle=cycle, actor="test", at=moment)[0]


def plan_of(account: Account, when: str) -> str:
    account.refresh_from_db()
    return plans.of_account(account, at(when)).slug


def cents(one: Subscription) -> int:
    assert one.fee_nano % CENT == 0
    return one.fee_nano // CENT


def kinds(account: Account) -> list[str]:
    return list(SubscriptionEvent.objects.filter(account=account).order_by("id").values_list("kind", flat=True))


@pytest.mark.parametrize(
    ("anchor", "zone", "when", "cycle", "days", "fee", "period"),
    [
        (1, "UTC", "2026-11-01T00:00", "monthly", None, 2900, ("2026-11-01", "2026-12-01")),
        (1, "UTC", "2026-11-22T12:00", "monthly", "2026-11-22", 870, ("2026-11-01", "2026-12-01")),  # 9 of 30
        (1, "UTC", "2026-11-30T23:59:59", "monthly", "2026-11-30", 97, ("2026-11-01", "2026-12-01")),  # 1 of 30: 96.67
        (1, "UTC", "2026-12-15T12:00", "monthly", "2026-12-15", 1590, ("2026-12-01", "2027-01-01")),  # 17 of 31: 1590.3
        (1, "UTC", "2027-02-15T12:00", "monthly", "2027-02-15", 1450, ("2027-02-01", "2027-03-01")),  # 14 of 28
        (1, "UTC", "2028-02-15T12:00", "monthly", "2028-02-15", 1500, ("2028-02-01", "2028-03-01")),  # 15 of 29
        (31, "UTC", "2027-02-27T12:00", "monthly", "2027-02-27", 104, ("2027-01-31", "2027-02-28")),  # 1 of 28: 103.57
        (31, "UTC", "2027-02-28T00:00", "monthly", None, 2900, ("2027-02-28", "2027-03-31")),
        # 25- and 23-hour days are days; the local date decides
        (1, "Europe/Berlin", "2026-10-31T23:00", "monthly", None, 2900, ("2026-11-01", "2026-12-01")),
        (1, "Europe/Berlin", "2026-10-31T22:59", "monthly", "2026-10-31", 94, ("2026-10-01", "2026-11-01")),  # 93.55
        (1, "Europe/Berlin", "2027-03-28T12:00", "monthly", "2027-03-28", 374, ("2027-03-01", "2027-04-01")),  # 4 of 31
        (1, "UTC", "2026-11-01T00:00", "yearly", None, 29000, ("2026-11-01", "2027-11-01")),
        (1, "UTC", "2026-11-22T12:00", "yearly", "2026-11-22", 27332, ("2026-11-01", "2027-11-01")),  # 344 of 365
        (1, "UTC", "2027-03-10T12:00", "yearly", "2027-03-10", 28287, ("2027-03-01", "2028-03-01")),  # 357 of 366
        (31, "UTC", "2027-02-28T12:00", "yearly", None, 29000, ("2027-02-28", "2028-02-29")),
    ],
)
def test_the_first_fee_is_for_the_days_that_are_left(
    account: Account, anchor: int, zone: str, when: str, cycle: str, days: str | None, fee: int, period: tuple[str, str]
) -> None:
    one = subscribe(on(account, anchor, zone), "basic", when, cycle)

    assert (str(one.period_start), str(one.period_end)) == period
    assert (cents(one), one.prorated_from) == (fee, date.fromisoformat(days) if days else None)
    event = SubscriptionEvent.objects.get()
    assert (event.kind, event.fee_nano, [part["nano"] for part in event.fee_lines]) == (
        "subscribed",
        one.fee_nano,
        [one.fee_nano],
    )
    account.refresh_from_db()
    assert (account.anchor_day, account.config_version) == (anchor, 2)


def test_half_a_cent_is_rounded_to_even(account: Account) -> None:
    soft_plan("odd", 1, monthly_usd=0)
    Plan.objects.filter(slug="odd").update(price_monthly_nano=30 * CENT // 2)  # 15 cents: half a cent a day
    plans.changed()

    assert [cents(subscribe(account, "odd", f"2026-11-{30 - left + 1:02d}")) for left in (1,)] == [0]
    subscriptions.cancel(account, actor="", at=at("2026-11-30T01:00"), at_once=True)
    assert cents(subscribe(account, "odd", "2027-04-28")) == 2  # 3 of 30 days: 1.5 cents


def test_an_upgrade_counts_at_once_and_is_prorated(account: Account) -> None:
    subscribe(account, "basic", "2026-11-01")
    one = subscribe(account, "pro", "2026-11-19T12:00")

    event = SubscriptionEvent.objects.latest("id")
    assert (event.kind, [(part["text"], part["nano"] // CENT) for part in event.fee_lines]) == (
        "upgraded",
        [
            ("Pro, monthly, 2026-11-19 to 2026-11-30, 12 of 30 days of $79.00", 3160),
            ("Not used: Basic, monthly, 2026-11-19 to 2026-11-30, 12 of 30 days of $29.00", -1160),
        ],
    )
    assert (cents(one), one.prorated_from, str(one.period_end)) == (2000, date(2026, 11, 19), "2026-12-01")
    assert plan_of(account, "2026-11-19T12:00") == "pro"


def test_a_year_instead_of_a_month_starts_a_year_and_gives_back_the_rest_of_the_month(account: Account) -> None:
    subscribe(account, "basic", "2026-11-01")
    one = subscribe(account, "basic", "2026-11-16", "yearly")

    assert [part["nano"] // CENT for part in SubscriptionEvent.objects.latest("id").fee_lines] == [27808, -1450]
    assert (cents(one), str(one.period_start), str(one.period_end)) == (26358, "2026-11-01", "2027-11-01")


def test_an_upgrade_within_a_year_keeps_its_end(account: Account) -> None:
    subscribe(account, "basic", "2026-01-01", "yearly")
    one = subscribe(account, "pro", "2026-07-02T08:00", "yearly")

    assert [part["nano"] // CENT for part in SubscriptionEvent.objects.latest("id").fee_lines] == [39608, -14540]
    assert (str(one.period_start), str(one.period_end)) == ("2026-01-01", "2027-01-01")


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        (("pro", "monthly"), ("basic", "monthly")),
        (("pro", "monthly"), ("basic", "yearly")),
        (("basic", "yearly"), ("basic", "monthly")),
        (("basic", "yearly"), ("pro", "monthly")),  # a shorter cycle never counts at once
        (("basic", "monthly"), ("free", "monthly")),
    ],
)
def test_a_downgrade_waits_for_the_end_of_the_cycle(
    account: Account, held: tuple[str, str], wanted: tuple[str, str]
) -> None:
    before = subscribe(account, held[0], "2026-11-01", held[1])
    one = subscribe(account, wanted[0], "2026-11-10", wanted[1])

    assert (one.plan_id, one.cycle, one.period_end, one.fee_nano) == (before.plan_id, held[1], before.period_end, 0)
    assert one.pending_plan_id == plans.current().latest[wanted[0]].id
    assert kinds(account) == ["subscribed", "planned"]
    end = one.renews_at
    account.refresh_from_db()
    assert plans.of_account(account, end.replace(year=end.year - 1)).slug == held[0]
    assert plans.of_account(account, end).slug == wanted[0]  # before any job has run

    assert subscriptions.roll(end) == 1
    account.refresh_from_db()
    one = Subscription.objects.get()
    assert (plans.of_account(account, end).slug, one.cycle, one.pending_plan_id) == (wanted[0], wanted[1], None)
    assert kinds(account) == ["subscribed", "planned", "changed"]
    assert one.period_start == before.period_end


def test_what_is_there_already_stays_and_goes_on(account: Account) -> None:
    subscribe(account, "pro", "2026-11-01")
    assert subscribe(account, "pro", "2026-11-02").fee_nano == 79 * NANO
    assert kinds(account) == ["subscribed"]
    subscribe(account, "basic", "2026-11-03")
    one = subscribe(account, "pro", "2026-11-04")

    assert (one.pending_plan_id, one.auto_renew) == (None, True)
    assert kinds(account) == ["subscribed", "planned", "resumed"]


def test_a_cancelled_subscription_ends_with_its_cycle(account: Account) -> None:
    subscribe(account, "pro", "2026-11-01")
    for _ in range(2):  # a second time changes nothing
        one = subscriptions.cancel(account, actor="test", at=at("2026-11-10"))
        assert (one.status, one.auto_renew) == ("active", False)
    assert kinds(account) == ["subscribed", "cancel_planned"]
    assert [plan_of(account, when) for when in ("2026-11-30T23:59:59", "2026-12-01")] == ["pro", "free"]

    assert [subscriptions.roll(at("2026-12-01")), subscriptions.roll(at("2026-12-01"))] == [1, 0]
    assert kinds(account) == ["subscribed", "cancel_planned", "cancelled"]
    assert plan_of(account, "2026-12-01") == "free"
    with pytest.raises(Refused, match="no subscription"):
        subscriptions.cancel(account, actor="test", at=at("2026-12-02"))
    again = subscribe(account, "basic", "2026-12-17")
    assert (cents(again), kinds(account)[-1]) == (1403, "subscribed")  # 15 of 31 days: 1403.23


def test_a_cancellation_is_taken_back(account: Account) -> None:
    subscribe(account, "pro", "2026-11-01")
    subscriptions.cancel(account, actor="test", at=at("2026-11-10"))
    subscriptions.resume(account, actor="test", at=at("2026-11-11"))

    subscriptions.roll(at("2026-12-01"))
    assert kinds(account) == ["subscribed", "cancel_planned", "resumed", "renewed"]
    assert plan_of(account, "2026-12-05") == "pro"


def test_staff_may_end_it_at_once(account: Account) -> None:
    subscribe(account, "pro", "2026-11-01")
    subscriptions.cancel(account, actor="staff", at=at("2026-11-10T10:00"), at_once=True, reason="asked for it")

    assert plan_of(account, "2026-11-10T10:00") == "free"
    event = SubscriptionEvent.objects.latest("id")
    assert (event.kind, event.actor, event.reason, event.fee_nano) == ("cancelled", "staff", "asked for it", 0)


def test_a_job_that_was_away_renews_every_month_that_it_missed(account: Account) -> None:
    on(account, 31)
    subscribe(account, "basic", "2026-12-31")
    assert subscriptions.roll(at("2027-04-02")) == 1

    renewals = SubscriptionEvent.objects.filter(kind="renewed").order_by("id")
    assert [(str(one.period_start), str(one.billed_in), one.fee_nano // CENT) for one in renewals] == [
        ("2027-01-31", "2027-01-31", 2900),
        ("2027-02-28", "2027-02-28", 2900),
        ("2027-03-31", "2027-03-31", 2900),
    ]
    assert [str(one.effective_at.date()) for one in renewals] == ["2027-01-31", "2027-02-28", "2027-03-31"]
    assert subscriptions.roll(at("2027-04-02")) == 0


def test_a_renewal_takes_the_newest_version_and_notes_what_was_used(account: Account) -> None:
    soft_plan("team", 5)
    subscribe(account, "team", "2026-11-01")
    record(account, at("2026-11-05"), {"cost_usd": "1.25", "usage": {"input_tokens": 7}})
    soft_plan("team", 5, monthly_usd=12)
    assert plan_of(account, "2026-11-10") == "team"
    assert plans.of_account(account, at("2026-11-10")).version == 1
    subscriptions.roll(at("2026-12-01"))

    account.refresh_from_db()
    event = SubscriptionEvent.objects.latest("id")
    assert (plans.of_account(account, at("2026-12-01")).version, event.fee_nano) == (2, 12 * NANO)
    assert event.usage == {"calls": 1, "tokens": 7, "cost_nano": 1_250_000_000}


def test_an_unknown_or_withdrawn_plan_is_refused_and_nothing_changes(account: Account) -> None:
    plan = soft_plan("gone", 1)
    Plan.objects.filter(pk=plan.pk).update(active=False)
    plans.changed()
    for slug in ("gone", "never"):
        with pytest.raises(Refused) as refused:
            subscribe(account, slug, "2026-11-01")
        assert (refused.value.code, refused.value.attr) == ("unknown_plan", "plan")
    assert (Subscription.objects.count(), SubscriptionEvent.objects.count()) == (0, 0)


def test_a_change_of_anchor_moves_the_end_of_the_running_cycle(account: Account) -> None:
    subscribe(account, "basic", "2026-11-01")
    begins = anchor_changes.change(account, anchor_day=20, timezone="Europe/Berlin", at=at("2026-11-10"))

    one = Subscription.objects.get()
    assert (str(begins), str(one.period_end), one.renews_at) == ("2026-12-20", "2026-12-20", at("2026-12-19T23:00"))
    subscriptions.roll(at("2026-12-20"))
    assert str(Subscription.objects.get().period_end) == "2027-01-20"


def test_a_yearly_cycle_ends_a_year_on_also_after_a_change_of_anchor(account: Account) -> None:
    subscribe(account, "basic", "2026-11-01", "yearly")
    anchor_changes.change(account, anchor_day=20, timezone="UTC", at=at("2027-02-10"))

    assert str(Subscription.objects.get().period_end) == "2027-11-20"
