"""Launches Chromium for the browser tests and `make shots`."""

from __future__ import annotations

from typing import Literal

from playwright.sync_api import Browser, Playwright

PATH = "/usr/bin/chromium"  # Debian's package; no download by Playwright
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


def launch(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path=PATH, args=FLAGS)
