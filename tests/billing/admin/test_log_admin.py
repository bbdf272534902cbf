"""Usage logs in the admin: the list with its filters and CSV export, and the page that explains a log's charge."""

from __future__ import annotations

import csv
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from billing.events import event_responses
from billing.models import Account, UsageLog
from billing.recording import metering
from billing.recording.metering import EventSource
from tests.billing.usage import record

pytestmark = pytest.mark.django_db
LOGS = "/admin/billing/usagelog/"


@pytest.fixture
def recent() -> datetime:
    return timezone.now() - timedelta(hours=1)


@pytest.fixture
def logs(account: Account, recent: datetime) -> list[UsageLog]:
    video = {"provider": "video", "model": "alibaba/wan-2.5/text-to-video", "endpoint": "/video-generation/wavespeed"}
    return record(
        account,
        recent,
        {"event_id": "=HYPERLINK(1)", "model": "gpt-4o", "usage": {"input_tokens": 1000, "output_tokens": 500}},
        {**video, "event_id": "clip"},
        {"event_id": "strange", "model": "<script>alert(1)</script>", "usage": {"input_tokens": 5}},
        {"event_id": "broken", "model": "gpt-4o", "status_code": 503, "error_message": "upstream"},
    )


def test_the_list_shows_the_actual_provider_with_the_declared_label_below(
    admin_client: Client, logs: list[UsageLog]
) -> None:
    page = admin_client.get(LOGS).content.decode()

    assert '<strong>WaveSpeed</strong> <span class="declared">declared video</span>' in page
    assert "<strong>OpenAI</strong></td>" in page


def test_an_unpriced_log_is_marked_and_text_from_callers_is_escaped(admin_client: Client, logs: list[UsageLog]) -> None:
    page = admin_client.get(LOGS).content.decode()

    assert '<span class="unpriced">unpriced</span>' in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert(1)" not in page


@pytest.mark.parametrize(
    ("query", "event_ids"),
    [
        ({"actual_provider": "wavespeed"}, {"clip"}),
        ({"category": "video"}, {"clip"}),
        ({"status": "failed"}, {"broken"}),
        ({"priced": "no"}, {"strange"}),
        ({"model": "gpt-4o"}, {"=HYPERLINK(1)", "broken"}),
        ({"model": " GPT-4o "}, {"=HYPERLINK(1)", "broken"}),
        ({"model": ""}, set()),
        ({"model": "a\0b"}, set()),
        ({"provider": "a\0b"}, set()),
        ({"account": "a\0b"}, set()),
        ({"provider": "video"}, {"clip"}),
        ({"account": "acct_42"}, {"=HYPERLINK(1)", "clip", "strange", "broken"}),
        ({"account": "other"}, set()),
        ({"q": "clip"}, {"clip"}),
        ({"q": "gpt-"}, {"=HYPERLINK(1)", "broken"}),
        ({"days": "2001-01"}, set()),
    ],
)
def test_filters_select_logs(
    admin_client: Client, logs: list[UsageLog], query: dict[str, str], event_ids: set[str]
) -> None:
    changelist: Any = admin_client.get(LOGS, query).context["cl"]

    assert {log.event_id for log in changelist.result_list} == event_ids


def test_the_export_has_the_filtered_logs_and_escapes_formulas(admin_client: Client, logs: list[UsageLog]) -> None:
    response: Any = admin_client.get(f"{LOGS}export/", {"model": "gpt-4o"})

    rows = list(csv.DictReader(b"".join(response.streaming_content).decode().splitlines()))
    assert [row["event_id"] for row in rows] == ["'=HYPERLINK(1)", "broken"]
    assert [row["cost_usd"] for row in rows] == ["0.0075", "0"]


def test_a_log_explains_its_charge_and_its_provider(admin_client: Client, logs: list[UsageLog]) -> None:
    page = admin_client.get(f"{LOGS}{logs[0].id}/change/").content.decode()

    assert "1,000 input tokens at $2.50 per million = $0.0025" in page
    assert "500 output tokens at $10.00 per million = $0.005" in page
    assert "Total: $0.0075" in page
    assert "Served by OpenAI (weak)" in page


@pytest.mark.parametrize(("cost", "differs"), [(0.00045, False), (0.000454, False), (0.000455, True)])
def test_a_log_says_how_its_response_was_read(
    admin_client: Client, account: Account, now: datetime, cost: float, differs: bool
) -> None:
    response = {
        "id": "c1",
        "model": "gpt-4o-mini",
        "service_tier": "default",
        "usage": {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500, "stars": 7, "cost": cost},
    }
    requested = {"model": "gpt-4o", "variant": {"service_tier": "priority"}}
    event = event_responses.parse({"event_id": "r", "provider": "openai", **requested, "response": response})
    metering.record([event], source=EventSource(account=account), at=now)
    page = admin_client.get(f"/admin/billing/usagelog/{UsageLog.objects.get().pk}/change/").content.decode()

    for row in (
        "<dt>Usage</dt><dd>incomplete</dd>",
        "<dt>Read by</dt><dd>openrouter_chat</dd>",
        "<dt>Served model</dt><dd>gpt-4o-mini</dd>",
        "<dt>Served service tier</dt><dd>default</dd>",
        "<dt>Service tier</dt><dd>priority</dd>",
        "<dt>Not counted</dt><dd>usage.total_tokens (the sum of other counts)</dd>",
        "<dt>Not read</dt><dd>usage.stars = 7</dd>",
    ):
        assert row in page
    assert ("differs by more than 1 %" in page) is differs


def test_a_log_cannot_be_added_changed_or_deleted(admin_client: Client, logs: list[UsageLog]) -> None:
    assert admin_client.get(f"{LOGS}add/").status_code == 403
    assert admin_client.post(f"{LOGS}{logs[0].id}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.post(f"{LOGS}{logs[0].id}/change/", {"event_id": "x"}).status_code == 403
    assert UsageLog.objects.filter(event_id="=HYPERLINK(1)").count() == 1


def test_an_invalid_log_id_redirects(admin_client: Client) -> None:
    assert admin_client.get(f"{LOGS}nonsense/change/").status_code == 302
