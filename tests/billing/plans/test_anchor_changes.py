"""A changed anchor day or time zone: usage, reports and limits follow the schedule in force at their time."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command

from billing.accounts import usage_periods
from billing.corrections import corrections
from billing.limits import limits
from billing.models import Account, Statement, UsageDay, UsageLog
from billing.plans import anchor_changes, subscriptions
from billing.statements import statements
from lib import periods
from lib.periods import Schedule
from tests.billing.subscribers import create_soft_plan, set_billing_anchor
from tests.billing.usage import record
from tests.conftest import Api
from tests.frozen_clock import Clock, utc

pytestmark = pytest.mark.django_db


def change(account: Account, anchor_day: int, zone: str, when: str) -> str:
    return str(anchor_changes.change(account, anchor_day=anchor_day, timezone=zone, at=utc(when)))


def record_call(account: Account, event_id: str, when: str) -> UsageLog:
    (log,) = record(account, utc(when), {"event_id": event_id, "cost_usd": "1"})
    return log


def summary(api: Api, period: str) -> dict[str, Any]:
    body: dict[str, Any] = api.get("usage/summary/", period=period).json()
    return body


def test_a_change_returns_its_effective_date_and_reaches_every_worker(account: Account) -> None:
    assert change(account, 20, "Asia/Tokyo", "2026-11-22") == "2026-12-20"

    assert (account.anchor_day, account.timezone, account.config_version) == (20, "Asia/Tokyo", 2)
    assert str(anchor_changes.effective_date(account, utc("2027-02-01"))) == "2027-01-20"
    stored = Account.objects.get()
    assert stored.schedule == periods.change_schedule(Schedule(), 20, "Asia/Tokyo", utc("2026-11-22"))


def test_requesting_the_current_schedule_changes_no_period(account: Account) -> None:
    assert change(account, 1, "UTC", "2026-11-22") == "2026-11-01"
    assert account.earlier_schedules == ""


def test_a_second_change_replaces_a_pending_one(account: Account) -> None:
    change(account, 20, "UTC", "2026-11-22")
    assert change(account, 5, "UTC", "2026-11-23") == "2026-12-05"
    assert change(account, 1, "UTC", "2026-11-24") == "2026-11-01"
    assert account.earlier_schedules == ""


def test_a_boundary_within_the_hour_counts_as_past(account: Account) -> None:
    """Requests in progress may have read the old schedule, so a change must not move a boundary this close."""
    assert change(account, 1, "Asia/Tokyo", "2026-11-30T14:00") == "2026-12-01"  # 15:00 UTC
    set_billing_anchor(account)
    Account.objects.update(earlier_schedules="")
    account.refresh_from_db()
    assert change(account, 1, "Asia/Tokyo", "2026-11-30T14:00:01") == "2027-01-01"


def test_usage_counts_under_the_schedule_in_force_at_its_time(account: Account, bound: Api, clock: Clock) -> None:
    set_billing_anchor(account, billed_from="2026-11-01")
    record_call(account, "first", "2026-11-10")
    change(account, 20, "Asia/Tokyo", "2026-11-22")
    last, following = (
        record_call(account, "last", "2026-12-19T14:59:59"),
        record_call(account, "next", "2026-12-19T15:00"),
    )

    assert [(str(log.usage_period), str(log.usage_day)) for log in (last, following)] == [
        ("2026-11-01", "2026-12-19"),
        ("2026-12-20", "2026-12-20"),
    ]
    clock.move_to(utc("2026-12-21"))
    november, december = summary(bound, "2026-11"), summary(bound, "2026-12")
    assert [(body["total_calls"], body["starts_at"], body["ends_at"]) for body in (november, december)] == [
        (2, "2026-11-01T00:00:00Z", "2026-12-19T15:00:00Z"),
        (1, "2026-12-19T15:00:00Z", "2027-01-19T15:00:00Z"),
    ]
    assert bound.get("usage/summary/").json()["period"] == "2026-12"
    assert bound.get("usage/logs/", period="2026-11").json()["results"][0]["event_id"] == "last"
    call_command("verify_ledger")


def test_a_month_in_which_no_period_starts_is_refused(account: Account, bound: Api) -> None:
    set_billing_anchor(account, anchor_day=20)
    change(account, 5, "UTC", "2026-02-10")

    assert bound.get("usage/summary/", period="2026-02").status_code == 422
    assert bound.get("usage/summary/", period="2026-03").json()["starts_at"] == "2026-03-05T00:00:00Z"


def test_days_of_the_old_zone_continue_until_the_first_midnight_of_the_new_zone(account: Account) -> None:
    set_billing_anchor(account, timezone="Pacific/Kiritimati", billed_from="2026-11-01")  # 14 hours ahead
    change(account, 1, "Pacific/Niue", "2026-11-22")  # 11 hours behind: 30 November has 49 hours
    for number, moment in enumerate(
        ("2026-11-29T10:00", "2026-11-30T10:00", "2026-12-01T10:59:59", "2026-12-01T11:00")
    ):
        record_call(account, f"e{number}", moment)

    days = UsageDay.objects.order_by("day").values_list("day", "calls")
    assert [(str(day), calls) for day, calls in days] == [("2026-11-30", 3), ("2026-12-01", 1)]


def test_a_call_voided_after_a_change_of_zone_and_anchor_is_not_charged(account: Account) -> None:
    """The old zone is ahead, so it has used 1 December; the first period of the new zone must not start on that day."""
    set_billing_anchor(account, 20, "Pacific/Kiritimati", billed_from="2026-11-20")
    create_soft_plan("usage", 0, monthly_usd=0)
    subscriptions.subscribe(account, plan="usage", cycle="monthly", actor="", at=utc("2026-11-20"))
    log = record_call(account, "voided", "2026-11-30T11:00")
    assert (str(log.usage_period), str(log.usage_day)) == ("2026-11-20", "2026-12-01")
    assert change(account, 1, "Pacific/Niue", "2026-11-30T12:00") == "2027-01-01"

    statements.close_due(utc("2026-12-04T13:00"))
    corrections.void(log, reason="made twice", actor="", at=utc("2026-12-05"))
    statements.close_due(utc("2027-02-05"))
    assert [statement.total_nano for statement in Statement.objects.exclude(total_nano=0)] == []
    call_command("verify_ledger")


def test_limits_reset_on_the_new_boundary(account: Account, bound: Api, clock: Clock) -> None:
    change(account, 20, "Asia/Tokyo", "2026-11-22")
    clock.move_to(utc("2026-11-23"))

    (reset,) = {meter["resets_at"] for meter in bound.get("accounts/acct_42/").json()["meters"]}
    assert reset == "2026-12-19T15:00:00Z"
    assert limits.open_window(account, utc("2026-11-23")).end == date(2026, 12, 20)


def test_reports_find_the_previous_period_across_a_change(account: Account) -> None:
    set_billing_anchor(account, anchor_day=20, billed_from="2026-01-20")
    change(account, 5, "UTC", "2026-02-10")

    current = usage_periods.current_period(account, utc("2026-03-04T23:59"))
    assert (str(current.start), str(current.end), current.name) == ("2026-01-20", "2026-03-05", "2026-01")
    march = usage_periods.current_period(account, utc("2026-03-05"))
    assert periods.previous_period_start(account.schedule, march.start) == current.start


def test_a_late_event_from_before_the_change_is_late_for_its_own_period(account: Account) -> None:
    set_billing_anchor(account, billed_from="2026-11-01")
    change(account, 20, "UTC", "2026-11-22")
    closes_at = utc("2026-12-20") + timedelta(hours=72)
    late = [_record_late(account, closes_at - timedelta(microseconds=1)), _record_late(account, closes_at)]

    assert [(str(log.usage_period), log.late_for) for log in late] == [
        ("2026-11-01", None),
        ("2026-12-20", date(2026, 11, 1)),
    ]


def _record_late(account: Account, received: datetime) -> UsageLog:
    event = {"event_id": received.isoformat(), "cost_usd": "1", "occurred_at": "2026-12-19T23:00:00Z"}
    (log,) = record(account, received, event)
    return log
