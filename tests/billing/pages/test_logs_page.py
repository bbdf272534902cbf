"""A customer's usage logs: the rows and filters of the API in the account's time zone, page by page, and as CSV."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from billing.corrections import corrections
from billing.models import Account, UsageLog
from tests.billing import members
from tests.billing.usage import record

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at("2026-11-22T12:00")]
LOGS = "/usage/logs/"
EVENTS: tuple[dict[str, Any], ...] = (
    {"event_id": "text", "model": "gpt-4o", "usage": {"input_tokens": 1000}, "response_time_ms": 1234},
    {"event_id": "video", "provider": "video", "model": "alibaba/wan-2.5/text-to-video", "endpoint": "/video/wavespeed",
     "usage": {"seconds": "5"}, "variant": {"resolution": "720p"}, "cost_usd": "0.5"},
    {"event_id": "new", "model": "nobody-knows", "usage": {"input_tokens": 5}},
    {"event_id": "failed", "model": "gpt-4o", "status_code": 503},
)  # fmt: skip


@pytest.fixture
def member(account: Account, now: datetime) -> Client:
    """A member of an account in Tokyo's time zone, with four calls made now."""
    Account.objects.update(timezone="Asia/Tokyo")
    account.refresh_from_db()
    record(account, now, *EVENTS)
    return members.logged_in_client(account)


def event_ids(response: Any) -> list[str]:
    return sorted(log.event_id for log, _ in response.context["logs"])


def test_a_row_shows_time_providers_status_duration_and_cost(member: Client) -> None:
    page = member.get(LOGS).content.decode()
    assert "Time (Asia/Tokyo)" in page
    assert "2026-11-22 21:00:00" in page
    assert '<strong>WaveSpeed</strong><span class="declared">declared video</span>' in page
    assert "<strong>OpenAI</strong></span>" in page
    assert '<span class="unpriced">unpriced</span>' in page
    assert '<span class="badge critical">503 failed</span>' in page
    assert "1,234 ms" in page
    assert '<span title="$0.5">$0.50</span>' in page


EVENT_IDS_BY_FILTER = {
    "actual_provider=wavespeed": ["video"],
    "provider=VIDEO": ["video"],
    "category=video": ["video"],
    "model=nobody-knows": ["new"],
    "status=failed": ["failed"],
    "status_code=503": ["failed"],
    "priced=false": ["new"],
    "priced=true&status=success": ["text", "video"],
    "voided=true": [],
    "voided=false": ["failed", "new", "text", "video"],
    "q=text": ["text"],
    "q=gpt-": ["failed", "text"],
    "period=2026-11": ["failed", "new", "text", "video"],
    "period=all": ["failed", "new", "text", "video"],
    "since=2026-11-22&until=2026-11-22": ["failed", "new", "text", "video"],
    "since=2026-11-23": [],
    "until=2026-11-21": [],
}


@pytest.mark.parametrize(("query", "expected"), EVENT_IDS_BY_FILTER.items())
def test_each_filter_selects_its_logs(member: Client, query: str, expected: list[str]) -> None:
    response = member.get(f"{LOGS}?{query}")
    assert (response.status_code, event_ids(response)) == (200, expected)
    if not expected:
        assert "No calls match." in response.content.decode()


def test_logs_are_filtered_by_confidence(member: Client) -> None:
    UsageLog.objects.filter(event_id="new").update(confidence="fallback")
    assert event_ids(member.get(f"{LOGS}?confidence=fallback")) == ["new"]


def test_days_follow_the_time_zone_of_the_account(member: Client, account: Account, now: datetime) -> None:
    """16:00 UTC is already the next day in Tokyo."""
    record(account, now + timedelta(hours=4), {"event_id": "next day"})
    assert event_ids(member.get(f"{LOGS}?since=2026-11-23&until=2026-11-23")) == ["next day"]


def test_the_default_range_leaves_out_old_logs(member: Client, account: Account, now: datetime) -> None:
    record(account, now, {"event_id": "old", "occurred_at": (now - timedelta(days=32)).isoformat()})
    assert "old" not in event_ids(member.get(LOGS))
    assert "old" in event_ids(member.get(f"{LOGS}?period=all"))
    assert event_ids(member.get(f"{LOGS}?until=2026-10-31")) == ["old"]


INVALID_FILTERS = (
    "status=maybe",
    "status_code=7",
    "since=yesterday",
    "period=2026-13",
    "category=x",
    "q=" + "x" * 257,
    "until=9999-12-31",
)


@pytest.mark.parametrize("query", INVALID_FILTERS)
def test_an_invalid_filter_shows_an_error_and_no_logs(member: Client, query: str) -> None:
    response = member.get(f"{LOGS}?{query}")
    assert (response.status_code, event_ids(response)) == (400, [])
    assert "The filters contain errors. Correct them to see your calls." in response.content.decode()
    assert member.get(f"{LOGS}csv/?{query}").status_code == 400


@pytest.mark.parametrize("query", ["q=%00", "model=%00", "actual_provider=%00", "cursor=junk", "unknown=1"])
def test_junk_causes_no_server_error(member: Client, query: str) -> None:
    assert member.get(f"{LOGS}?{query}").status_code in (200, 400)


def test_older_and_newer_pages_show_each_log_once(member: Client, account: Account, now: datetime) -> None:
    record(account, now - timedelta(minutes=1), *({"event_id": f"n{number:02}"} for number in range(60)))
    first = member.get(f"{LOGS}?voided=false")
    second = member.get(LOGS + first.context["older"])
    assert [len(page.context["logs"]) for page in (first, second)] == [50, 14]
    assert (first.context["newer"], second.context["older"]) == ("", "")
    assert "voided=false" in first.context["older"]
    newer = member.get(LOGS + second.context["newer"])
    assert event_ids(newer) == event_ids(first)
    assert not set(event_ids(first)) & set(event_ids(second))


@pytest.mark.parametrize("query", ["", "status=failed", "category=video&priced=true", "period=2026-11"])
def test_the_csv_has_the_rows_of_the_api(member: Client, query: str) -> None:
    response = member.get(f"{LOGS}csv/?{query}")
    rows = list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode())))  # type: ignore[attr-defined]
    logs = member.get(f"/api/v1/usage/logs/?{query}").json()["results"]
    assert [(row["id"], row["cost_usd"], row["status"]) for row in rows] == [
        (log["id"], log["cost_usd"] or "", log["status"]) for log in logs
    ]
    assert sorted(row["event_id"] for row in rows) == event_ids(member.get(f"{LOGS}?{query}"))


def test_a_log_explains_its_charge_and_its_corrections(member: Client, account: Account, now: datetime) -> None:
    log = UsageLog.objects.get(event_id="text")
    corrections.void(log, reason="sent twice", actor="secret-operator", at=now)
    page = member.get(f"{LOGS}{log.pk}/").content.decode()
    assert "This call was voided. It costs nothing and no longer counts toward any limit." in page
    assert "sent twice" in page
    assert "2026-11-22 21:00:00" in page
    assert "secret-operator" not in page
    assert 'href="/admin/' not in page


def test_an_unknown_log_is_404(member: Client) -> None:
    assert member.get(f"{LOGS}{uuid4()}/").status_code == 404


def test_an_empty_list_shows_how_to_send_events(account: Account) -> None:
    page = members.logged_in_client(account).get(LOGS).content.decode()
    assert "curl http://testserver/api/v1/usage/" in page
    assert "data-copy" in page


def test_text_from_callers_is_escaped(member: Client, account: Account, now: datetime) -> None:
    record(account, now, {"event_id": "<b>1", "model": "<b>2", "endpoint": "/<b>3"})
    page = (
        member.get(LOGS).content.decode()
        + member.get(f"{LOGS}{UsageLog.objects.get(event_id='<b>1').pk}/").content.decode()
    )
    assert "<b>" not in page
