"""Runs Chromium against a real server. Without the browser these tests fail, because a skipped test proves nothing."""

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

# Playwright's sync API runs an event loop in this thread, so Django would refuse every query as made from async code.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks these tests as using the real clock: Chromium uses it, and drops cookies from a server whose clock is behind."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.real_clock(reason="drives Chromium, which has the real clock"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    try:
        version = subprocess.run(
            [chromium.PATH, "--version"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except OSError as error:
        version = f"missing, so that every browser test fails ({error})"
    terminalreporter.write_line(f"browser: {version}")


@pytest.fixture(scope="session", autouse=True)
def browser() -> Iterator[Browser]:
    """Started before the database is made: Playwright's event loop gives its thread other connections from then on, and the
    one that made the database knows the shipped rows that each test restores.
    """
    with sync_playwright() as playwright:
        browser = chromium.launch(playwright)
        yield browser
        browser.close()


@dataclass
class Visitor:
    """A browser tab, and the errors and warnings that its console showed."""

    site: str
    page: Page
    console_errors: list[str] = field(default_factory=list)

    def listen(self) -> None:
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.console_errors.append(str(error)))

    def _on_console(self, message: ConsoleMessage) -> None:
        failed_page_load = message.location["url"] == self.page.url and "Failed to load resource" in message.text
        if message.type in {"error", "warning"} and not failed_page_load:
            self.console_errors.append(message.text)

    def open(self, path: str) -> int:
        """Opens a page and waits until the network is idle. Returns the HTTP status."""
        response = self.page.goto(self.site + path)
        self.page.wait_for_load_state("networkidle")
        assert response is not None
        return response.status


@pytest.fixture
def site(django_db_serialized_rollback: None, live_server: Any) -> str:
    """The server's URL. The providers, rules and prices that migrations create exist in every test."""
    return str(live_server.url)


@pytest.fixture
def new_visitor(browser: Browser, site: str) -> Iterator[Callable[..., Visitor]]:
    """Opens tabs with separate cookies and storage; keyword arguments go to Playwright's `new_context`."""
    contexts = []

    def open_tab(**options: Any) -> Visitor:
        context = browser.new_context(**options)
        contexts.append(context)
        visitor = Visitor(site, context.new_page())
        visitor.listen()
        return visitor

    yield open_tab
    for context in contexts:
        context.close()


@pytest.fixture
def anonymous(new_visitor: Callable[..., Visitor]) -> Visitor:
    return new_visitor()


@pytest.fixture
def operator(new_visitor: Callable[..., Visitor]) -> Visitor:
    """A superuser, logged in."""
    client = Client()
    client.force_login(User.objects.create_superuser("operator", "operator@example.com", "a-long-password"))
    visitor = new_visitor()
    visitor.page.context.add_cookies(
        [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": visitor.site}]
    )
    return visitor
