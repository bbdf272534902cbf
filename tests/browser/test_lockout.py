"""Five wrong passwords lock the log-in for that user from that address, and say so on a page of ours."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from tests.browser.conftest import Visitor
from tests.browser.test_accessibility import faults

pytestmark = pytest.mark.browser


def log_in(visitor: Visitor, password: str) -> int:
    visitor.open("/admin/login/?next=/admin/password_change/")
    visitor.page.fill("#id_username", "operator")
    visitor.page.fill("#id_password", password)
    with visitor.page.expect_navigation() as answer:
        visitor.page.click("[type=submit]")
    response = answer.value
    assert response is not None
    return response.status


def test_the_fifth_wrong_password_locks_and_the_right_one_is_refused_then(stranger: Visitor) -> None:
    User.objects.create_superuser("operator", "operator@example.com", "a-long-password")

    assert [log_in(stranger, "wrong") for _ in range(4)] == [200, 200, 200, 200]
    assert log_in(stranger, "wrong") == 429
    assert stranger.page.locator("h1").inner_text() == "Too many failed log-ins"
    assert "After 5 wrong passwords, logging in as operator from this address is locked." in stranger.page.inner_text(
        "main"
    )
    assert "It opens by itself 1 hour after the last try." in stranger.page.inner_text("main")
    assert faults(stranger.page) == []

    assert log_in(stranger, "a-long-password") == 429
    assert stranger.page.locator("h1").inner_text() == "Too many failed log-ins"
    assert stranger.complaints == []


def test_the_right_password_logs_in(stranger: Visitor) -> None:
    User.objects.create_superuser("operator", "operator@example.com", "a-long-password")

    assert log_in(stranger, "a-long-password") == 200
    assert stranger.page.url == f"{stranger.site}/admin/password_change/"
