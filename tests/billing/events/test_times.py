"""Accepted event times, and the local day and usage period in which an event counts; through the API."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from billing.accounts import accounts
from billing.events.events import parse
from billing.models import UsageDay, UsageLog
from billing.recording import metering
from billing.recording.metering import EventSource
from tests.conftest import Api
from tests.frozen_clock import Clock

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at("2026-11-22T12:00")]

MICROSECOND = timedelta(microseconds=1)


def _send(api: Api, **event: str) -> int:
    answer = api.post("usage/", {"event_id": "e1", "provider": "openai", "account": "acct_42", **event})
    return int(answer.status_code)


@pytest.mark.parametrize(
    ("age", "status"),
    [
        (timedelta(days=35), 201),
        (timedelta(days=35) + MICROSECOND, 422),
        (timedelta(minutes=-5), 201),
        (timedelta(minutes=-5) - MICROSECOND, 422),
        (timedelta(), 201),
    ],
)
def test_events_may_be_35_days_old_and_5_minutes_in_the_future(
    service: Api, now: datetime, age: timedelta, status: int
) -> None:
    assert _send(service, occurred_at=(now - age).isoformat(timespec="microseconds")) == status
    assert UsageLog.objects.count() == int(status == 201)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T09:30:00Z",
        "2026-11-22T09:30:00+00:00",
        "2026-11-22T09:30:00-00:00",
        "2026-11-22 09:30:00z",
        "2026-11-22t15:15:00.0+05:45",
        "2026-11-21T23:30:00.00-10:00",
        "2026-11-22T09:30:00.000000999999Z",
        "2026-11-23T09:29:00+23:59",
    ],
)
def test_every_form_of_rfc_3339_is_accepted(service: Api, text: str) -> None:
    assert _send(service, occurred_at=text) == 201
    assert UsageLog.objects.get().timestamp == datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
    (row,) = service.get("usage/logs/", account="acct_42").json()["results"]
    assert row["timestamp"] == "2026-11-22T09:30:00Z"


# Time zone, anchor, period boundary in UTC, the day and period before it, the period after it.
BOUNDARIES = [
    ("UTC", 1, "2026-11-01T00:00", "2026-10-31", "2026-10-01", "2026-11-01"),
    ("UTC", 31, "2026-10-31T00:00", "2026-10-30", "2026-09-30", "2026-10-31"),
    ("Europe/Berlin", 1, "2026-10-31T23:00", "2026-10-31", "2026-10-01", "2026-11-01"),
    ("Europe/Berlin", 25, "2026-10-24T22:00", "2026-10-24", "2026-09-25", "2026-10-25"),  # start of the 25-hour day
    ("Europe/Berlin", 26, "2026-10-25T23:00", "2026-10-25", "2026-09-26", "2026-10-26"),  # and its end
    ("America/New_York", 2, "2026-11-02T05:00", "2026-11-01", "2026-10-02", "2026-11-02"),
    ("Asia/Kathmandu", 1, "2026-10-31T18:15", "2026-10-31", "2026-10-01", "2026-11-01"),
    ("Pacific/Kiritimati", 1, "2026-10-31T10:00", "2026-10-31", "2026-10-01", "2026-11-01"),
]


@pytest.mark.parametrize(("zone", "anchor", "boundary", "last_day", "before", "after"), BOUNDARIES)
def test_a_period_boundary_is_exact_to_the_microsecond(
    service: Api,
    clock: Clock,
    zone: str,
    anchor: int,
    boundary: str,
    last_day: str,
    before: str,
    after: str,
) -> None:
    moment = datetime.fromisoformat(f"{boundary}+00:00")
    at = moment + timedelta(hours=1)
    clock.move_to(at)
    service.post("accounts/", {"external_id": "a", "timezone": zone, "anchor_day": anchor})
    batch = [
        {
            "event_id": f"{step}",
            "account": "a",
            "provider": "openai",
            "occurred_at": (moment + step * MICROSECOND).isoformat(),
        }
        for step in (-1, 0, 1)
    ]
    assert service.post("usage/", {"events": batch}).status_code == 200

    logs = dict(UsageLog.objects.values_list("event_id", "usage_period"))
    assert logs == {"-1": date.fromisoformat(before), "0": date.fromisoformat(after), "1": date.fromisoformat(after)}
    days = {str(day.day): day.calls for day in UsageDay.objects.all()}
    assert days == {last_day: 1, after: 2}
    summaries = [service.get("usage/summary/", account="a", period=start[:7]).json() for start in (before, after)]
    assert [summary["total_calls"] for summary in summaries] == [1, 2]


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-10-24", 24)], ids=["23", "25", "24 hours"]
)
def test_a_local_day_counts_its_23_24_or_25_hours(day: str, hours: int, now: datetime) -> None:
    account = accounts.build(external_id="a", at=now, timezone="Europe/Berlin")
    account.save(force_insert=True)
    noon = datetime.fromisoformat(f"{day}T12:00:00+00:00")
    moments = [noon + timedelta(minutes=30) + timedelta(hours=step) for step in range(-36, 36)]
    batch = [
        parse({"event_id": f"{moment}", "provider": "openai", "occurred_at": moment.isoformat()}) for moment in moments
    ]
    metering.record(batch, source=EventSource(account=account, any_age=True), at=now)

    assert UsageDay.objects.get(day=day).calls == hours
    assert sum(UsageDay.objects.values_list("calls", flat=True)) == 72


@pytest.mark.parametrize(
    ("received", "period", "day", "late_for"),
    [
        ("2026-11-03T23:59:59.999999", "2026-10", "2026-10-31", None),
        ("2026-11-04T00:00:00.000000", "2026-11", "2026-11-04", "2026-10"),
    ],
    ids=["the last moment of grace", "after the grace"],
)
def test_a_late_event_counts_in_the_open_period(
    service: Api,
    clock: Clock,
    received: str,
    period: str,
    day: str,
    late_for: str | None,
) -> None:
    clock.move_to(datetime(2026, 10, 1, tzinfo=UTC))
    service.post("accounts/", {"external_id": "acct_42"})
    clock.move_to(received)
    assert _send(service, occurred_at="2026-10-31T23:00:00Z") == 201

    (row,) = service.get("usage/logs/", account="acct_42").json()["results"]
    assert (row["period"], row["late_for"], row["timestamp"]) == (period, late_for, "2026-10-31T23:00:00Z")
    assert str(UsageDay.objects.get().day) == day
    assert service.get("usage/summary/", account="acct_42", period=period).json()["total_calls"] == 1


def test_an_event_before_billing_began_is_not_late(service: Api) -> None:
    """The first event creates the account, billed from 1 November: the October event belongs to no billed period."""
    assert _send(service, occurred_at="2026-10-20T00:00:00Z") == 201

    (row,) = service.get("usage/logs/", account="acct_42").json()["results"]
    assert (row["period"], row["late_for"]) == ("2026-10", None)
