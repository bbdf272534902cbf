"""`make shots`: writes a PNG of every page to shots/, at both widths and in both themes, from a temporary database."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from bench import chromium

ROOT = Path(__file__).resolve().parent.parent
SHOTS = ROOT / "shots"
PORT = int(os.environ.get("PORT", "8765"))
SITE = f"http://127.0.0.1:{PORT}"
WAIT_SECONDS = 30


def main() -> int:
    SHOTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        password = _create_database(folder)
        import django

        django.setup()
        _create_customer(password)
        with _server(), sync_playwright() as playwright:
            browser = chromium.launch(playwright)
            page = browser.new_page()
            files = list(_shoot_all(page, password))
            browser.close()
    print(f"{len(files)} screenshots in {SHOTS.relative_to(ROOT)}/")
    return 0


def _create_database(folder: str) -> str:
    """Create a database with demo data and one operator. Returns the operator's password."""
    password = secrets.token_urlsafe()
    os.environ |= {
        "VAR_DIR": folder,
        "DATABASE_URL": f"sqlite:///{folder}/shots.sqlite3",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DJANGO_SUPERUSER_PASSWORD": password,
        "KEEP_LOGS_DAYS": "30",
    }
    operator = ["createsuperuser", "--noinput", "--username", "operator", "--email", "operator@example.com"]
    sync, jobs = ["sync_prices", "--source", "genai"], ["run_jobs", "--once"]
    for command in (["migrate", "--verbosity", "0"], ["seed_demo"], sync, jobs, operator):
        subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, check=True)
    for module in ("bench.month_of_requests", "bench.archive_demo"):
        subprocess.run([sys.executable, "-m", module], cwd=ROOT, check=True)
    return password


def _create_customer(password: str) -> None:
    """Create a member of two demo accounts."""
    from django.contrib.auth import get_user_model

    from billing import demo
    from billing.accounts import accounts
    from billing.models import Membership

    user = get_user_model().objects.create_user("customer@example.com", "customer@example.com", password)
    for external_id in list(demo.ACCOUNTS)[:2]:
        Membership.objects.create(user=user, account=accounts.find([external_id])[external_id])


@contextmanager
def _server() -> Iterator[None]:
    command = [
        sys.executable,
        "-m",
        "granian",
        "--interface",
        "wsgi",
        "--port",
        str(PORT),
        "--no-ws",
        "config.wsgi:application",
    ]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        _wait_for_server()
        yield
    finally:
        process.terminate()
        process.wait()


def _wait_for_server() -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            urllib.request.urlopen(f"{SITE}/livez", timeout=2).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def _shoot_all(page: Page, password: str) -> Iterator[Path]:
    from bench import pages

    for name, path in pages.ANONYMOUS.items():
        page.goto(SITE + path)
        yield from _shoot(page, name)
    for user, login, paths, first_link in (
        ("customer@example.com", "/usage/login/", pages.CUSTOMER, pages.FIRST_LOG),
        (
            "operator",
            "/admin/login/",
            {**pages.OPERATOR, **pages.DEMO_DATA_ONLY, **pages.changelists()},
            pages.FIRST_RECORD,
        ),
    ):
        page.context.clear_cookies()
        _log_in(page, login, user, password)
        yield from _shoot_pages(page, paths, first_link)


def _log_in(page: Page, path: str, user: str, password: str) -> None:
    page.goto(SITE + path)
    page.fill("#id_username", user)
    page.fill("#id_password", password)
    page.click("form .button, [type=submit]")
    page.wait_for_load_state("networkidle")


def _shoot_pages(page: Page, paths: dict[str, str], first_link: str) -> Iterator[Path]:
    """Shoot each page, and the first record of each list."""
    for name, path in paths.items():
        page.goto(SITE + path)
        yield from _shoot(page, name)
        record = page.locator(first_link).first
        if record.count():
            record.click()
            yield from _shoot(page, f"{name}-record")


def _shoot(page: Page, name: str) -> Iterator[Path]:
    page.wait_for_load_state("networkidle")
    for scheme in chromium.SCHEMES:
        for size, (width, height) in chromium.SIZES.items():
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(250)  # links change colour over 150 ms
            path = SHOTS / f"{name}-{size}-{scheme}.png"
            page.screenshot(path=path, full_page=True)
            yield path


if __name__ == "__main__":
    sys.exit(main())
