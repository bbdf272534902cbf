"""A real Chromium against a real server. Without the browser these tests fail: a skipped test proves nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from bench import chromium

# Playwright's sync API runs a loop in this thread; Django then takes every query in it for one made from async code.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Chromium has the real clock, and drops the cookies of a server whose clock is behind it."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.real_clock(reason="drives Chromium, which has the real clock"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    try:
        found = subprocess.run([chromium.PATH, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    except OSError as error:
        found = f"missing, so that every browser test fails ({error})"
    terminalreporter.write_line(f"browser: {found}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = chromium.launch(playwright)
        yield browser
        browser.close()


@dataclass
class Visitor:
    """A tab of its own, and everything that its console complained about."""

    site: str
    page: Page
    complaints: list[str] = field(default_factory=list)

    def listen(self) -> None:
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _on_console(self, message: ConsoleMessage) -> None:
        about_the_page_itself = message.location["url"] == self.page.url and "Failed to load resource" in message.text
        if message.type in {"error", "warning"} and not about_the_page_itself:
            self.complaints.append(message.text)

    def open(self, path: str) -> int:
        """The answer's status, once the page is at rest."""
        response = self.page.goto(self.site + path)
        self.page.wait_for_load_state("networkidle")
        assert response is not None
        return response.status


@pytest.fixture
def site(django_db_serialized_rollback: None, live_server: Any) -> str:
    """The server's address. What migrations shipped (providers, rules, prices) is there in every test."""
    return str(live_server.url)


@pytest.fixture
def visit(browser: Browser, site: str) -> Iterator[Callable[..., Visitor]]:
    """Opens tabs, each with cookies and storage of its own; keywords go to Playwright's `new_context`."""
    contexts = []

    def new(**options: Any) -> Visitor:
        context = browser.new_context(**options)
        contexts.append(context)
        visitor = Visitor(site, context.new_page())
        visitor.listen()
        return visitor

    yield new
    for context in contexts:
        context.close()


@pytest.fixture
def stranger(visit: Callable[..., Visitor]) -> Visitor:
    return visit()


@pytest.fixture
def operator(visit: Callable[..., Visitor]) -> Visitor:
    """Logged in with every permission."""
    client = Client()
    client.force_login(User.objects.create_superuser("operator", "operator@example.com", "a-long-password"))
    visitor = visit()
    visitor.page.context.add_cookies(
        [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": visitor.site}]
    )
    return visitor
