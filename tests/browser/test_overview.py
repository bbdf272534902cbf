"""The admin's first page and an account's usage page in a real browser: charts match tables, and CSV files match the API."""

from __future__ import annotations

import csv
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from billing.accounts import accounts
from billing.alerts import alerts
from billing.models import Account
from monitoring import request_rows
from tests.billing.usage import record
from tests.browser.conftest import Visitor
from tests.browser.test_accessibility import page_problems
from tests.conftest import Api
from tests.monitoring.conftest import entry

pytestmark = pytest.mark.browser

CANVAS_COLOURS = """(canvas) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  const colours = new Set();
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 255) colours.add(`${data[i]} ${data[i + 1]} ${data[i + 2]}`);
  return [...colours];
}"""
INDIGO, TEAL = "99 102 241", "13 148 136"  # the first two colours of the legend
RED = "220 38 38"  # of the state critical


@pytest.fixture
def account(operator: Visitor) -> Account:
    now = timezone.now()
    account = accounts.build(external_id="acct_42", at=now)
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


def canvas_colours(operator: Visitor) -> set[str]:
    operator.page.wait_for_timeout(300)
    colours: list[str] = operator.page.locator("canvas").first.evaluate(CANVAS_COLOURS)
    return set(colours)


def export_rows(operator: Visitor, card: str) -> list[list[str]]:
    """Downloads a card's CSV. Returns its rows."""
    section = operator.page.locator("section.card", has=operator.page.get_by_role("heading", name=card))
    with operator.page.expect_download() as download:
        section.get_by_role("link", name="CSV").click()
    return list(csv.reader(download.value.path().read_text().splitlines()))


def test_the_chart_uses_the_colours_of_the_legend_and_follows_the_theme(operator: Visitor, account: Account) -> None:
    operator.open("/admin/")
    light = canvas_colours(operator)
    operator.page.emulate_media(color_scheme="dark")
    dark = canvas_colours(operator)

    assert {INDIGO, TEAL} <= light
    assert {INDIGO, TEAL} <= dark
    assert light != dark  # the lines and the text differ
    figure, canvas = (operator.page.locator(name).first.bounding_box() for name in ("figure[data-chart]", "canvas"))
    assert figure
    assert canvas
    assert figure["height"] > canvas["height"] > 200  # the canvas fits into its card
    assert operator.page.locator("[data-usd]").count() == 2 * timezone.now().day
    assert page_problems(operator.page) == []
    assert operator.console_errors == []


def test_the_monitoring_charts_have_the_colours_of_the_tables_states(operator: Visitor) -> None:
    now = timezone.now()
    requests = [entry(at=now, status=503), *(entry(at=now - timedelta(hours=1), status=200) for _ in range(9))]
    request_rows.store(request_rows.build_batch(requests))
    operator.open("/admin/monitoring/")
    operator.page.wait_for_timeout(300)
    rate, requests_chart, p95 = (
        set(canvas.evaluate(CANVAS_COLOURS)) for canvas in operator.page.locator("canvas").all()
    )
    assert RED in rate
    assert [INDIGO in colours for colours in (rate, requests_chart, p95)] == [False, True, True]
    assert operator.console_errors == []


def test_the_csv_files_have_the_figures_of_the_api(operator: Visitor, account: Account) -> None:
    api = Api("read")
    dashboard: dict[str, Any] = api.get("dashboard/", account="acct_42").json()
    operator.open("/admin/")
    operator.page.get_by_role("link", name="acct_42").first.click()
    operator.page.wait_for_load_state("networkidle")

    assert operator.page.get_by_role("heading", level=1).inner_text() == "Usage of acct_42"
    days = export_rows(operator, "Cost per day by provider (USD)")
    assert [row[-1] for row in days[1:]] == dashboard["days"]["cost_usd"]
    months = export_rows(operator, "Cost per month by provider (USD)")
    assert [(row[0], row[-1]) for row in months[1:]] == list(
        zip(dashboard["trends"]["periods"], dashboard["trends"]["cost_usd"], strict=True)
    )
    breakdown = export_rows(operator, "Spend by category and provider")
    assert [row[2] for row in breakdown[1:]] == [
        part["cost_usd"] for category in dashboard["summary"]["category_breakdown"] for part in category["providers"]
    ]
    assert [row[1] for row in export_rows(operator, "Cost by model")[1:]] == [
        "",
        "gpt-4o",
        "nobody-knows",
    ]
    assert page_problems(operator.page) == []
    assert operator.console_errors == []


def test_a_month_can_be_chosen_and_one_without_usage_says_so(operator: Visitor, account: Account) -> None:
    now = timezone.now()
    used = now.replace(day=15) - timedelta(days=8 * 30)
    unused = used.replace(day=1) + timedelta(days=32)
    record(account, now, {"event_id": "old", "cost_usd": "7", "occurred_at": used.isoformat()})
    operator.open("/admin/")
    operator.page.get_by_label("Month (UTC)").select_option(f"{used:%Y-%m}")
    operator.page.get_by_role("button", name="Show period").click()
    operator.page.wait_for_load_state("networkidle")
    assert operator.page.locator(".figure").first.inner_text() == "$7.00"

    operator.page.get_by_label("Month (UTC)").select_option(f"{unused:%Y-%m}")
    operator.page.get_by_role("button", name="Show period").click()
    operator.page.wait_for_load_state("networkidle")
    assert operator.page.get_by_role("heading", name="No usage in this month").count() == 1
    assert page_problems(operator.page) == []
    assert operator.console_errors == []


def test_the_csv_of_a_filtered_list_has_the_logs_of_the_api(operator: Visitor, account: Account) -> None:
    operator.open("/admin/")
    operator.page.get_by_role("link", name="1", exact=True).first.click()  # unpriced
    operator.page.wait_for_load_state("networkidle")
    assert operator.page.locator("#result_list tbody tr").count() == 1
    with operator.page.expect_download() as download:
        operator.page.get_by_role("link", name="Export CSV").click()
    rows = list(csv.DictReader(download.value.path().read_text().splitlines()))
    logs = Api("read").get("usage/logs/", account="acct_42", priced="false").json()["results"]
    assert [row["id"] for row in rows] == [log["id"] for log in logs]
