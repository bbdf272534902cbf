"""WCAG A and AA by axe, nothing wider than the window, and a quiet console: every page, both themes, desktop and phone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import Page

from bench import chromium, pages
from billing.accounts import accounts
from billing.corrections import repricing
from billing.corrections.repricing import Choice
from monitoring import request_rows
from providers import price_edits
from providers.models import Price, PriceRate
from tests.billing.usage import record
from tests.browser.conftest import Visitor
from tests.monitoring.conftest import entry
from tests.providers.offers import offer, proposals, sync

pytestmark = pytest.mark.browser

LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
# Without `preload`, axe injects style sheets of its own, which the Content-Security-Policy rightly reports.
OPTIONS = {"resultTypes": ["violations"], "runOnly": LEVELS, "preload": False}
LOOKS: tuple[tuple[Literal["light", "dark"], str], ...] = (
    ("light", "desktop"),
    ("dark", "desktop"),
    ("light", "phone"),
)
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def test_login_page(stranger: Visitor) -> None:
    assert stranger.open(pages.STRANGER["login"]) == 200
    assert faults(stranger.page) == []
    assert stranger.complaints == []


def test_not_found_page(stranger: Visitor) -> None:
    assert stranger.open(pages.STRANGER["not-found"]) == 404
    assert faults(stranger.page) == []
    assert stranger.complaints == []


@pytest.mark.parametrize("path", pages.OPERATOR.values(), ids=pages.OPERATOR.keys())
def test_operators_page(operator: Visitor, path: str) -> None:
    operator.open(path)
    assert faults(operator.page) == []
    assert operator.complaints == []


@pytest.mark.parametrize("path", pages.lists().values(), ids=pages.lists().keys())
def test_list_its_first_record_and_its_add_form(operator: Visitor, path: str) -> None:
    assert operator.open(path) == 200
    assert faults(operator.page) == []
    record = operator.page.locator(pages.FIRST_ROW).first
    if record.count():
        record.click()
        operator.page.wait_for_load_state("networkidle")
        assert faults(operator.page) == []
    if operator.open(f"{path}add/") == 200:
        assert faults(operator.page) == []
    assert operator.complaints == []


def test_pages_from_an_unpriced_model_to_a_batch_that_is_not_finished(operator: Visitor) -> None:
    now = timezone.now()
    account = accounts.new(external_id="acct_42", at=now)
    account.save(force_insert=True)
    used = {"usage": {"input_tokens": 1_000_000}}
    record(account, now, {"model": "gpt-4o", **used}, {"model": "new", **used}, {"provider": "video"})
    gpt_4o = Price.objects.get(pattern="gpt-4o")
    price_edits.record(price=gpt_4o, rates=[PriceRate(unit="input_tokens", nano_per_million=10**9)])
    batch = repricing.start(Choice(provider="openai"), reason="a lower price", actor="operator", at=now)

    for path in (
        "/admin/billing/unpriced/",
        "/admin/billing/unpriced/price/?provider=openai&model=new",
        "/admin/billing/correctionbatch/reprice/?provider=openai",
        f"/admin/billing/correctionbatch/{batch.pk}/change/",
        f"/admin/providers/price/{gpt_4o.pk}/change/",
        f"/admin/providers/price/add/?after={gpt_4o.pk}",
    ):
        assert operator.open(path) == 200
        assert faults(operator.page) == []
    assert operator.complaints == []


def test_price_proposals_on_their_list_their_page_and_their_confirmations(operator: Visitor) -> None:
    made = [offer("gpt-4o", aliases=("a",)), offer("m-1"), offer("image-1", provider="newco", provider_name="New Co")]
    sync(*made, at=timezone.now())
    operator.open(pages.lists()["providers-priceproposal"])
    assert faults(operator.page) == []
    operator.page.locator(pages.FIRST_ROW).first.click()
    operator.page.wait_for_load_state("networkidle")
    assert faults(operator.page) == []
    operator.open(pages.OPERATOR["price-proposals-all-new"])
    assert faults(operator.page) == []
    operator.open(pages.lists()["providers-priceproposal"])
    operator.page.locator("#action-toggle").check()
    operator.page.locator("select[name=action]").select_option("accept_chosen")
    operator.page.locator("button[name=index]").click()
    operator.page.wait_for_load_state("networkidle")
    assert operator.page.locator("p.figure").inner_text() == "3 proposals"
    assert faults(operator.page) == []
    operator.page.locator("form.period button").click()
    operator.page.wait_for_load_state("networkidle")
    assert faults(operator.page) == []
    assert proposals() == []
    assert operator.complaints == []


def test_monitoring_and_service_pages_with_figures(operator: Visitor) -> None:
    now = timezone.now()
    account = accounts.new(external_id="acct_42", at=now)
    account.save(force_insert=True)
    record(account, now, *({"event_id": f"{n}", "status_code": 500 if n < 2 else 200} for n in range(12)))
    answered = [
        entry(at=now - timedelta(hours=n), status=(200, 200, 404, 503)[n % 4], route=f"/{n % 3}/") for n in range(40)
    ]
    request_rows.store(request_rows.batch(answered))
    request_rows.store_drops(5, now)
    for path in ("/admin/monitoring/", "/admin/monitoring/?span=30d", "/admin/service/"):
        assert operator.open(path) == 200
        for closed in operator.page.locator("details:not([open]):not(.phone-menu) summary").all():
            closed.click()
        assert faults(operator.page) == []
    assert operator.complaints == []


def test_swagger_with_an_operation_tried_out(operator: Visitor) -> None:
    operator.open(pages.OPERATOR["api-docs"])
    operation = operator.page.locator(".opblock-post", has_text="/providers/detect/")
    operation.locator(".opblock-summary-control").click()
    operation.locator(".try-out__btn").click()
    operation.locator("textarea").fill('{"provider": "video", "model": "alibaba/wan-2.5/text-to-video"}')
    operation.locator(".btn.execute").click()
    status = operation.locator(".live-responses-table tbody .response-col_status").first.inner_text()
    assert status == "200"  # a session's POST, so the CSRF token went along
    assert faults(operator.page) == []
    assert operator.complaints == []


def faults(page: Page) -> list[str]:
    """What axe finds, and by how much the page is too wide: in light, dark, and on a phone."""
    found = []
    for scheme, size in LOOKS:
        width, height = chromium.SIZES[size]
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(250)  # links change colour over 150 ms
        found += [f"{page.url} {scheme} {size}: {fault}" for fault in _faults_now(page)]
    return found


def _faults_now(page: Page) -> list[str]:
    axe = Axe("") if page.evaluate("'axe' in window") else Axe()  # half a megabyte, once a page
    violations: list[dict[str, Any]] = axe.run(page, options=OPTIONS).response["violations"]
    found = [f"{violation['id']}: {node['html'][:200]}" for violation in violations for node in violation["nodes"]]
    too_wide = page.evaluate(TOO_WIDE)
    return [*found, f"{too_wide} px too wide"] if too_wide > 0 else found
