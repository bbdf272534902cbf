"""Calls whose usage is not completely known: counted, shown as estimated, and found by filters."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.test import Client

from billing.corrections import corrections
from billing.models import Account, UsageAdjustment, UsageLog
from tests.billing import archived_periods, members
from tests.billing.estimates import record_with_state
from tests.billing.ledger_rows import NOON, assert_ledger_consistent, record, run, set_price
from tests.conftest import Api

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(NOON)]

MODEL = "new-1"
READING = {"reader": "openai_chat", "ignored": ["usage.total_tokens"], "unread": ["usage.new_tokens"]}
CALL = {"model": MODEL, "cost_usd": None, "usage": {"input_tokens": 1_000_000, "requests": 3}}


def record_mixed() -> None:
    """Three aggregated calls of incomplete usage, one of unknown usage with a held amount, and one that is complete."""
    set_price(MODEL, input_tokens="2")
    record_with_state({**CALL, "event_id": "part"}, state="incomplete", reading=READING)
    record_with_state({"event_id": "aborted", "cost_usd": "0.5", "status_code": 499}, state="unknown")
    record_with_state({"event_id": "stated", "cost_usd": "7"}, state="incomplete", source="vendor")
    record({"event_id": "whole"})


def assert_nothing_to_correct() -> None:
    assert_ledger_consistent()
    assert run("rebuild_rollups").lines[-1].endswith(" 0 corrected.")


def estimated_calls(api: Api) -> int:
    return int(api.get("usage/summary/", account="a").json()["estimated_calls"])


def test_estimated_calls_are_counted_and_their_cost_is_in_the_total(service: Api) -> None:
    record_mixed()
    body = service.get("usage/summary/", account="a").json()
    assert (body["total_calls"], body["estimated_calls"], body["unpriced_calls"]) == (6, 4, 0)
    assert (body["total_cost_usd"], body["budget"]["used_usd"]) == ("10.5", "10.5")
    assert [row["estimated_calls"] for row in body["provider_breakdown"]] == [4]
    assert service.get("dashboard/", account="a").json()["summary"]["estimated_calls"] == 4
    assert_nothing_to_correct()


def test_a_row_has_its_state_and_its_page_how_it_was_read(service: Api) -> None:
    record_mixed()
    rows = {row["event_id"]: row for row in service.get("usage/logs/").json()["results"]}
    states = {
        name: (row["usage_state"], row["cost_source"], row["priced"], row["cost_usd"]) for name, row in rows.items()
    }
    assert states == {
        "part": ("incomplete", "estimate", True, "2"),
        "aborted": ("unknown", "estimate", True, "0.5"),
        "stated": ("incomplete", "vendor", True, "7"),
        "whole": ("complete", "caller", True, "1"),
    }
    page = service.get(f"usage/logs/{rows['part']['id']}/").json()
    empty: dict[str, Any] = {"model": "", "variant": {}, "response_id": "", "cost_usd": None, "mapped": {}}
    derived = {"unread_values": {}, "ignored_reasons": {"usage.total_tokens": "the sum of other counts"}}
    assert (page["reading"], page["calls"]) == (empty | READING | derived, 3)
    assert page["explanation"]["text"][:3] == [
        "Estimated: not all of this call's usage is known. The known part costs:",
        "1,000,000 input tokens at $2.00 per million = $2.00",
        "Total: $2.00 (exact).",
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"estimated": "true"}, ["aborted", "part"]),
        ({"estimated": "false"}, ["stated", "whole"]),
        ({"usage_state": "incomplete"}, ["part", "stated"]),
        ({"usage_state": "unknown"}, ["aborted"]),
    ],
)
def test_a_filter_finds_them(service: Api, query: dict[str, str], expected: list[str]) -> None:
    record_mixed()
    account = Account.objects.get()
    assert sorted(row["event_id"] for row in service.get("usage/logs/", **query).json()["results"]) == expected
    lines = csv.DictReader(
        io.StringIO(service.get("usage/logs/", format="csv", **query).getvalue().decode(), newline="")
    )
    assert sorted(line["event_id"] for line in lines) == expected
    page: Any = members.logged_in_client(account).get("/usage/logs/", query)
    assert sorted(log.event_id for log, _ in page.context["logs"]) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"estimated": "yes"}, ["aborted", "part"]),
        ({"usage_state": "incomplete"}, ["part", "stated"]),
        ({"unpriced_reason": "price_unknown"}, ["lost"]),
    ],
)
def test_the_admin_finds_them(admin_client: Client, query: dict[str, str], expected: list[str]) -> None:
    record_mixed()
    record({"event_id": "lost", "model": "nobody-knows", "cost_usd": None})
    page: Any = admin_client.get("/admin/billing/usagelog/", query)
    assert sorted(log.event_id for log in page.context["cl"].result_list) == expected
    export = admin_client.get("/admin/billing/usagelog/export/", query)
    lines = csv.DictReader(io.StringIO(b"".join(export.streaming_content).decode(), newline=""))  # type: ignore[attr-defined]
    assert sorted(line["event_id"] for line in lines) == expected


def test_pages_show_what_is_estimated(admin_client: Client) -> None:
    record_mixed()
    record({"event_id": "lost", "model": "nobody-knows", "cost_usd": None})
    account = Account.objects.get()
    member = members.logged_in_client(account)

    for page in (admin_client.get("/admin/billing/usagelog/"), member.get("/usage/logs/")):
        text = page.content.decode()
        assert text.count('<span class="unpriced">estimated</span>') == 2
        assert '<span class="unpriced">unpriced</span> <span class="declared">price unknown</span>' in text
    dashboard = member.get("/usage/", {"view": "detailed"}).content.decode()
    assert ">4 estimated</span>" in dashboard
    assert 'estimated=true">4</a>' in dashboard
    assert ">4 estimated</span>" in admin_client.get("/admin/").content.decode()
    assert 'estimated=yes">4</a>' in admin_client.get("/admin/service/").content.decode()


def test_a_log_s_page_tells_its_calls_state_and_reading(admin_client: Client) -> None:
    record_mixed()
    part, aborted = UsageLog.objects.get(event_id="part"), UsageLog.objects.get(event_id="aborted")
    page = admin_client.get(f"/admin/billing/usagelog/{part.pk}/change/").content.decode()
    for row in ("Calls</dt><dd>3, reported as one row", "Usage</dt><dd>incomplete", "Read by</dt><dd>openai_chat"):
        assert f"<dt>{row}</dd>" in page
    assert "<dt>Not counted</dt><dd>usage.total_tokens (the sum of other counts)</dd>" in page
    assert "<dt>Not read</dt><dd>usage.new_tokens</dd>" in page
    page = admin_client.get(f"/admin/billing/usagelog/{aborted.pk}/change/").content.decode()
    assert "Estimated: $0.50, as the usage of this call is not known." in page


def test_a_void_takes_an_estimate_out(service: Api) -> None:
    record_mixed()
    corrections.void(UsageLog.objects.get(event_id="part"), reason="x", actor="ann", at=NOON)
    assert estimated_calls(service) == 1
    assert_nothing_to_correct()


def test_a_reprice_of_incomplete_usage_is_an_estimate_again_and_unknown_usage_keeps_its_own(service: Api) -> None:
    record_mixed()
    set_price(MODEL, input_tokens="3")
    set_price("gpt-4o", input_tokens="5")
    run("reprice", "--provider", "openai")

    assert (UsageAdjustment.objects.get().log.event_id, estimated_calls(service)) == ("part", 4)  # type: ignore[union-attr]
    assert UsageAdjustment.objects.get().details["source"] == "estimate"
    assert service.get("usage/summary/", account="a").json()["total_cost_usd"] == "11.5"
    assert_nothing_to_correct()


def test_an_incomplete_call_that_gets_a_price_later_is_an_estimate_from_then_on(service: Api) -> None:
    record_with_state(CALL, state="incomplete")
    assert estimated_calls(service) == 0
    set_price(MODEL, input_tokens="2")
    batch = run("reprice").lines[-1].partition("Batch ")[2].rstrip(".")

    row = service.get("usage/logs/").json()["results"][0]
    assert (row["cost_source"], row["cost_usd"], estimated_calls(service)) == ("estimate", "2", 3)
    assert_nothing_to_correct()
    run("reprice", "--revert", batch)
    assert estimated_calls(service) == 0
    assert_nothing_to_correct()


def test_a_call_of_unknown_usage_is_complete_once_its_price_rates_what_it_has(service: Api) -> None:
    set_price(MODEL, seconds="2")
    record_with_state(CALL, state="unknown")
    record_with_state({**CALL, "event_id": "aborted", "status_code": 499}, state="unknown")
    set_price(MODEL, input_tokens="2")
    batch = run("reprice").lines[-1].partition("Batch ")[2].rstrip(".")

    logs = dict(UsageLog.objects.values_list("event_id", "usage_state"))
    assert (logs, estimated_calls(service)) == ({"e0": "complete", "aborted": "unknown"}, 0)
    assert UsageLog.objects.get(event_id="aborted").is_priced is False
    assert_nothing_to_correct()
    run("reprice", "--revert", batch)
    assert dict(UsageLog.objects.values_list("event_id", "usage_state"))["e0"] == "unknown"
    assert_nothing_to_correct()


@pytest.mark.parametrize("reverted", [False, True])
def test_a_closed_period_keeps_its_estimates_when_they_are_corrected_later(service: Api, *, reverted: bool) -> None:
    set_price(MODEL, seconds="2")
    record_with_state({**CALL, "event_id": "unknown"}, state="unknown", at=archived_periods.IN_OCTOBER)
    record_with_state({**CALL, "event_id": "part"}, state="incomplete", at=archived_periods.IN_OCTOBER)
    archived_periods.close_periods()
    set_price(MODEL, input_tokens="2")
    batch = run("reprice").lines[-1].partition("Batch ")[2].rstrip(".")
    if reverted:
        run("reprice", "--revert", batch)

    october = service.get("usage/summary/", account="a", period="2026-10").json()
    assert (october["unpriced_calls"], october["estimated_calls"], october["total_cost_usd"]) == (6, 0, "0")
    assert_nothing_to_correct()


def test_a_late_correction_of_a_held_amount_leaves_the_closed_estimate(service: Api) -> None:
    set_price(MODEL, input_tokens="2")
    record_with_state({**CALL, "cost_usd": "5"}, state="unknown", at=archived_periods.IN_OCTOBER)
    archived_periods.close_periods()
    run("reprice", "--provider", "openai")

    log = UsageLog.objects.get()
    assert (log.effective_nano, log.usage_state) == (2 * 10**9, "complete")
    october = service.get("usage/summary/", account="a", period="2026-10").json()
    assert (october["estimated_calls"], october["total_cost_usd"]) == (3, "5")
    assert_nothing_to_correct()
