"""The polling of live cards (static/tollgate/live.js), on a page with canned responses."""

from __future__ import annotations

import pytest
from playwright.sync_api import Route

from tests.browser.conftest import Visitor

pytestmark = pytest.mark.browser

CARD = """<!DOCTYPE html><html lang="en"><title>Card</title><script src="/static/tollgate/live.js" defer></script>
<section data-live="/card/" data-live-seconds="15">
  <button type="button" data-live-refresh>Refresh</button>
  <div data-live-body aria-live="polite">as the page came</div>
  <time data-live-time></time> <span data-live-stale hidden>stale</span>
</section>
<div class="snippet"><code>curl</code><button type="button" data-copy>Copy</button></div></html>"""
RECORD_EVENTS = "addEventListener('card:refreshed', (event) => (window.fired ??= []).push(event.detail.automatic))"
SET_HIDDEN = """(hidden) => {
  Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
}"""


class Card:
    """A page with one card that polls every 15 seconds, by a clock that the test moves."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor, self.page = visitor, visitor.page
        self.polls: list[str | None] = []  # the poll header of each request
        self.status, self.body = 200, "<p>fresh</p>"
        self.page.clock.install(time="2026-11-22T12:00:00Z")
        self.page.route("**/page/", lambda route: route.fulfill(body=CARD, content_type="text/html"))
        self.page.route("**/card/", self.fulfill)
        visitor.open("/page/")
        self.page.evaluate(RECORD_EVENTS)

    def fulfill(self, route: Route) -> None:
        self.polls.append(route.request.headers.get("x-tollgate-poll"))
        headers = {"Date": "Sun, 22 Nov 2026 12:00:15 GMT"}
        route.fulfill(status=self.status, body=self.body, content_type="text/html", headers=headers)

    def requests_after(self, seconds: int) -> int:
        """Moves the clock and returns the number of requests so far."""
        self.page.clock.run_for(seconds * 1000)
        self.page.wait_for_timeout(100)
        return len(self.polls)

    def text(self) -> str:
        return self.page.inner_text("[data-live-body]")

    def is_stale(self) -> bool:
        return self.page.locator("[data-live-stale]").is_visible()


@pytest.fixture
def card(anonymous: Visitor) -> Card:
    return Card(anonymous)


def test_a_poll_sends_its_header_shows_the_response_and_its_time_and_fires_the_event(card: Card) -> None:
    assert card.requests_after(14) == 0
    assert card.text() == "as the page came"

    assert card.requests_after(1) == 1
    assert card.polls == ["1"]
    assert card.text() == "fresh"
    assert card.page.get_attribute("time", "datetime") == "2026-11-22T12:00:15.000Z"
    assert card.page.evaluate("window.fired") == [True]
    assert card.requests_after(15) == 2
    assert card.visitor.console_errors == []


def test_the_refresh_button_requests_immediately_without_the_poll_header(card: Card) -> None:
    card.page.click("[data-live-refresh]")
    assert card.requests_after(0) == 1
    assert card.polls == [None]
    assert card.text() == "fresh"
    assert card.page.evaluate("window.fired") == [False]


def test_errors_mark_the_card_stale_and_double_the_wait_until_a_success(card: Card) -> None:
    card.status = 500
    assert card.requests_after(15) == 1
    assert card.is_stale()
    assert card.text() == "as the page came"
    assert card.requests_after(29) == 1
    assert card.requests_after(1) == 2  # 30 s
    assert card.requests_after(59) == 2

    card.status = 200
    assert card.requests_after(1) == 3  # 60 s
    assert not card.is_stale()
    assert card.text() == "fresh"
    assert card.requests_after(15) == 4


def test_the_wait_never_exceeds_five_minutes(card: Card) -> None:
    card.status = 500
    for wait in (15, 30, 60, 120, 240, 300):
        card.requests_after(wait)
    assert len(card.polls) == 6
    assert card.requests_after(299) == 6
    assert card.requests_after(1) == 7


def test_a_hidden_tab_requests_nothing_and_requests_immediately_when_visible(card: Card) -> None:
    card.page.evaluate(SET_HIDDEN, True)
    assert card.requests_after(600) == 0
    card.page.evaluate(SET_HIDDEN, False)
    assert card.requests_after(0) == 1
    assert card.requests_after(15) == 2


def test_an_expired_session_never_puts_the_login_page_into_the_card(card: Card) -> None:
    card.page.unroute("**/card/")
    card.page.route("**/card/", lambda route: route.fulfill(status=302, headers={"Location": "/admin/login/"}))
    card.requests_after(15)
    assert card.is_stale()
    assert card.text() == "as the page came"


def test_a_poll_does_not_replace_content_that_has_the_focus(card: Card) -> None:
    card.body = "<a href='#'>details</a>"
    assert card.requests_after(15) == 1
    card.page.focus("[data-live-body] a")

    card.body = "<p>newer</p>"
    assert card.requests_after(15) == 2
    assert card.text() == "details"

    card.page.focus("[data-live-refresh]")
    assert card.requests_after(15) == 3
    assert card.text() == "newer"


def test_the_copy_button_puts_the_code_on_the_clipboard(card: Card) -> None:
    card.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    card.page.click("[data-copy]")
    assert card.page.evaluate("navigator.clipboard.readText()") == "curl"
    assert card.page.inner_text("[data-copy]") == "Copied"
