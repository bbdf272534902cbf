"""WCAG A and AA checks by axe, page width and console errors: every page, in both themes, on desktop and phone."""

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
from billing.corrections.repricing import RepricingChoice
from monitoring import request_rows
from providers import price_edits
from providers.models import Price, PriceRate
from tests.billing.usage import record
from tests.browser.conftest import Visitor
from tests.monitoring.conftest import entry
from tests.providers.offers import offer, proposals, sync

pytestmark = pytest.mark.browser

WCAG_LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
# With `preload`, axe injects its own style sheets, which the Content-Security-Policy reports as errors.
AXE_OPTIONS = {"resultTypes": ["violations"], "runOnly": WCAG_LEVELS, "preload": False}
THEMES_AND_SIZES: tuple[tuple[Literal["light", "dark"], str], ...] = (
    ("light", "desktop"),
    ("dark", "desktop"),
    ("light", "phone"),
)
EXCESS_WIDTH = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def test_the_login_page_has_no_problems(anonymous: Visitor) -> None:
    assert anonymous.open(pages.ANONYMOUS["login"]) == 200
    assert page_problems(anonymous.page) == []
    assert anonymous.console_errors == []


def test_the_not_found_page_has_no_problems(anonymous: Visitor) -> None:
    assert anonymous.open(pages.ANONYMOUS["not-found"]) == 404
    assert page_problems(anonymous.page) == []
    assert anonymous.console_errors == []


@pytest.mark.parametrize("path", pages.OPERATOR.values(), ids=pages.OPERATOR.keys())
def test_each_admin_page_has_no_problems(operator: Visitor, path: str) -> None:
    operator.open(path)
    assert page_problems(operator.page) == []
    assert operator.console_errors == []


@pytest.mark.parametrize("path", pages.changelists().values(), ids=pages.changelists().keys())
def test_each_list_its_first_record_and_its_add_form_have_no_problems(operator: Visitor, path: str) -> None:
    assert operator.open(path) == 200
    assert page_problems(operator.page) == []
    first_record = operator.page.locator(pages.FIRST_RECORD).first
    if first_record.count():
        first_record.click()
        operator.page.wait_for_load_state("networkidle")
        assert page_problems(operator.page) == []
    if operator.open(f"{path}add/") == 200:
        assert page_problems(operator.page) == []
    assert operator.console_errors == []


def test_the_pages_from_an_unpriced_model_to_an_unfinished_batch_have_no_problems(operator: Visitor) -> None:
    now = timezone.now()
    account = accounts.build(external_id="acct_42", at=now)
    account.save(force_insert=True)
    used = {"usage": {"input_tokens": 1_000_000}}
    record(account, now, {"model": "gpt-4o", **used}, {"model": "new", **used}, {"provider": "video"})
    gpt_4o = Price.objects.get(pattern="gpt-4o")
    price_edits.add_revision(price=gpt_4o, rates=[PriceRate(unit="input_tokens", nano_per_million=10**9)])
    batch = repricing.start(RepricingChoice(provider="openai"), reason="a lower price", actor="operator", at=now)

    for path in (
        "/admin/billing/unpriced/",
        "/admin/billing/unpriced/price/?provider=openai&model=new",
        "/admin/billing/correctionbatch/reprice/?provider=openai",
        f"/admin/billing/correctionbatch/{batch.pk}/change/",
        f"/admin/providers/price/{gpt_4o.pk}/change/",
        f"/admin/providers/price/add/?after={gpt_4o.pk}",
    ):
        assert operator.open(path) == 200
        assert page_problems(operator.page) == []
    assert operator.console_errors == []


def test_the_pages_of_price_proposals_have_no_problems(operator: Visitor) -> None:
    offers = [offer("gpt-4o", aliases=("a",)), offer("m-1"), offer("image-1", provider="newco", provider_name="New Co")]
    sync(*offers, at=timezone.now())
    operator.open(pages.changelists()["providers-priceproposal"])
    assert page_problems(operator.page) == []
    operator.page.locator(pages.FIRST_RECORD).first.click()
    operator.page.wait_for_load_state("networkidle")
    assert page_problems(operator.page) == []
    operator.open(pages.OPERATOR["price-proposals-all-new"])
    assert page_problems(operator.page) == []
    operator.open(pages.changelists()["providers-priceproposal"])
    operator.page.locator("#action-toggle").check()
    operator.page.locator("select[name=action]").select_option("accept_chosen")
    operator.page.locator("button[name=index]").click()
    operator.page.wait_for_load_state("networkidle")
    assert operator.page.locator("p.figure").inner_text() == "3 proposals"
    assert page_problems(operator.page) == []
    operator.page.locator("[name=drop_rates]").check()  # the proposal for gpt-4o lacks rates of its price
    operator.page.locator("form.period button").click()
    operator.page.wait_for_load_state("networkidle")
    assert page_problems(operator.page) == []
    assert proposals() == []
    assert operator.console_errors == []


def test_the_monitoring_and_service_pages_with_data_have_no_problems(operator: Visitor) -> None:
    now = timezone.now()
    account = accounts.build(external_id="acct_42", at=now)
    account.save(force_insert=True)
    record(account, now, *({"event_id": f"{n}", "status_code": 500 if n < 2 else 200} for n in range(12)))
    requests = [
        entry(at=now - timedelta(hours=n), status=(200, 200, 404, 503)[n % 4], route=f"/{n % 3}/") for n in range(40)
    ]
    request_rows.store(request_rows.build_batch(requests))
    request_rows.store_drops(5, now)
    for path in ("/admin/monitoring/", "/admin/monitoring/?span=30d", "/admin/service/"):
        assert operator.open(path) == 200
        for summary in operator.page.locator("details:not([open]):not(.phone-menu) summary").all():
            summary.click()
        assert page_problems(operator.page) == []
    assert operator.console_errors == []


def test_the_api_docs_with_an_executed_operation_have_no_problems(operator: Visitor) -> None:
    operator.open(pages.OPERATOR["api-docs"])
    operation = operator.page.locator(".opblock-post", has_text="/providers/detect/")
    operation.locator(".opblock-summary-control").click()
    operation.locator(".try-out__btn").click()
    operation.locator("textarea").fill('{"provider": "video", "model": "alibaba/wan-2.5/text-to-video"}')
    operation.locator(".btn.execute").click()
    status = operation.locator(".live-responses-table tbody .response-col_status").first.inner_text()
    assert status == "200"  # a POST with session cookies, so the CSRF token was sent
    assert page_problems(operator.page) == []
    assert operator.console_errors == []


def page_problems(page: Page) -> list[str]:
    """Violations reported by axe and excess page width, in each theme and size."""
    problems = []
    for scheme, size in THEMES_AND_SIZES:
        width, height = chromium.SIZES[size]
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(250)  # links change colour over 150 ms
        problems += [f"{page.url} {scheme} {size}: {problem}" for problem in _current_problems(page)]
    return problems


def _current_problems(page: Page) -> list[str]:
    axe = Axe("") if page.evaluate("'axe' in window") else Axe()  # half a megabyte of script, injected once per page
    violations: list[dict[str, Any]] = axe.run(page, options=AXE_OPTIONS).response["violations"]
    problems = [f"{violation['id']}: {node['html'][:200]}" for violation in violations for node in violation["nodes"]]
    excess_width = page.evaluate(EXCESS_WIDTH)
    return [*problems, f"{excess_width} px too wide"] if excess_width > 0 else problems
