"""Usage that settles a live reservation counts where the reservation was granted, whatever time the call states."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from billing.models import Account, Per, UsageLog, UsageReservation
from tests.billing.ledger_rows import rollup_differences
from tests.billing.plan_limits import set_limits, used_and_reserved
from tests.conftest import Api
from tests.frozen_clock import Clock, utc

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at("2026-11-02T12:00")]

VIDEO = {"provider": "video", "category": "video", "model": "wan-2.5", "endpoint": "/video-generation/wavespeed"}
OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
CAP = 2


@pytest.fixture(autouse=True)
def _billed_since_september(account: Account) -> None:
    Account.objects.update(billed_from=date(2026, 9, 1))


def reserve(api: Api, name: str, ttl_seconds: int = 86_400) -> Any:
    return api.post("reservations/", {"reservation_id": name, "operations": [VIDEO], "ttl_seconds": ttl_seconds})


def settle(api: Api, reservation: Any, event_id: str, occurred_at: str | None) -> Any:
    event = {**VIDEO, "event_id": event_id, **({"occurred_at": occurred_at} if occurred_at else {})}
    return api.post(f"reservations/{reservation.json()['id']}/settle/", {"event": event})


def grants(api: Api, occurred_at: str, attempts: int = 10) -> int:
    """Reserves and settles with this time, again and again. Returns the number of reservations granted."""
    granted = 0
    for number in range(attempts):
        reservation = reserve(api, f"r{number}")
        if reservation.status_code == 201:
            granted += 1
            assert settle(api, reservation, f"e{number}", occurred_at).status_code == 201
    return granted


def placements() -> list[tuple[date, date, date | None, datetime | None]]:
    """Period, day, lateness, and the instant at which the call counts if that is not its own."""
    logs = UsageLog.objects.order_by("event_id")
    return list(logs.values_list("usage_period", "usage_day", "late_for", "counts_at"))


def assert_rollups_match() -> None:
    assert rollup_differences() == []


@pytest.mark.parametrize(
    "occurred_at",
    ["2026-10-20T12:00:00Z", "2026-10-31T23:59:59.999999Z", "2026-09-28T12:00:00Z", "2026-11-02T12:04:00Z"],
)
def test_a_cap_holds_for_calls_that_state_another_period(
    bound: Api, account: Account, now: datetime, occurred_at: str
) -> None:
    set_limits({"video_calls": CAP})

    assert grants(bound, occurred_at) == CAP
    assert used_and_reserved(account, now, "video_calls") == (CAP, 0)
    assert {str(time) for time in UsageLog.objects.values_list("timestamp", flat=True)} == {str(utc(occurred_at))}
    assert_rollups_match()


@pytest.mark.parametrize("occurred_at", ["2026-11-01T23:59:59.999999Z", "2026-10-31T12:00:00Z"])
def test_a_daily_cap_holds_for_calls_that_state_yesterday(bound: Api, occurred_at: str) -> None:
    set_limits({"video_calls": CAP}, per=Per.DAY)

    assert grants(bound, occurred_at) == CAP
    assert placements() == [(NOVEMBER, date(2026, 11, 2), None, utc("2026-11-02T12:00"))] * CAP
    assert_rollups_match()


def test_a_cap_holds_for_events_that_name_a_reservation(bound: Api) -> None:
    set_limits({"video_calls": CAP})
    granted = 0
    for number in range(5):
        if reserve(bound, f"r{number}").status_code == 201:
            granted += 1
            event = {**VIDEO, "event_id": f"e{number}", "reservation_id": f"r{number}"}
            sent = bound.post("usage/", {"events": [{**event, "occurred_at": "2026-10-20T12:00:00Z"}]})
            assert sent.status_code == 200
    assert granted == CAP


def test_a_call_of_the_granted_day_has_no_other_instant(bound: Api) -> None:
    set_limits({"video_calls": CAP})
    settle(bound, reserve(bound, "r1"), "e1", "2026-11-02T00:00:00Z")
    settle(bound, reserve(bound, "r2"), "e2", None)

    assert placements() == [(NOVEMBER, date(2026, 11, 2), None, None)] * 2


@pytest.mark.parametrize("occurred_at", [None, "2026-10-31T23:30:00Z", "2026-11-01T00:10:00Z"])
def test_a_call_granted_in_the_last_period_counts_there(
    bound: Api, account: Account, clock: Clock, occurred_at: str | None
) -> None:
    set_limits({"video_calls": CAP})
    clock.move_to("2026-10-31T23:50")
    reservation = reserve(bound, "r1")
    clock.move_to("2026-11-01T00:10")
    assert settle(bound, reservation, "e1", occurred_at).status_code == 201

    at = None if occurred_at == "2026-10-31T23:30:00Z" else utc("2026-10-31T23:50")
    assert placements() == [(OCTOBER, date(2026, 10, 31), None, at)]
    assert used_and_reserved(account, utc("2026-11-01T00:10"), "video_calls") == (0, 0)
    assert_rollups_match()


@pytest.mark.parametrize(("granted_at", "period"), [("2026-10-31T23:59:59.999999", OCTOBER), ("2026-11-01", NOVEMBER)])
def test_the_border_of_a_period_is_exact(bound: Api, clock: Clock, granted_at: str, period: date) -> None:
    set_limits({"video_calls": CAP})
    clock.move_to(granted_at)
    reservation = reserve(bound, "r1")
    clock.move_to("2026-11-01T00:10")
    settle(bound, reservation, "e1", "2026-10-31T12:00:00Z")

    (log,) = UsageLog.objects.all()
    assert (log.usage_period, UsageReservation.objects.get().period) == (period, period)


def test_after_its_end_a_reservation_decides_nothing_and_is_flagged(bound: Api, clock: Clock) -> None:
    set_limits({"video_calls": CAP})
    reservation = reserve(bound, "r1", ttl_seconds=60)
    clock.move_to("2026-11-02T12:01")
    settled = settle(bound, reservation, "e1", "2026-10-20T12:00:00Z")

    assert settled.json()["reservation"]["over"] is True
    assert placements() == [(OCTOBER, date(2026, 10, 20), None, None)]


def test_a_second_settlement_decides_nothing_and_is_flagged(bound: Api) -> None:
    set_limits({"video_calls": CAP})
    reservation = reserve(bound, "r1")
    settle(bound, reservation, "e1", None)
    settled = settle(bound, reservation, "e2", "2026-10-20T12:00:00Z")

    assert settled.json()["reservation"]["over"] is True
    assert [day for _, day, _, _ in placements()] == [date(2026, 11, 2), date(2026, 10, 20)]


@pytest.mark.parametrize("occurred_at", ["2026-10-20T12:00:00Z", "2026-10-31T23:55:00Z"])
def test_where_the_granted_period_is_over_the_call_is_late(
    bound: Api, clock: Clock, settings: Any, occurred_at: str
) -> None:
    settings.CLOSE_GRACE_HOURS = 0
    set_limits({"video_calls": CAP})
    clock.move_to("2026-10-31T23:50")
    reservation = reserve(bound, "r1")
    clock.move_to("2026-11-01T12:00")
    settle(bound, reservation, "e1", occurred_at)

    assert placements() == [(NOVEMBER, date(2026, 11, 1), OCTOBER, None)]


def test_a_closed_period_takes_no_settlement(bound: Api, clock: Clock) -> None:
    set_limits({"video_calls": CAP})
    clock.move_to("2026-10-31T23:50")
    reservation = reserve(bound, "r1")
    clock.move_to("2026-11-01T12:00")
    Account.objects.update(closed_before=NOVEMBER)
    settle(bound, reservation, "e1", "2026-10-31T23:55:00Z")

    assert placements() == [(NOVEMBER, date(2026, 11, 1), OCTOBER, None)]


def test_copied_rows_have_the_instant_too(bound: Api) -> None:
    """From 50 rows on, PostgreSQL uses COPY."""
    set_limits({"video_calls": 100})
    reservation = bound.post("reservations/", {"reservation_id": "r1", "operations": [{**VIDEO, "count": 60}]}).json()
    batch = [{**VIDEO, "event_id": f"e{number}", "occurred_at": "2026-10-20T12:00:00Z"} for number in range(60)]
    assert bound.post(f"reservations/{reservation['id']}/settle/", {"events": batch}).status_code == 200

    assert set(placements()) == {(NOVEMBER, date(2026, 11, 2), None, utc("2026-11-02T12:00"))}
    assert_rollups_match()


def test_the_page_of_the_call_says_why_it_counts_on_another_day(bound: Api, operator: Client) -> None:
    set_limits({"video_calls": CAP})
    settle(bound, reserve(bound, "r"), "e", "2026-10-20T12:00:00Z")

    page = operator.get(reverse("admin:billing_usagelog_change", args=[UsageLog.objects.get().pk])).content.decode()
    assert "period 2026-11, day 2026-11-02, as its reservation was granted then" in page
