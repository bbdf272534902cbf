"""Alerts: raised once per account, period, meter, limit and threshold; what raises them and what does not."""

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
from tests.billing.plan_limits import override_limit, set_limits
from tests.billing.subscribers import create_soft_plan, set_billing_anchor
from tests.billing.usage import record
from tests.frozen_clock import Clock

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(NOON)]
PERIOD_START = date(2026, 11, 1)
INTO_NEXT_PERIOD = timedelta(days=30)


@pytest.fixture(autouse=True)
def no_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps do not overlap, so that tests show what makes an account due."""
    monkeypatch.setattr(alerts, "MAX_COMMIT_DELAY", timedelta(0))


def video_calls(*event_ids: str) -> list[dict[str, Any]]:
    return [{"event_id": event_id, "provider": "video", "cost_usd": "0.1"} for event_id in event_ids]


def call_costing(usd: str, event_id: str = "spent") -> dict[str, Any]:
    return {"event_id": event_id, "cost_usd": usd}


def raised_alerts(account: Account, meter: str = "monthly_cost") -> list[tuple[int, int, int]]:
    """Threshold, cap and usage of each alert, in the order in which they were raised."""
    rows = UsageAlert.objects.filter(account=account, meter=meter).order_by("id")
    return list(rows.values_list("threshold", "cap", "used"))


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
def test_cost_alerts_at_50_80_95_and_100_percent(account: Account, usd: str, thresholds: list[int]) -> None:
    set_limits({"monthly_cost": NANO})
    record(account, NOON - timedelta(days=21, hours=11), call_costing(usd))  # younger than a day: nothing is projected

    assert alerts.sweep(NOON - timedelta(days=21, hours=11)) == (1, len(thresholds))
    assert [threshold for threshold, _, _ in raised_alerts(account)] == thresholds


def test_other_meters_alert_at_80_and_100_percent(account: Account) -> None:
    set_limits({"video_calls": 5})
    thresholds_by_call = []
    for number in range(6):
        record(account, NOON, *video_calls(f"v{number}"))
        alerts.sweep(NOON)
        thresholds_by_call.append([threshold for threshold, _, _ in raised_alerts(account, "video_calls") if threshold])

    assert thresholds_by_call == [[], [], [], [80], [80, 100], [80, 100]]


def test_the_thresholds_are_settings(account: Account, settings: Any) -> None:
    settings.ALERT_COST_PERCENTS, settings.ALERT_PERCENTS = (10,), ()
    set_limits({"monthly_cost": NANO, "openai_calls": 1})
    record(account, NOON, call_costing("0.1"))
    alerts.sweep(NOON)

    assert list(UsageAlert.objects.exclude(threshold=0).values_list("meter", "threshold")) == [("monthly_cost", 10)]


@pytest.mark.parametrize("amount", [None, 0])
def test_unlimited_and_disallowed_meters_never_alert(account: Account, amount: int | None) -> None:
    set_limits({"monthly_cost": amount})
    record(account, NOON, call_costing("5"))

    assert alerts.sweep(NOON).alerts == 0


def test_a_soft_limit_alerts_too(account: Account) -> None:
    set_limits({"monthly_cost": NANO}, hard=False)
    record(account, NOON, call_costing("1"))
    alerts.sweep(NOON)

    assert [threshold for threshold, _, _ in raised_alerts(account)] == [50, 80, 95, 100]


def test_an_alert_stores_the_limit_and_the_usage_when_it_was_raised(account: Account) -> None:
    set_limits({"monthly_cost": 25 * NANO})
    record(account, NOON, call_costing("12.5"))
    alerts.sweep(NOON)

    alert = UsageAlert.objects.get(threshold=50)
    assert (alert.account, alert.period, alert.meter) == (account, PERIOD_START, "monthly_cost")
    assert (alert.label, alert.unit) == ("Monthly cost", "cost")
    assert (alert.cap, alert.used, alert.raised_at, alert.read_at) == (25 * NANO, 12_500_000_000, NOON, None)


def test_a_second_sweep_raises_nothing(account: Account) -> None:
    set_limits({"monthly_cost": NANO})
    record(account, NOON, call_costing("1"))
    first = alerts.sweep(NOON).alerts

    assert first == 4
    assert alerts.sweep(NOON + timedelta(seconds=30)).alerts == 0


def test_a_void_withdraws_no_alerts_and_reaching_the_threshold_again_raises_none(account: Account) -> None:
    set_limits({"monthly_cost": NANO})
    (log,) = record(account, NOON, call_costing("0.8"))
    alerts.sweep(NOON)
    corrections.void(log, reason="wrong", actor="", at=NOON)
    assert alerts.sweep(NOON).alerts == 0
    record(account, NOON, call_costing("0.9", "again"))

    assert alerts.sweep(NOON).alerts == 0
    assert [threshold for threshold, _, _ in raised_alerts(account) if threshold] == [50, 80]


def test_a_correction_that_raises_the_cost_alerts(account: Account, clock: Clock) -> None:
    set_limits({"monthly_cost": NANO})
    (log,) = record(account, NOON, call_costing("0.5"))
    corrections.void(log, reason="wrong", actor="", at=NOON)
    assert alerts.sweep(NOON).alerts == 0
    adjustment = UsageAdjustment.objects.get()
    mark_all_as_swept(clock)
    corrections.revert_adjustment(adjustment, reason="right after all", actor="", at=NOON)
    alerts.sweep(NOON)

    assert [threshold for threshold, _, _ in raised_alerts(account) if threshold] == [50]


def mark_all_as_swept(clock: Clock) -> None:
    """Moves the position of the last sweep past everything recorded so far."""
    clock.shift(0.002)  # ids are ordered by the millisecond
    AlertSweepState.objects.update(sweep=ids.new_id())


def test_a_raised_limit_lets_the_same_thresholds_alert_again(account: Account) -> None:
    set_limits({"monthly_cost": NANO})
    record(account, NOON, call_costing("0.8"))
    alerts.sweep(NOON)
    override_limit(account, "monthly_cost", 10 * NANO)
    assert [alert for alert in raised_alerts(account) if alert[1] == 10 * NANO] == []
    record(account, NOON, call_costing("4.2", "more"))
    alerts.sweep(NOON)

    assert [alert for alert in raised_alerts(account) if alert[0]] == [
        (50, NANO, 800_000_000),
        (80, NANO, 800_000_000),
        (50, 10 * NANO, 5 * NANO),
    ]


def test_a_lowered_limit_alerts_without_new_usage(account: Account, clock: Clock) -> None:
    set_limits({"monthly_cost": 10 * NANO})
    record(account, NOON, call_costing("0.8"))
    alerts.sweep(NOON)
    mark_all_as_swept(clock)
    override_limit(account, "monthly_cost", NANO)
    alerts.sweep(NOON)

    assert [alert[:2] for alert in raised_alerts(account) if alert[0]] == [(50, NANO), (80, NANO)]


def test_a_new_version_of_the_default_plan_alerts_without_new_usage(account: Account, clock: Clock) -> None:
    set_limits({"monthly_cost": 10 * NANO})
    record(account, NOON, call_costing("0.8"))
    alerts.sweep(NOON)
    mark_all_as_swept(clock)
    set_limits({"monthly_cost": NANO})
    alerts.sweep(NOON)

    assert [alert[:2] for alert in raised_alerts(account) if alert[0]] == [(50, NANO), (80, NANO)]


def test_a_new_period_alerts_again(account: Account) -> None:
    set_limits({"monthly_cost": NANO})
    record(account, NOON, call_costing("0.5"))
    alerts.sweep(NOON)
    later = NOON + INTO_NEXT_PERIOD
    record(account, later, call_costing("0.5", "next"))
    alerts.sweep(later)

    rows = UsageAlert.objects.filter(threshold=50).order_by("id")
    assert [alert.period for alert in rows] == [PERIOD_START, date(2026, 12, 1)]


def test_a_daily_limit_alerts_every_day_under_its_own_key(account: Account) -> None:
    set_limits({"video_calls": 1}, per=Per.DAY)
    for day in range(2):
        at = NOON + timedelta(days=day)
        record(account, at, *video_calls(f"v{day}"))
        alerts.sweep(at)

    rows = UsageAlert.objects.order_by("id").values_list("meter", "period", "threshold")
    assert list(rows) == [
        ("video_calls_per_day", date(2026, 11, day), threshold) for day in (22, 23) for threshold in (80, 100)
    ]


def test_usage_of_the_last_minute_of_a_period_alerts_in_that_period(account: Account) -> None:
    """The limit is that of the plan at that time, even if another plan has started since."""
    set_limits({"monthly_cost": NANO})
    create_soft_plan("team", 100)
    subscriptions.subscribe(account, plan="team", cycle="monthly", actor="", at=NOON)
    subscriptions.cancel(account, actor="", at=NOON)
    midnight = datetime(2026, 12, 1, tzinfo=UTC)
    record(account, midnight - timedelta(seconds=10), call_costing("50"))
    alerts.sweep(midnight + timedelta(seconds=20))

    assert raised_alerts(account) == [(50, 100 * NANO, 50 * NANO)]
    assert UsageAlert.objects.get().period == PERIOD_START


def test_a_projected_excess_alerts_once_after_the_first_day(account: Account) -> None:
    set_limits({"monthly_cost": 30 * NANO})
    first = datetime(2026, 11, 1, tzinfo=UTC)
    record(account, first, call_costing("1.1"))

    assert alerts.sweep(first + timedelta(days=1, seconds=-1)).alerts == 0
    AlertSweepState.objects.update(sweep=ids.min_id_before(ids.new_id(), 2 * alerts.RECHECK_AFTER))
    assert alerts.sweep(first + timedelta(days=1)).alerts == 1
    alert = UsageAlert.objects.get()
    assert (alert.threshold, alert.used, alert.projected) == (0, 1_100_000_000, 33 * NANO)
    assert alerts.sweep(first + timedelta(days=2)).alerts == 0


def test_a_projection_equal_to_the_limit_does_not_alert(account: Account) -> None:
    set_limits({"monthly_cost": 30 * NANO})
    first = datetime(2026, 11, 1, tzinfo=UTC)
    record(account, first, call_costing("1"))

    assert alerts.sweep(first + timedelta(days=1)).alerts == 0


def test_an_exceeded_limit_has_no_projected_alert(account: Account) -> None:
    set_limits({"monthly_cost": NANO})
    record(account, NOON, call_costing("1"))
    alerts.sweep(NOON)

    assert [threshold for threshold, _, _ in raised_alerts(account)] == [50, 80, 95, 100]


def test_history_before_billed_from_never_alerts(account: Account) -> None:
    set_billing_anchor(account, billed_from="2026-12-01")
    set_limits({"monthly_cost": NANO})
    record(account, NOON, call_costing("5"))

    assert alerts.sweep(NOON).alerts == 0


def test_usage_of_a_past_period_does_not_alert_in_the_current_one(account: Account) -> None:
    set_limits({"monthly_cost": NANO})
    record(account, NOON, {**call_costing("5"), "occurred_at": "2026-09-15T00:00:00Z"})

    assert alerts.sweep(NOON).alerts == 0


def test_a_deactivated_account_is_not_swept(account: Account) -> None:
    set_limits({"monthly_cost": NANO})
    record(account, NOON, call_costing("5"))
    Account.objects.update(active=False)

    assert alerts.sweep(NOON) == (0, 0)


def test_only_accounts_with_changes_are_swept(account: Account, clock: Clock) -> None:
    accounts.ensure([f"quiet-{number}" for number in range(5)], at=NOON)
    assert alerts.sweep(NOON).accounts == 6
    assert alerts.sweep(NOON).accounts == 0
    record(account, NOON, call_costing("1"))
    clock.shift(1)

    assert alerts.sweep(NOON).accounts == 1
    assert alerts.sweep(NOON).accounts == 0


def test_a_log_that_was_committed_after_a_sweep_is_not_missed(
    account: Account, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    set_limits({"monthly_cost": NANO})
    record(account, NOON, call_costing("1"))  # as if its transaction committed after the next sweep
    mark_all_as_swept(clock)
    alerts.sweep(NOON)
    UsageAlert.objects.all().delete()
    assert alerts.sweep(NOON).accounts == 0
    monkeypatch.setattr(alerts, "MAX_COMMIT_DELAY", timedelta(minutes=2))

    assert alerts.sweep(NOON) == (1, 4)


def test_every_account_is_swept_once_an_hour(account: Account) -> None:
    alerts.sweep(NOON)
    assert alerts.sweep(NOON).accounts == 0
    AlertSweepState.objects.update(sweep=ids.min_id_before(ids.new_id(), 2 * alerts.RECHECK_AFTER))

    assert alerts.sweep(NOON).accounts == 1


def test_a_killed_sweep_is_repeated_in_full(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweep states are saved last, so all accounts are due again. Alerts already raised are not raised twice."""
    set_limits({"monthly_cost": NANO})
    accounts.ensure(["second"], at=NOON)
    record(account, NOON, call_costing("1"))

    def raise_interrupt(_states: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(alerts, "_save_sweep_states", raise_interrupt)
        with pytest.raises(KeyboardInterrupt):
            alerts.sweep(NOON)
    assert UsageAlert.objects.count() == 4

    assert alerts.sweep(NOON) == (2, 0)


def test_an_account_without_alerts_costs_one_query(account: Account) -> None:
    names = [f"quiet-{number}" for number in range(20)]
    accounts.ensure(names, at=NOON)
    counts = []
    for due_names in (names[:10], names):
        alerts.sweep(NOON)
        old = ids.min_id_before(ids.new_id(), 2 * alerts.RECHECK_AFTER)
        AlertSweepState.objects.filter(account__external_id__in=due_names).update(sweep=old)
        with CaptureQueriesContext(connection) as queries:
            assert alerts.sweep(NOON).accounts == len(due_names)
        counts.append(len(queries))

    assert counts[1] - counts[0] == 10


def test_of_thresholds_crossed_together_only_the_highest_is_sent(account: Account, settings: Any) -> None:
    settings.ALERT_EMAILS = ["operator@example.com"]
    set_limits({"monthly_cost": NANO})
    record(account, NOON, call_costing("0.9"))
    alerts.sweep(NOON)

    sent = Delivery.objects.order_by("alert__threshold").values_list("alert__threshold", "email")
    assert list(sent) == [(0, "operator@example.com"), (80, "operator@example.com")]


def test_an_alert_and_its_deliveries_are_stored_together_or_not_at_all(
    account: Account, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ALERT_EMAILS = ["operator@example.com"]
    set_limits({"monthly_cost": NANO})
    record(account, NOON, call_costing("1"))

    def raise_error(*_args: object) -> None:
        raise RuntimeError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(deliveries, "_addresses", raise_error)
        problems: list[str] = []
        assert alerts.sweep(NOON, problems) == (0, 0)
    assert problems == ["acct_42: RuntimeError: disk full"]
    assert (UsageAlert.objects.count(), Delivery.objects.count()) == (0, 0)

    assert alerts.sweep(NOON).alerts == 4
    assert Delivery.objects.count() == 1
