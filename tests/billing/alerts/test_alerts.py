"""Alerts: each threshold once per account, period, meter and cap; what raises them, and what does not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.accounts import accounts
from billing.alerts import alerts, deliveries
from billing.corrections import corrections
from billing.models import Account, AlertSweepState, Delivery, Per, UsageAdjustment, UsageAlert
from billing.plans import subscriptions
from lib import ids
from lib.money import NANO
from tests.billing.caps import cap, override
from tests.billing.subscribers import on, soft_plan
from tests.billing.usage import record
from tests.frozen_clock import Clock

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
START = date(2026, 11, 1)
ENOUGH = timedelta(days=30)


@pytest.fixture(autouse=True)
def no_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep takes only what came after the one before, so that a test sees what makes an account due."""
    monkeypatch.setattr(alerts, "OVERLAP", timedelta(0))


def video(*ids: str) -> list[dict[str, Any]]:
    return [{"event_id": one, "provider": "video", "cost_usd": "0.1"} for one in ids]


def spend(usd: str, event_id: str = "spent") -> dict[str, Any]:
    return {"event_id": event_id, "cost_usd": usd}


def raised(account: Account, meter: str = "monthly_cost") -> list[tuple[int, int, int]]:
    """Threshold, cap and use of each alert, in the order in which they were raised."""
    found = UsageAlert.objects.filter(account=account, meter=meter).order_by("id")
    return list(found.values_list("threshold", "cap", "used"))


@pytest.mark.parametrize(
    ("usd", "thresholds"),
    [
        ("0.499999999", []),
        ("0.5", [50]),
        ("0.799999999", [50]),
        ("0.8", [50, 80]),
        ("0.95", [50, 80, 95]),
        ("0.999999999", [50, 80, 95]),
        ("1", [50, 80, 95, 100]),
        ("7", [50, 80, 95, 100]),
    ],
)
def test_cost_alerts_at_50_80_95_and_100_per_cent(account: Account, usd: str, thresholds: list[int]) -> None:
    cap({"monthly_cost": NANO})
    record(account, NOW - timedelta(days=21, hours=11), spend(usd))  # younger than a day: nothing is projected

    assert alerts.sweep(NOW - timedelta(days=21, hours=11)) == (1, len(thresholds))
    assert [threshold for threshold, _, _ in raised(account)] == thresholds


def test_other_meters_alert_at_80_and_100_per_cent(account: Account) -> None:
    cap({"video_calls": 5})
    seen = []
    for number in range(6):
        record(account, NOW, *video(f"v{number}"))
        alerts.sweep(NOW)
        seen.append([threshold for threshold, _, _ in raised(account, "video_calls") if threshold])

    assert seen == [[], [], [], [80], [80, 100], [80, 100]]


def test_the_percents_are_settings(account: Account, settings: Any) -> None:
    settings.ALERT_COST_PERCENTS, settings.ALERT_PERCENTS = (10,), ()
    cap({"monthly_cost": NANO, "openai_calls": 1})
    record(account, NOW, spend("0.1"))
    alerts.sweep(NOW)

    assert list(UsageAlert.objects.exclude(threshold=0).values_list("meter", "threshold")) == [("monthly_cost", 10)]


@pytest.mark.parametrize("amount", [None, 0])
def test_what_is_unlimited_or_not_allowed_never_alerts(account: Account, amount: int | None) -> None:
    cap({"monthly_cost": amount})
    record(account, NOW, spend("5"))

    assert alerts.sweep(NOW).alerts == 0


def test_a_soft_limit_alerts_as_well(account: Account) -> None:
    cap({"monthly_cost": NANO}, hard=False)
    record(account, NOW, spend("1"))
    alerts.sweep(NOW)

    assert [threshold for threshold, _, _ in raised(account)] == [50, 80, 95, 100]


def test_an_alert_tells_what_stood_when_it_was_raised(account: Account) -> None:
    cap({"monthly_cost": 25 * NANO})
    record(account, NOW, spend("12.5"))
    alerts.sweep(NOW)

    one = UsageAlert.objects.get(threshold=50)
    assert (one.account, one.period, one.meter, one.label, one.unit) == (
        account,
        START,
        "monthly_cost",
        "Monthly cost",
        "cost",
    )
    assert (one.cap, one.used, one.raised_at, one.read_at) == (25 * NANO, 12_500_000_000, NOW, None)


def test_a_second_sweep_raises_nothing(account: Account) -> None:
    cap({"monthly_cost": NANO})
    record(account, NOW, spend("1"))
    first = alerts.sweep(NOW).alerts

    assert first == 4
    assert alerts.sweep(NOW + timedelta(seconds=30)).alerts == 0


def test_a_void_back_below_takes_nothing_back_and_the_way_up_again_raises_nothing(account: Account) -> None:
    cap({"monthly_cost": NANO})
    (log,) = record(account, NOW, spend("0.8"))
    alerts.sweep(NOW)
    corrections.void(log, reason="wrong", actor="", at=NOW)
    assert alerts.sweep(NOW).alerts == 0
    record(account, NOW, spend("0.9", "again"))

    assert alerts.sweep(NOW).alerts == 0
    assert [threshold for threshold, _, _ in raised(account) if threshold] == [50, 80]


def test_a_correction_that_makes_it_dearer_alerts(account: Account, clock: Clock) -> None:
    cap({"monthly_cost": NANO})
    (log,) = record(account, NOW, spend("0.5"))
    corrections.void(log, reason="wrong", actor="", at=NOW)
    assert alerts.sweep(NOW).alerts == 0
    adjustment = UsageAdjustment.objects.get()
    forget(clock)
    corrections.revert_one(adjustment, reason="right after all", actor="", at=NOW)
    alerts.sweep(NOW)

    assert [threshold for threshold, _, _ in raised(account) if threshold] == [50]


def forget(clock: Clock) -> None:
    """As if the last sweep were later than all that was recorded up to here."""
    clock.shift(0.002)  # ids are told apart by the millisecond
    AlertSweepState.objects.update(sweep=ids.new_id())


def test_a_raised_limit_lets_the_same_thresholds_alert_again(account: Account) -> None:
    cap({"monthly_cost": NANO})
    record(account, NOW, spend("0.8"))
    alerts.sweep(NOW)
    override(account, "monthly_cost", 10 * NANO)
    assert [one for one in raised(account) if one[1] == 10 * NANO] == []
    record(account, NOW, spend("4.2", "more"))
    alerts.sweep(NOW)

    assert [one for one in raised(account) if one[0]] == [
        (50, NANO, 800_000_000),
        (80, NANO, 800_000_000),
        (50, 10 * NANO, 5 * NANO),
    ]


def test_a_lowered_limit_alerts_without_any_new_usage(account: Account, clock: Clock) -> None:
    cap({"monthly_cost": 10 * NANO})
    record(account, NOW, spend("0.8"))
    alerts.sweep(NOW)
    forget(clock)
    override(account, "monthly_cost", NANO)
    alerts.sweep(NOW)

    assert [one[:2] for one in raised(account) if one[0]] == [(50, NANO), (80, NANO)]


def test_a_new_version_of_the_default_plan_alerts_without_any_new_usage(account: Account, clock: Clock) -> None:
    cap({"monthly_cost": 10 * NANO})
    record(account, NOW, spend("0.8"))
    alerts.sweep(NOW)
    forget(clock)
    cap({"monthly_cost": NANO})
    alerts.sweep(NOW)

    assert [one[:2] for one in raised(account) if one[0]] == [(50, NANO), (80, NANO)]


def test_a_new_period_alerts_anew(account: Account) -> None:
    cap({"monthly_cost": NANO})
    record(account, NOW, spend("0.5"))
    alerts.sweep(NOW)
    later = NOW + ENOUGH
    record(account, later, spend("0.5", "next"))
    alerts.sweep(later)

    found = UsageAlert.objects.filter(threshold=50).order_by("id")
    assert [one.period for one in found] == [START, date(2026, 12, 1)]


def test_a_daily_limit_alerts_every_day_under_its_own_key(account: Account) -> None:
    cap({"video_calls": 1}, per=Per.DAY)
    for day in range(2):
        at = NOW + timedelta(days=day)
        record(account, at, *video(f"v{day}"))
        alerts.sweep(at)

    found = UsageAlert.objects.order_by("id").values_list("meter", "period", "threshold")
    assert list(found) == [
        ("video_calls_per_day", date(2026, 11, day), threshold) for day in (22, 23) for threshold in (80, 100)
    ]


def test_usage_of_the_last_minute_of_a_period_alerts_in_that_period(account: Account) -> None:
    """Under the plan that the account had then, also where another one has begun."""
    cap({"monthly_cost": NANO})
    soft_plan("team", 100)
    subscriptions.subscribe(account, plan="team", cycle="monthly", actor="", at=NOW)
    subscriptions.cancel(account, actor="", at=NOW)
    midnight = datetime(2026, 12, 1, tzinfo=UTC)
    record(account, midnight - timedelta(seconds=10), spend("50"))
    alerts.sweep(midnight + timedelta(seconds=20))

    assert raised(account) == [(50, 100 * NANO, 50 * NANO)]
    assert UsageAlert.objects.get().period == START


def test_projected_to_exceed_is_told_once_a_day_has_passed(account: Account) -> None:
    cap({"monthly_cost": 30 * NANO})
    first = datetime(2026, 11, 1, tzinfo=UTC)
    record(account, first, spend("1.1"))

    assert alerts.sweep(first + timedelta(days=1, seconds=-1)).alerts == 0
    AlertSweepState.objects.update(sweep=ids.earlier(ids.new_id(), 2 * alerts.UNSEEN))
    assert alerts.sweep(first + timedelta(days=1)).alerts == 1
    one = UsageAlert.objects.get()
    assert (one.threshold, one.used, one.projected) == (0, 1_100_000_000, 33 * NANO)
    assert alerts.sweep(first + timedelta(days=2)).alerts == 0


def test_exactly_the_limit_at_this_rate_is_not_above_it(account: Account) -> None:
    cap({"monthly_cost": 30 * NANO})
    first = datetime(2026, 11, 1, tzinfo=UTC)
    record(account, first, spend("1"))

    assert alerts.sweep(first + timedelta(days=1)).alerts == 0


def test_what_is_exceeded_is_not_projected(account: Account) -> None:
    cap({"monthly_cost": NANO})
    record(account, NOW, spend("1"))
    alerts.sweep(NOW)

    assert [threshold for threshold, _, _ in raised(account)] == [50, 80, 95, 100]


def test_history_before_billed_from_never_alerts(account: Account) -> None:
    on(account, billed_from="2026-12-01")
    cap({"monthly_cost": NANO})
    record(account, NOW, spend("5"))

    assert alerts.sweep(NOW).alerts == 0


def test_usage_of_a_period_that_is_over_does_not_alert_in_this_one(account: Account) -> None:
    cap({"monthly_cost": NANO})
    record(account, NOW, {**spend("5"), "occurred_at": "2026-09-15T00:00:00Z"})

    assert alerts.sweep(NOW).alerts == 0


def test_a_deactivated_account_is_left_alone(account: Account) -> None:
    cap({"monthly_cost": NANO})
    record(account, NOW, spend("5"))
    Account.objects.update(active=False)

    assert alerts.sweep(NOW) == (0, 0)


def test_only_accounts_with_something_new_are_looked_at(account: Account, clock: Clock) -> None:
    accounts.ensure([f"quiet-{number}" for number in range(5)], at=NOW)
    assert alerts.sweep(NOW).accounts == 6
    assert alerts.sweep(NOW).accounts == 0
    record(account, NOW, spend("1"))
    clock.shift(1)

    assert alerts.sweep(NOW).accounts == 1
    assert alerts.sweep(NOW).accounts == 0


def test_a_log_that_was_seen_later_than_its_id_was_made_is_not_missed(
    account: Account, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    cap({"monthly_cost": NANO})
    record(account, NOW, spend("1"))  # as if its transaction had ended only after the sweep
    forget(clock)
    alerts.sweep(NOW)
    UsageAlert.objects.all().delete()
    assert alerts.sweep(NOW).accounts == 0
    monkeypatch.setattr(alerts, "OVERLAP", timedelta(minutes=2))

    assert alerts.sweep(NOW) == (1, 4)


def test_every_account_is_looked_at_once_an_hour(account: Account) -> None:
    alerts.sweep(NOW)
    assert alerts.sweep(NOW).accounts == 0
    AlertSweepState.objects.update(sweep=ids.earlier(ids.new_id(), 2 * alerts.UNSEEN))

    assert alerts.sweep(NOW).accounts == 1


def test_a_sweep_that_was_killed_is_repeated_in_full(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """The marks are written last: what it had looked at is due again, and what it had raised is not raised twice."""
    cap({"monthly_cost": NANO})
    accounts.ensure(["second"], at=NOW)
    record(account, NOW, spend("1"))

    def killed(_marks: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(alerts, "_remember", killed)
        with pytest.raises(KeyboardInterrupt):
            alerts.sweep(NOW)
    assert UsageAlert.objects.count() == 4

    assert alerts.sweep(NOW) == (2, 0)


def test_an_account_without_alerts_costs_one_query(account: Account) -> None:
    names = [f"quiet-{number}" for number in range(20)]
    accounts.ensure(names, at=NOW)
    counts = []
    for due in (names[:10], names):
        alerts.sweep(NOW)
        old = ids.earlier(ids.new_id(), 2 * alerts.UNSEEN)
        AlertSweepState.objects.filter(account__external_id__in=due).update(sweep=old)
        with CaptureQueriesContext(connection) as queries:
            assert alerts.sweep(NOW).accounts == len(due)
        counts.append(len(queries))

    assert counts[1] - counts[0] == 10


def test_thresholds_that_are_crossed_together_are_told_by_the_highest(account: Account, settings: Any) -> None:
    settings.ALERT_EMAILS = ["operator@example.com"]
    cap({"monthly_cost": NANO})
    record(account, NOW, spend("0.9"))
    alerts.sweep(NOW)

    sent = Delivery.objects.order_by("alert__threshold").values_list("alert__threshold", "email")
    assert list(sent) == [(0, "operator@example.com"), (80, "operator@example.com")]


def test_an_alert_and_its_deliveries_are_stored_together_or_not_at_all(
    account: Account, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ALERT_EMAILS = ["operator@example.com"]
    cap({"monthly_cost": NANO})
    record(account, NOW, spend("1"))

    def fails(*_args: object) -> None:
        raise RuntimeError("no more room")

    with monkeypatch.context() as patch:
        patch.setattr(deliveries, "_addresses", fails)
        with pytest.raises(RuntimeError):
            alerts.sweep(NOW)
    assert (UsageAlert.objects.count(), Delivery.objects.count()) == (0, 0)

    assert alerts.sweep(NOW).alerts == 4
    assert Delivery.objects.count() == 1
