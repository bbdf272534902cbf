"""The customers' usage logs: the rows and filters of the API, by the account's clock, page after page, and as CSV."""

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

pytestmark = pytest.mark.django_db
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
    """Of an account in Tokyo, with four calls of this minute."""
    Account.objects.update(timezone="Asia/Tokyo")
    account.refresh_from_db()
    record(account, now, *EVENTS)
    return members.client(account)


def ids(answer: Any) -> list[str]:
    return sorted(log.event_id for log, _ in answer.context["logs"])


def test_a_row_shows_what_the_operator_sees(member: Client) -> None:
    page = member.get(LOGS).content.decode()
    assert "Time (Asia/Tokyo)" in page
    assert "2026-11-22 21:00:00" in page
    assert '<strong>WaveSpeed</strong><span class="declared">declared video</span>' in page
    assert "<strong>OpenAI</strong></span>" in page
    assert '<span class="unpriced">unpriced</span>' in page
    assert '<span class="badge critical">503 failed</span>' in page
    assert "1,234 ms" in page
    assert '<span title="$0.5">$0.50</span>' in page


FILTERED = {
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


@pytest.mark.parametrize(("query", "found"), FILTERED.items())
def test_each_filter(member: Client, query: str, found: list[str]) -> None:
    answer = member.get(f"{LOGS}?{query}")
    assert (answer.status_code, ids(answer)) == (200, found)
    if not found:
        assert "No call matches." in answer.content.decode()


def test_the_confidence_is_a_filter_too(member: Client) -> None:
    UsageLog.objects.filter(event_id="new").update(confidence="fallback")
    assert ids(member.get(f"{LOGS}?confidence=fallback")) == ["new"]


def test_days_are_those_of_the_account(member: Client, account: Account, now: datetime) -> None:
    """16:00 UTC is already the next day in Tokyo."""
    record(account, now + timedelta(hours=4), {"event_id": "next day"})
    assert ids(member.get(f"{LOGS}?since=2026-11-23&until=2026-11-23")) == ["next day"]


def test_the_default_is_a_closed_range(member: Client, account: Account, now: datetime) -> None:
    record(account, now, {"event_id": "old", "occurred_at": (now - timedelta(days=32)).isoformat()})
    assert "old" not in ids(member.get(LOGS))
    assert "old" in ids(member.get(f"{LOGS}?period=all"))
    assert ids(member.get(f"{LOGS}?until=2026-10-31")) == ["old"]


WRONG = (
    "status=maybe",
    "status_code=7",
    "since=yesterday",
    "period=2026-13",
    "category=x",
    "q=" + "x" * 257,
    "until=9999-12-31",
)


@pytest.mark.parametrize("query", WRONG)
def test_what_no_filter_can_mean_is_said_and_finds_nothing(member: Client, query: str) -> None:
    answer = member.get(f"{LOGS}?{query}")
    assert (answer.status_code, ids(answer)) == (400, [])
    assert "Nothing was looked for" in answer.content.decode()
    assert member.get(f"{LOGS}csv/?{query}").status_code == 400


@pytest.mark.parametrize("query", ["q=%00", "model=%00", "actual_provider=%00", "cursor=junk", "unknown=1"])
def test_junk_breaks_nothing(member: Client, query: str) -> None:
    assert member.get(f"{LOGS}?{query}").status_code in (200, 400)


def test_older_and_newer(member: Client, account: Account, now: datetime) -> None:
    record(account, now - timedelta(minutes=1), *({"event_id": f"n{number:02}"} for number in range(60)))
    first = member.get(f"{LOGS}?voided=false")
    second = member.get(LOGS + first.context["older"])
    assert [len(page.context["logs"]) for page in (first, second)] == [50, 14]
    assert (first.context["newer"], second.context["older"]) == ("", "")
    assert "voided=false" in first.context["older"]
    back = member.get(LOGS + second.context["newer"])
    assert ids(back) == ids(first)
    assert not set(ids(first)) & set(ids(second))


@pytest.mark.parametrize("query", ["", "status=failed", "category=video&priced=true", "period=2026-11"])
def test_the_csv_has_the_apis_rows(member: Client, query: str) -> None:
    answer = member.get(f"{LOGS}csv/?{query}")
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))  # type: ignore[attr-defined]
    told = member.get(f"/api/v1/usage/logs/?{query}").json()["results"]
    assert [(row["id"], row["cost_usd"], row["status"]) for row in rows] == [
        (one["id"], one["cost_usd"] or "", one["status"]) for one in told
    ]
    assert sorted(row["event_id"] for row in rows) == ids(member.get(f"{LOGS}?{query}"))


def test_a_log_explains_its_charge_and_its_corrections(member: Client, account: Account, now: datetime) -> None:
    log = UsageLog.objects.get(event_id="text")
    corrections.void(log, reason="sent twice", actor="secret-operator", at=now)
    page = member.get(f"{LOGS}{log.pk}/").content.decode()
    assert "This call was voided: it costs nothing and counts no more." in page
    assert "sent twice" in page
    assert "2026-11-22 21:00:00" in page
    assert "secret-operator" not in page
    assert 'href="/admin/' not in page


def test_a_log_that_is_not_there_is_404(member: Client) -> None:
    assert member.get(f"{LOGS}{uuid4()}/").status_code == 404


def test_an_empty_log_says_how_to_fill_it(account: Account) -> None:
    page = members.client(account).get(LOGS).content.decode()
    assert "curl http://testserver/api/v1/usage/" in page
    assert "data-copy" in page


def test_what_callers_sent_is_escaped(member: Client, account: Account, now: datetime) -> None:
    record(account, now, {"event_id": "<b>1", "model": "<b>2", "endpoint": "/<b>3"})
    page = (
        member.get(LOGS).content.decode()
        + member.get(f"{LOGS}{UsageLog.objects.get(event_id='<b>1').pk}/").content.decode()
    )
    assert "<b>" not in page
