"""The health card of a real server under load: healthy, warning at 7 % of failing requests, critical at 12 %, and back."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, Page

from bench.server import Server
from billing.accounts import access
from tests.proof import children

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

WINDOW_MINUTES = 1
POLL_SECONDS = 15
LATE_SECONDS = 10  # the recorder's second, the snapshot's two, and a busy machine
GOOD, FAILING = "/api/v1/plans/", "/api/v1/usage/logs/?page_size=0"


class Load:
    """Requests one after the other over one connection, by an API key."""

    def __init__(self, port: int) -> None:
        _, token = access.create_key(name="load", scopes=["read"], at=timezone.now())
        self._port, self._headers = port, {"Authorization": f"Bearer {token}"}

    def send(self, requests: int, failing: int) -> None:
        """`failing` of a hundred, evenly spread."""
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)) as connection:
            for number in range(requests):
                fails = (number + 1) * failing // 100 > number * failing // 100
                connection.request("GET", FAILING if fails else GOOD, headers=self._headers)
                answer = connection.getresponse()
                answer.read()
                assert answer.status == (422 if fails else 200)

    def trickle(self, ending: threading.Event) -> None:
        """Some good requests a second, as a service that is used goes on to have."""
        while not ending.wait(0.5):
            self.send(2, 0)


@pytest.fixture
def server() -> Iterator[Server]:
    environment = {
        **children.environment(),
        "DJANGO_SETTINGS_MODULE": "config.settings",  # with the request log, which the tests' settings switch off
        "HEALTH_WINDOW_MINUTES": str(WINDOW_MINUTES),
    }
    with Server(environment, workers=1, threads=2) as server:
        yield server


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """The dashboard, opened by an operator."""
    client = Client()
    client.force_login(User.objects.create_superuser("operator"))
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    site = f"http://127.0.0.1:{server.port}"
    context = browser.new_context()
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": site}])
    page = context.new_page()
    page.goto(f"{site}/admin/")
    yield page
    context.close()


def test_the_card_follows_the_errors_up_and_down_by_itself(server: Server, page: Page) -> None:
    load, shown = Load(server.port), _shown(page)
    load.send(30, failing=0)
    assert shown("Healthy") <= POLL_SECONDS + LATE_SECONDS
    load.send(300, failing=7)
    assert shown("Warning") <= POLL_SECONDS + LATE_SECONDS
    load.send(800, failing=12)
    assert shown("Critical") <= POLL_SECONDS + LATE_SECONDS

    ending = threading.Event()
    trickle = threading.Thread(target=load.trickle, args=[ending])
    trickle.start()
    try:  # the full minutes of the window and the running one have to go by
        assert shown("Healthy") <= (WINDOW_MINUTES + 1) * 60 + POLL_SECONDS + LATE_SECONDS
    finally:
        ending.set()
        trickle.join()


def _shown(page: Page) -> Callable[[str], float]:
    """How many seconds went by until the card said so; nobody presses Refresh."""

    def wait(state: str) -> float:
        started = time.monotonic()
        page.locator("[data-live$='health-card/'] .badge", has_text=state).first.wait_for(timeout=180_000)
        return time.monotonic() - started

    return wait
