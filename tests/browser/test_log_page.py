"""A log's page in a real browser: a call is voided, the void is reverted, and no page has accessibility problems."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.billing.ledger_rows import record
from tests.browser.conftest import Visitor
from tests.browser.test_accessibility import page_problems

pytestmark = pytest.mark.browser


@pytest.fixture
def path(site: str) -> str:
    """The path of the page of a call that has a price tier and cached tokens."""
    usage = {"input_tokens": 250_000, "cached_input_tokens": 9_000, "output_tokens": 500}
    call = {"provider": "gemini", "model": "gemini-2.5-pro", "cost_usd": None, "usage": usage}
    (result,) = record(call, at=timezone.now() - timedelta(hours=1))
    return f"/admin/billing/usagelog/{result.id}/change/"


def test_a_call_is_voided_and_the_void_reverted(operator: Visitor, path: str) -> None:
    page = operator.page
    assert operator.open(path) == 200
    assert page_problems(page) == []
    for link, button, message in (
        ("Void call", "Void call", "Call e0: voided, from $0.6325 to nothing."),
        ("Revert", "Revert correction", "Call e0: void reverted, from nothing to $0.6325."),
    ):
        page.get_by_role("link", name=link, exact=True).click()
        page.wait_for_load_state("networkidle")
        assert page_problems(page) == []
        page.get_by_label("Reason").fill("Demo")
        page.get_by_role("button", name=button, exact=True).click()
        page.wait_for_load_state("networkidle")
        assert page.locator(".messagelist").inner_text() == message
        assert page_problems(page) == []
    assert operator.console_errors == []
