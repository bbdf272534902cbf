"""The health card of a real server under load: warning at 7 % failing requests, critical at 12 %, then healthy again."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
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
MAX_DELAY_SECONDS = 10  # one for the recorder, two for the snapshot, the rest for a busy machine
SUCCEEDING, FAILING = "/api/v1/plans/", "/api/v1/usage/logs/?page_size=0"


class Load:
    """Sends requests one at a time over one connection, with an API key."""

    def __init__(self, port: int) -> None:
        _, token = access.create_key(name="load", scopes=["read"], at=timezone.now())
        self._port, self._headers = port, {"Authorization": f"Bearer {token}"}

    def send(self, requests: int, failing: int) -> None:
        """Sends requests of which `failing` percent fail, evenly spread."""
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)) as connection:
            for number in range(requests):
                fails = (number + 1) * failing // 100 > number * failing // 100
                connection.request("GET", FAILING if fails else SUCCEEDING, headers=self._headers)
                response = connection.getresponse()
                response.read()
                assert response.status == (422 if fails else 200)

    def trickle(self, stop: threading.Event) -> None:
        """Sends a few succeeding requests a second until `stop` is set, like a service in use."""
        while not stop.wait(0.5):
            self.send(2, 0)


@pytest.fixture
def server() -> Iterator[Server]:
    environment = {
        **children.environment(),
        "DJANGO_SETTINGS_MODULE": "config.settings",  # has the request log, which the test settings switch off
        "HEALTH_WINDOW_MINUTES": str(WINDOW_MINUTES),
    }
    with Server(environment, workers=1, threads=2) as server:
        yield server


@pytest.fixture
def admin_page(browser: Browser, server: Server) -> Iterator[Page]:
    """The admin's first page, opened by an operator."""
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


def test_the_card_follows_the_error_rate_up_and_down_automatically(server: Server, admin_page: Page) -> None:
    load = Load(server.port)
    load.send(30, failing=0)
    assert _seconds_until(admin_page, "Healthy") <= POLL_SECONDS + MAX_DELAY_SECONDS
    load.send(300, failing=7)
    assert _seconds_until(admin_page, "Warning") <= POLL_SECONDS + MAX_DELAY_SECONDS
    load.send(800, failing=12)
    assert _seconds_until(admin_page, "Critical") <= POLL_SECONDS + MAX_DELAY_SECONDS

    stop = threading.Event()
    trickle = threading.Thread(target=load.trickle, args=[stop])
    trickle.start()
    try:  # the full minutes of the window and the current one must pass first
        assert _seconds_until(admin_page, "Healthy") <= (WINDOW_MINUTES + 1) * 60 + POLL_SECONDS + MAX_DELAY_SECONDS
    finally:
        stop.set()
        trickle.join()


def _seconds_until(page: Page, state: str) -> float:
    """Waits until the card shows the state, without a press of Refresh. Returns the seconds waited."""
    started = time.monotonic()
    page.locator("[data-live$='health-card/'] .badge", has_text=state).first.wait_for(timeout=180_000)
    return time.monotonic() - started
