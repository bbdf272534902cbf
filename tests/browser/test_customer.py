"""A customer in a real browser: login, filters, CSV export, alerts, theme, account choice, logout, and every page."""

from __future__ import annotations

import csv
from datetime import datetime
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Page

from bench import pages
from billing.accounts import invitations
from billing.models import Account, Statement, UsageAlert, UsageLog
from billing.plans import subscriptions
from billing.statements import statements
from tests.billing import alert_rows, members
from tests.billing.subscribers import create_soft_plan, set_billing_anchor
from tests.billing.usage import record
from tests.browser.conftest import Visitor
from tests.browser.test_accessibility import page_problems
from tests.frozen_clock import utc

pytestmark = pytest.mark.browser


@pytest.fixture
def acme(site: str) -> Account:
    """An account with a statement, a subscription, an alert, and successful, failed and unpriced calls."""
    account = set_billing_anchor(members.create_account("acme-studios", name="Acme Studios"), billed_from="2026-09-01")
    create_soft_plan("team", 1, monthly_usd=49)
    subscriptions.subscribe(account, plan="team", cycle="monthly", actor="operator", at=utc("2026-09-10"))
    record(account, utc("2026-09-20"), {"event_id": "september", "provider": "exa", "cost_usd": "2.003333333"})
    statements.close_due(utc("2026-10-06"))
    used = {"usage": {"input_tokens": 1_000_000}}
    events = [{"event_id": f"text-{number}", "model": "gpt-4o", **used} for number in range(3)]
    failed = [{"event_id": f"failed-{number}", "model": "gpt-4o", "status_code": 503} for number in range(2)]
    video = {"provider": "video", "model": "alibaba/wan-2.5/text-to-video", "endpoint": "/video/wavespeed"}
    record(account, timezone.now(), *events, *failed, {"event_id": "video", **video}, {"event_id": "new", "model": "x"})
    alert_rows.create_alert(account, 80)
    return account


def log_in(visitor: Visitor, path: str = "/") -> None:
    visitor.open(path)
    visitor.page.fill("#id_username", "customer@example.com")
    visitor.page.fill("#id_password", "a-long-password")
    visitor.page.click("form .button")
    visitor.page.wait_for_load_state("networkidle")


def compare_export(page: Page, file: Path) -> None:
    """Exports the failed calls and asserts that the file has the rows of the API."""
    with page.expect_download() as download:
        page.click("text=Export CSV")
    download.value.save_as(file)
    with file.open(newline="") as text:
        rows = list(csv.DictReader(text))
    logs = page.evaluate("fetch('/api/v1/usage/logs/?status=failed').then((response) => response.json())")["results"]
    assert len(rows) == 2
    assert [(row["id"], row["timestamp"], row["cost_usd"]) for row in rows] == [
        (log["id"], log["timestamp"], log["cost_usd"] or "") for log in logs
    ]


def test_a_customer_logs_in_filters_exports_reads_an_alert_and_logs_out(
    anonymous: Visitor, acme: Account, tmp_path: Path
) -> None:
    members.create_user(acme)
    page = anonymous.page
    log_in(anonymous)
    assert page.url == f"{anonymous.site}/usage/"
    assert page.locator("h1").inner_text() == "Overview"

    page.click("nav.tabs >> text=Usage logs")
    page.click("summary >> text=Filter")
    page.select_option("#filter-status", "failed")
    page.click("text=Apply filters")
    page.wait_for_load_state("networkidle")
    assert page.locator("table.data tbody tr").count() == 2

    compare_export(page, tmp_path / "logs.csv")

    page.click("nav.tabs >> text=Alerts")
    page.click("text=Mark as read")
    page.wait_for_load_state("networkidle")
    assert page.locator("h2").all_inner_texts() == ["Read"]
    assert UsageAlert.objects.get().read_at is not None

    page.click(".user-menu summary")
    page.click("text=Log out")
    page.wait_for_load_state("networkidle")
    assert page.url == f"{anonymous.site}/usage/login/"
    anonymous.open("/usage/logs/")
    assert page.url == f"{anonymous.site}/usage/login/?next=/usage/logs/"
    assert anonymous.console_errors == []


def test_the_chosen_account_and_theme_are_remembered(anonymous: Visitor, acme: Account) -> None:
    members.create_user(acme, members.create_account("zebra", name="Zebra"))
    log_in(anonymous)
    page = anonymous.page
    page.select_option("select[name=account]", "zebra")
    page.click("text=Switch")
    page.wait_for_load_state("networkidle")
    assert page.locator("select[name=account]").input_value() == "zebra"
    page.click(".theme-toggle")
    chosen = page.locator("html").get_attribute("data-theme")
    assert chosen in ("light", "dark")
    anonymous.open("/usage/plan/")
    assert page.locator("html").get_attribute("data-theme") == chosen
    assert page.locator("select[name=account]").input_value() == "zebra"
    assert anonymous.console_errors == []


def test_the_page_frame_works_by_keyboard_alone(anonymous: Visitor, acme: Account) -> None:
    members.create_user(acme)
    log_in(anonymous)
    page = anonymous.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to main content"
    page.focus(".user-menu summary")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Change password"


def test_every_page_of_a_customer_has_no_problems(anonymous: Visitor, acme: Account) -> None:
    members.create_user(acme, members.create_account("empty"))
    log_in(anonymous)
    log, statement = UsageLog.objects.get(event_id="text-0"), Statement.objects.get()
    record_paths = [
        f"/usage/logs/{log.pk}/",
        f"/usage/statements/{statement.pk}/",
        f"/usage/statements/{statement.pk}/print/",
    ]
    for path in (*pages.CUSTOMER.values(), *record_paths):
        assert anonymous.open(path) == 200
        assert page_problems(anonymous.page) == []
    anonymous.open("/usage/")
    anonymous.page.select_option("select[name=account]", "empty")
    anonymous.page.click("text=Switch")
    for path in pages.CUSTOMER.values():
        assert anonymous.open(path) == 200
        assert page_problems(anonymous.page) == []
    assert anonymous.console_errors == []


EXPECTED_STATUSES = {"customer-no-invitation": 404}


@pytest.mark.parametrize("name", [name for name in pages.ANONYMOUS if name.startswith("customer")])
def test_the_pages_before_login_have_no_problems(anonymous: Visitor, name: str) -> None:
    assert anonymous.open(pages.ANONYMOUS[name]) == EXPECTED_STATUSES.get(name, 200)
    assert page_problems(anonymous.page) == []
    assert anonymous.console_errors == []


def test_a_new_user_accepts_an_invitation_and_chooses_a_password(anonymous: Visitor, acme: Account) -> None:
    now: datetime = timezone.now()
    _, token = invitations.invite(acme, email="new@example.com", role="member", by="operator", at=now)
    assert anonymous.open(f"/usage/invitation/{token}/") == 200
    assert anonymous.page.url == f"{anonymous.site}/usage/invitation/"
    assert page_problems(anonymous.page) == []
    anonymous.page.fill("#id_password", "short")
    anonymous.page.fill("#id_again", "short")
    anonymous.page.click("text=Join account")
    anonymous.page.wait_for_load_state("networkidle")
    assert page_problems(anonymous.page) == []
    anonymous.page.fill("#id_password", "a-long-password")
    anonymous.page.fill("#id_again", "a-long-password")
    anonymous.page.click("text=Join account")
    anonymous.page.wait_for_load_state("networkidle")
    assert anonymous.page.url == f"{anonymous.site}/usage/"
    assert User.objects.get().get_username() == "new@example.com"
    assert anonymous.console_errors == []


def test_the_admin_pages_of_an_invitation_have_no_problems(operator: Visitor, acme: Account) -> None:
    invitation, _ = invitations.invite(acme, email="new@example.com", role="member", by="operator", at=timezone.now())
    for path in (
        "",
        f"invite/{acme.pk}/",
        f"{invitation.pk}/change/",
        f"{invitation.pk}/revoke/",
        f"{invitation.pk}/again/",
    ):
        assert operator.open(f"/admin/billing/invitation/{path}") == 200
        assert page_problems(operator.page) == []
    assert operator.console_errors == []
