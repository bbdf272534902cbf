"""A customer in a real browser: logs in, filters, exports, reads an alert, switches theme and account, and logs out."""

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
from tests.billing import alerted, members
from tests.billing.subscribers import at, on, soft_plan
from tests.billing.usage import record
from tests.browser.conftest import Visitor
from tests.browser.test_accessibility import faults

pytestmark = pytest.mark.browser


@pytest.fixture
def acme(site: str) -> Account:
    """With a statement, a subscription, an alert, and calls of every sort, one of them voided."""
    account = on(members.account("acme-studios", name="Acme Studios"), billed_from="2026-09-01")
    soft_plan("team", 1, monthly_usd=49)
    subscriptions.subscribe(account, plan="team", cycle="monthly", actor="operator", at=at("2026-09-10"))
    record(account, at("2026-09-20"), {"event_id": "september", "provider": "exa", "cost_usd": "2.003333333"})
    statements.close_due(at("2026-10-06"))
    used = {"usage": {"input_tokens": 1_000_000}}
    events = [{"event_id": f"text-{number}", "model": "gpt-4o", **used} for number in range(3)]
    failed = [{"event_id": f"failed-{number}", "model": "gpt-4o", "status_code": 503} for number in range(2)]
    video = {"provider": "video", "model": "alibaba/wan-2.5/text-to-video", "endpoint": "/video/wavespeed"}
    record(account, timezone.now(), *events, *failed, {"event_id": "video", **video}, {"event_id": "new", "model": "x"})
    alerted.alert(account, 80)
    return account


def log_in(visitor: Visitor, path: str = "/") -> None:
    visitor.open(path)
    visitor.page.fill("#id_username", "customer@example.com")
    visitor.page.fill("#id_password", "a-long-password")
    visitor.page.click("form .button")
    visitor.page.wait_for_load_state("networkidle")


def compare_export(page: Page, file: Path) -> None:
    """The export of the failed calls has the rows of the API."""
    with page.expect_download() as download:
        page.click("text=Export CSV")
    download.value.save_as(file)
    with file.open(newline="") as text:
        rows = list(csv.DictReader(text))
    told = page.evaluate("fetch('/api/v1/usage/logs/?status=failed').then((answer) => answer.json())")["results"]
    assert len(rows) == 2
    assert [(row["id"], row["timestamp"], row["cost_usd"]) for row in rows] == [
        (one["id"], one["timestamp"], one["cost_usd"] or "") for one in told
    ]


def test_from_the_log_in_to_the_log_out(stranger: Visitor, acme: Account, tmp_path: Path) -> None:
    members.user(acme)
    page = stranger.page
    log_in(stranger)
    assert page.url == f"{stranger.site}/usage/"
    assert page.locator("h1").inner_text() == "Overview"

    page.click("nav.tabs >> text=Usage logs")
    page.click("summary >> text=Filter")
    page.select_option("#filter-status", "failed")
    page.click("text=Show")
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
    assert page.url == f"{stranger.site}/usage/login/"
    stranger.open("/usage/logs/")
    assert page.url == f"{stranger.site}/usage/login/?next=/usage/logs/"
    assert stranger.complaints == []


def test_the_account_and_the_theme_are_switched(stranger: Visitor, acme: Account) -> None:
    members.user(acme, members.account("zebra", name="Zebra"))
    log_in(stranger)
    page = stranger.page
    page.select_option("select[name=account]", "zebra")
    page.click("text=Switch")
    page.wait_for_load_state("networkidle")
    assert page.locator("select[name=account]").input_value() == "zebra"
    page.click(".theme-toggle")
    chosen = page.locator("html").get_attribute("data-theme")
    assert chosen in ("light", "dark")
    stranger.open("/usage/plan/")
    assert page.locator("html").get_attribute("data-theme") == chosen
    assert page.locator("select[name=account]").input_value() == "zebra"
    assert stranger.complaints == []


def test_the_shell_works_by_keyboard_alone(stranger: Visitor, acme: Account) -> None:
    members.user(acme)
    log_in(stranger)
    page = stranger.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to main content"
    page.focus(".user-menu summary")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Change password"


def test_every_page_of_a_customer(stranger: Visitor, acme: Account) -> None:
    members.user(acme, members.account("empty"))
    log_in(stranger)
    log, statement = UsageLog.objects.get(event_id="text-0"), Statement.objects.get()
    own = [f"/usage/logs/{log.pk}/", f"/usage/statements/{statement.pk}/", f"/usage/statements/{statement.pk}/print/"]
    for path in (*pages.CUSTOMER.values(), *own):
        assert stranger.open(path) == 200
        assert faults(stranger.page) == []
    stranger.open("/usage/")
    stranger.page.select_option("select[name=account]", "empty")
    stranger.page.click("text=Switch")
    for path in pages.CUSTOMER.values():
        assert stranger.open(path) == 200
        assert faults(stranger.page) == []
    assert stranger.complaints == []


CLOSED = {"customer-no-invitation": 404}


@pytest.mark.parametrize("name", [name for name in pages.STRANGER if name.startswith("customer")])
def test_the_doors(stranger: Visitor, name: str) -> None:
    assert stranger.open(pages.STRANGER[name]) == CLOSED.get(name, 200)
    assert faults(stranger.page) == []
    assert stranger.complaints == []


def test_an_invitation_is_followed_and_a_password_is_chosen(stranger: Visitor, acme: Account) -> None:
    now: datetime = timezone.now()
    _, token = invitations.invite(acme, email="new@example.com", role="member", by="operator", at=now)
    assert stranger.open(f"/usage/invitation/{token}/") == 200
    assert stranger.page.url == f"{stranger.site}/usage/invitation/"
    assert faults(stranger.page) == []
    stranger.page.fill("#id_password", "short")
    stranger.page.fill("#id_again", "short")
    stranger.page.click("text=Join")
    stranger.page.wait_for_load_state("networkidle")
    assert faults(stranger.page) == []
    stranger.page.fill("#id_password", "a-long-password")
    stranger.page.fill("#id_again", "a-long-password")
    stranger.page.click("text=Join")
    stranger.page.wait_for_load_state("networkidle")
    assert stranger.page.url == f"{stranger.site}/usage/"
    assert User.objects.get().get_username() == "new@example.com"
    assert stranger.complaints == []


def test_the_operators_pages_of_an_invitation(operator: Visitor, acme: Account) -> None:
    one, _ = invitations.invite(acme, email="new@example.com", role="member", by="operator", at=timezone.now())
    for path in ("", f"invite/{acme.pk}/", f"{one.pk}/change/", f"{one.pk}/revoke/", f"{one.pk}/again/"):
        assert operator.open(f"/admin/billing/invitation/{path}") == 200
        assert faults(operator.page) == []
    assert operator.complaints == []
