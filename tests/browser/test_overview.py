"""Operators' first page and an account's page in a real browser: charts drawn from tables, every CSV the API's figures."""

from __future__ import annotations

import csv
from typing import Any

import pytest
from django.utils import timezone

from billing.accounts import accounts
from billing.alerts import alerts
from billing.models import Account
from tests.billing.usage import record
from tests.browser.conftest import Visitor
from tests.browser.test_accessibility import faults
from tests.conftest import Api

pytestmark = pytest.mark.browser

PAINTED = """(canvas) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  const seen = new Set();
  for (let at = 0; at < data.length; at += 4) if (data[at + 3] === 255) seen.add(`${data[at]} ${data[at + 1]} ${data[at + 2]}`);
  return [...seen];
}"""
INDIGO, TEAL = "99 102 241", "13 148 136"  # the first two of the legend


@pytest.fixture
def account(operator: Visitor) -> Account:
    now = timezone.now()
    account = accounts.new(external_id="acct_42", at=now)
    account.save(force_insert=True)
    record(
        account,
        now,
        {"provider": "video", "endpoint": "/video-generation/wavespeed", "cost_usd": "1.25"},
        {"provider": "openai", "model": "gpt-4o", "cost_usd": "0.654321", "usage": {"input_tokens": 100}},
        {"provider": "openai", "model": "nobody-knows", "usage": {"input_tokens": 5}},
    )
    alerts.sweep(now)
    return account


def painted(operator: Visitor) -> set[str]:
    operator.page.wait_for_timeout(300)
    found: list[str] = operator.page.locator("canvas").first.evaluate(PAINTED)
    return set(found)


def exported(operator: Visitor, card: str) -> list[list[str]]:
    """The rows of the CSV that a card's link downloads."""
    section = operator.page.locator("section.card", has=operator.page.get_by_role("heading", name=card))
    with operator.page.expect_download() as download:
        section.get_by_role("link", name="CSV").click()
    return list(csv.reader(download.value.path().read_text().splitlines()))


def test_the_chart_is_drawn_in_the_legends_colours_and_follows_the_theme(operator: Visitor, account: Account) -> None:
    operator.open("/admin/")
    light = painted(operator)
    operator.page.emulate_media(color_scheme="dark")
    dark = painted(operator)

    assert {INDIGO, TEAL} <= light
    assert {INDIGO, TEAL} <= dark
    assert light != dark  # the lines and the writing
    figure, canvas = (operator.page.locator(name).first.bounding_box() for name in ("figure[data-chart]", "canvas"))
    assert figure
    assert canvas
    assert figure["height"] > canvas["height"] > 200  # it stands on no other card
    assert operator.page.locator("[data-usd]").count() == 2 * timezone.now().day
    assert faults(operator.page) == []
    assert operator.complaints == []


def test_the_tables_are_the_apis_figures(operator: Visitor, account: Account) -> None:
    api = Api("read")
    told: dict[str, Any] = api.get("dashboard/", account="acct_42").json()
    operator.open("/admin/")
    operator.page.get_by_role("link", name="acct_42").first.click()
    operator.page.wait_for_load_state("networkidle")

    assert operator.page.get_by_role("heading", level=1).inner_text() == "Usage of acct_42"
    days = exported(operator, "Cost per day, USD, by provider")
    assert [row[-1] for row in days[1:]] == told["days"]["cost_usd"]
    months = exported(operator, "Cost per month, USD, by provider")
    assert [(row[0], row[-1]) for row in months[1:]] == list(
        zip(told["trends"]["periods"], told["trends"]["cost_usd"], strict=True)
    )
    breakdown = exported(operator, "Category by provider")
    assert [row[2] for row in breakdown[1:]] == [
        part["cost_usd"] for one in told["summary"]["category_breakdown"] for part in one["providers"]
    ]
    assert [row[1] for row in exported(operator, "Cost by model")[1:]] == [
        "",
        "gpt-4o",
        "nobody-knows",
    ]
    assert faults(operator.page) == []
    assert operator.complaints == []


def test_the_period_is_chosen_and_a_month_without_usage_says_what_to_do(operator: Visitor, account: Account) -> None:
    record(account, timezone.now(), {"event_id": "old", "cost_usd": "7", "occurred_at": "2026-01-15T00:00:00Z"})
    operator.open("/admin/")
    operator.page.get_by_label("Month (UTC)").select_option("2026-01")
    operator.page.get_by_role("button", name="Show").click()
    operator.page.wait_for_load_state("networkidle")
    assert operator.page.locator(".figure").first.inner_text() == "$7.00"

    operator.page.get_by_label("Month (UTC)").select_option("2026-02")
    operator.page.get_by_role("button", name="Show").click()
    operator.page.wait_for_load_state("networkidle")
    assert operator.page.get_by_role("heading", name="No usage in this month").count() == 1
    assert faults(operator.page) == []
    assert operator.complaints == []


def test_a_filtered_list_and_its_csv_hold_the_same_logs(operator: Visitor, account: Account) -> None:
    operator.open("/admin/")
    operator.page.get_by_role("link", name="1", exact=True).first.click()  # unpriced
    operator.page.wait_for_load_state("networkidle")
    assert operator.page.locator("#result_list tbody tr").count() == 1
    with operator.page.expect_download() as download:
        operator.page.get_by_role("link", name="Export CSV").click()
    rows = list(csv.DictReader(download.value.path().read_text().splitlines()))
    told = Api("read").get("usage/logs/", account="acct_42", priced="false").json()["results"]
    assert [row["id"] for row in rows] == [log["id"] for log in told]
