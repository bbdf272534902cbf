"""A changed anchor or zone: usage, reports and limits go by the schedule of their time, and the past stays."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command

from billing.accounts import usage_periods
from billing.limits import limits
from billing.models import Account, UsageDay, UsageLog
from billing.plans import anchor_changes
from lib import periods
from lib.periods import Schedule
from tests.billing.subscribers import at, on
from tests.billing.usage import record
from tests.conftest import Api
from tests.frozen_clock import Clock

pytestmark = pytest.mark.django_db


def change(account: Account, anchor_day: int, zone: str, when: str) -> str:
    return str(anchor_changes.change(account, anchor_day=anchor_day, timezone=zone, at=at(when)))


def use(account: Account, name: str, when: str) -> UsageLog:
    (log,) = record(account, at(when), {"event_id": name, "cost_usd": "1"})
    return log


def summary(api: Api, period: str) -> dict[str, Any]:
    body: dict[str, Any] = api.get("usage/summary/", period=period).json()
    return body


def test_a_change_says_when_it_takes_effect_and_counts_for_every_worker(account: Account) -> None:
    assert change(account, 20, "Asia/Tokyo", "2026-11-22") == "2026-12-20"

    assert (account.anchor_day, account.timezone, account.config_version) == (20, "Asia/Tokyo", 2)
    assert str(anchor_changes.takes_effect(account, at("2027-02-01"))) == "2027-01-20"
    stored = Account.objects.get()
    assert stored.schedule == periods.changed(Schedule(), 20, "Asia/Tokyo", at("2026-11-22"))


def test_a_wish_that_is_there_already_changes_no_period(account: Account) -> None:
    assert change(account, 1, "UTC", "2026-11-22") == "2026-11-01"
    assert account.earlier_schedules == ""


def test_a_second_wish_replaces_one_that_is_to_come(account: Account) -> None:
    change(account, 20, "UTC", "2026-11-22")
    assert change(account, 5, "UTC", "2026-11-23") == "2026-12-05"
    assert change(account, 1, "UTC", "2026-11-24") == "2026-11-01"
    assert account.earlier_schedules == ""


def test_a_boundary_within_the_hour_counts_as_past(account: Account) -> None:
    """What is being recorded has read the schedule that was: it must not disagree with the new one."""
    assert change(account, 1, "Asia/Tokyo", "2026-11-30T14:00") == "2026-12-01"  # 15:00 UTC
    on(account)
    Account.objects.update(earlier_schedules="")
    account.refresh_from_db()
    assert change(account, 1, "Asia/Tokyo", "2026-11-30T14:00:01") == "2027-01-01"


def test_usage_counts_by_the_schedule_of_its_time(account: Account, bound: Api, clock: Clock) -> None:
    on(account, billed_from="2026-11-01")
    use(account, "first", "2026-11-10")
    change(account, 20, "Asia/Tokyo", "2026-11-22")
    last, following = use(account, "last", "2026-12-19T14:59:59"), use(account, "next", "2026-12-19T15:00")

    assert [(str(log.usage_period), str(log.usage_day)) for log in (last, following)] == [
        ("2026-11-01", "2026-12-19"),
        ("2026-12-20", "2026-12-20"),
    ]
    clock.move_to(at("2026-12-21"))
    november, december = summary(bound, "2026-11"), summary(bound, "2026-12")
    assert [(one["total_calls"], one["starts_at"], one["ends_at"]) for one in (november, december)] == [
        (2, "2026-11-01T00:00:00Z", "2026-12-19T15:00:00Z"),
        (1, "2026-12-19T15:00:00Z", "2027-01-19T15:00:00Z"),
    ]
    assert bound.get("usage/summary/").json()["period"] == "2026-12"
    assert bound.get("usage/logs/", period="2026-11").json()["results"][0]["event_id"] == "last"
    call_command("verify_ledger")


def test_a_month_without_a_period_of_its_own_is_refused(account: Account, bound: Api) -> None:
    on(account, anchor_day=20)
    change(account, 5, "UTC", "2026-02-10")

    assert bound.get("usage/summary/", period="2026-02").status_code == 422
    assert bound.get("usage/summary/", period="2026-03").json()["starts_at"] == "2026-03-05T00:00:00Z"


def test_days_of_the_old_zone_go_on_until_the_new_ones_first_midnight(account: Account) -> None:
    on(account, timezone="Pacific/Kiritimati", billed_from="2026-11-01")  # 14 hours ahead
    change(account, 1, "Pacific/Niue", "2026-11-22")  # 11 hours behind: 30 November has 49 hours
    for number, moment in enumerate(
        ("2026-11-29T10:00", "2026-11-30T10:00", "2026-12-01T10:59:59", "2026-12-01T11:00")
    ):
        use(account, f"e{number}", moment)

    days = UsageDay.objects.order_by("day").values_list("day", "calls")
    assert [(str(day), calls) for day, calls in days] == [("2026-11-30", 3), ("2026-12-01", 1)]


def test_limits_reset_on_the_new_boundary(account: Account, bound: Api, clock: Clock) -> None:
    change(account, 20, "Asia/Tokyo", "2026-11-22")
    clock.move_to(at("2026-11-23"))

    (reset,) = {one["resets_at"] for one in bound.get("accounts/acct_42/").json()["meters"]}
    assert reset == "2026-12-19T15:00:00Z"
    assert limits.window(account, at("2026-11-23")).end == date(2026, 12, 20)


def test_reports_step_over_the_change(account: Account) -> None:
    on(account, anchor_day=20, billed_from="2026-01-20")
    change(account, 5, "UTC", "2026-02-10")

    running = usage_periods.current_period(account, at("2026-03-04T23:59"))
    assert (str(running.start), str(running.end), running.name) == ("2026-01-20", "2026-03-05", "2026-01")
    march = usage_periods.current_period(account, at("2026-03-05"))
    assert periods.previous_start(account.schedule, march.start) == running.start


def test_a_late_event_of_the_time_before_the_change_is_late_for_its_period(account: Account) -> None:
    on(account, billed_from="2026-11-01")
    change(account, 20, "UTC", "2026-11-22")
    closes = at("2026-12-20") + timedelta(hours=72)
    late = [_late(account, closes - timedelta(microseconds=1)), _late(account, closes)]

    assert [(str(log.usage_period), log.late_for) for log in late] == [
        ("2026-11-01", None),
        ("2026-12-20", date(2026, 11, 1)),
    ]


def _late(account: Account, received: datetime) -> UsageLog:
    event = {"event_id": received.isoformat(), "cost_usd": "1", "occurred_at": "2026-12-19T23:00:00Z"}
    (log,) = record(account, received, event)
    return log
