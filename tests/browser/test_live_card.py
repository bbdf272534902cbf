"""The poller of live cards (static/tollgate/live.js), on a page and with answers of the test's own."""

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
LISTEN = "addEventListener('card:refreshed', (event) => (window.fired ??= []).push(event.detail.automatic))"
HIDE = """(hidden) => {
  Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
}"""


class Card:
    """The page with one card that polls every 15 seconds of a clock that the test moves."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor, self.page = visitor, visitor.page
        self.polls: list[str | None] = []  # the poll header of each request
        self.status, self.body = 200, "<p>fresh</p>"
        self.page.clock.install(time="2026-11-22T12:00:00Z")
        self.page.route("**/page/", lambda route: route.fulfill(body=CARD, content_type="text/html"))
        self.page.route("**/card/", self.answer)
        visitor.open("/page/")
        self.page.evaluate(LISTEN)

    def answer(self, route: Route) -> None:
        self.polls.append(route.request.headers.get("x-tollgate-poll"))
        headers = {"Date": "Sun, 22 Nov 2026 12:00:15 GMT"}
        route.fulfill(status=self.status, body=self.body, content_type="text/html", headers=headers)

    def after(self, seconds: int) -> int:
        """How many requests there were once that many more seconds had gone by."""
        self.page.clock.run_for(seconds * 1000)
        self.page.wait_for_timeout(100)
        return len(self.polls)

    def text(self) -> str:
        return self.page.inner_text("[data-live-body]")

    def stale(self) -> bool:
        return self.page.locator("[data-live-stale]").is_visible()


@pytest.fixture
def card(stranger: Visitor) -> Card:
    return Card(stranger)


def test_an_automatic_poll_says_so_shows_the_answer_and_its_time_and_fires_the_event(card: Card) -> None:
    assert card.after(14) == 0
    assert card.text() == "as the page came"

    assert card.after(1) == 1
    assert card.polls == ["1"]
    assert card.text() == "fresh"
    assert card.page.get_attribute("time", "datetime") == "2026-11-22T12:00:15.000Z"
    assert card.page.evaluate("window.fired") == [True]
    assert card.after(15) == 2
    assert card.visitor.complaints == []


def test_the_refresh_button_asks_at_once_without_the_poll_header(card: Card) -> None:
    card.page.click("[data-live-refresh]")
    assert card.after(0) == 1
    assert card.polls == [None]
    assert card.text() == "fresh"
    assert card.page.evaluate("window.fired") == [False]


def test_errors_mark_the_card_stale_and_double_the_wait_until_an_answer_comes(card: Card) -> None:
    card.status = 500
    assert card.after(15) == 1
    assert card.stale()
    assert card.text() == "as the page came"
    assert card.after(29) == 1
    assert card.after(1) == 2  # 30 s
    assert card.after(59) == 2

    card.status = 200
    assert card.after(1) == 3  # 60 s
    assert not card.stale()
    assert card.text() == "fresh"
    assert card.after(15) == 4


def test_the_wait_never_grows_over_five_minutes(card: Card) -> None:
    card.status = 500
    for wait in (15, 30, 60, 120, 240, 300):
        card.after(wait)
    assert len(card.polls) == 6
    assert card.after(299) == 6
    assert card.after(1) == 7


def test_a_hidden_tab_asks_nothing_and_a_shown_one_asks_at_once(card: Card) -> None:
    card.page.evaluate(HIDE, True)
    assert card.after(600) == 0
    card.page.evaluate(HIDE, False)
    assert card.after(0) == 1
    assert card.after(15) == 2


def test_the_login_page_of_an_ended_session_stays_out_of_the_card(card: Card) -> None:
    card.page.unroute("**/card/")
    card.page.route("**/card/", lambda route: route.fulfill(status=302, headers={"Location": "/admin/login/"}))
    card.after(15)
    assert card.stale()
    assert card.text() == "as the page came"


def test_what_somebody_works_in_is_not_replaced_by_a_poll(card: Card) -> None:
    card.body = "<a href='#'>details</a>"
    assert card.after(15) == 1
    card.page.focus("[data-live-body] a")

    card.body = "<p>newer</p>"
    assert card.after(15) == 2
    assert card.text() == "details"

    card.page.focus("[data-live-refresh]")
    assert card.after(15) == 3
    assert card.text() == "newer"


def test_copy_puts_the_code_on_the_clipboard(card: Card) -> None:
    card.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    card.page.click("[data-copy]")
    assert card.page.evaluate("navigator.clipboard.readText()") == "curl"
    assert card.page.inner_text("[data-copy]") == "Copied"
