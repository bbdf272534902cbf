"""The browsable API in a real browser: from its root to a filtered list, a POST with the offered example, and back."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Page

from billing.models import Account, Membership, UsageLog
from tests.browser.conftest import Visitor
from tests.browser.test_accessibility import page_problems
from tests.conftest import Api

pytestmark = pytest.mark.browser


@pytest.fixture
def calls(site: str, account: Account) -> None:
    events = [
        {"event_id": f"e{index}", "account": "acct_42", "provider": "openai", "status_code": 500 if index == 1 else 200}
        for index in range(3)
    ]
    assert Api("ingest").post("usage/", {"events": events}).status_code == 200


@pytest.fixture
def customer(new_visitor: Callable[..., Visitor], account: Account) -> Visitor:
    user = User.objects.create_user("ada@example.com")
    Membership.objects.create(user=user, account=account)
    client = Client()
    client.force_login(user)
    visitor = new_visitor()
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": visitor.site}
    visitor.page.context.add_cookies([cookie])  # type: ignore[list-item]  # a plain dict
    return visitor


def follow(page: Page, name: str) -> None:
    page.get_by_role("link", name=name, exact=True).first.click()
    page.wait_for_load_state("networkidle")
    assert page_problems(page) == []


def list_failed_calls(page: Page) -> list[str]:
    """Follows the root's link to the logs and filters them by the form. Returns the event ids."""
    follow(page, "List usage logs")
    page.get_by_label("status", exact=True).select_option("failed")
    page.get_by_role("button", name="Apply filters").click()
    page.wait_for_load_state("networkidle")
    assert page_problems(page) == []
    answer = page.locator(".snippet code").inner_text()
    return [log["event_id"] for log in json.loads(answer[answer.index("{\n") :])["results"]]


def send_example(page: Page) -> dict[str, object]:
    page.get_by_role("button", name="POST", exact=True).click()
    output = page.get_by_role("status")
    output.wait_for()
    assert page_problems(page) == []
    status, _, body = output.inner_text().partition("\n")
    answer: dict[str, object] = json.loads(body)
    return {"status": status.split()[1], **answer}


@pytest.mark.usefixtures("calls")
def test_an_operator_and_a_customer_walk_through_the_api(operator: Visitor, customer: Visitor) -> None:
    assert operator.open("/api/v1/") == 200
    assert page_problems(operator.page) == []
    assert list_failed_calls(operator.page) == ["e1"]
    _record_usage(operator.page)
    follow(operator.page, "Tollgate API")
    assert operator.page.get_by_role("heading", level=1).inner_text() == "Tollgate API"

    assert customer.open("/api/v1/") == 200
    assert list_failed_calls(customer.page) == ["e1"]
    follow(customer.page, "Tollgate API")
    follow(customer.page, "Detect a provider")
    assert send_example(customer.page)["actual_provider"] == "openrouter"
    follow(customer.page, "List providers")
    follow(customer.page, "Tollgate API")
    assert customer.console_errors == []


def _record_usage(page: Page) -> None:
    """Follows the breadcrumb of an address that takes only POST; sends its example, and a body that is refused."""
    follow(page, "Record usage")
    assert send_example(page)["actual_provider"] == "wavespeed"
    assert UsageLog.objects.count() == 4

    page.get_by_label("JSON body").fill('{"event_id": "e9"}')
    page.get_by_role("button", name="POST", exact=True).click()
    page.get_by_text("HTTP 422").wait_for()
    assert "missing required field `provider`" in page.get_by_role("status").inner_text()
    assert UsageLog.objects.count() == 4
