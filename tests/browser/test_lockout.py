"""Five wrong passwords lock the login of that user from that address, with a page that says so."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from tests.browser.conftest import Visitor
from tests.browser.test_accessibility import page_problems

pytestmark = pytest.mark.browser


def log_in(visitor: Visitor, password: str) -> int:
    visitor.open("/admin/login/?next=/admin/password_change/")
    visitor.page.fill("#id_username", "operator")
    visitor.page.fill("#id_password", password)
    with visitor.page.expect_navigation() as navigation:
        visitor.page.click("[type=submit]")
    response = navigation.value
    assert response is not None
    return response.status


def test_the_fifth_wrong_password_locks_the_login_even_for_the_right_password(anonymous: Visitor) -> None:
    User.objects.create_superuser("operator", "operator@example.com", "a-long-password")

    assert [log_in(anonymous, "wrong") for _ in range(4)] == [200, 200, 200, 200]
    assert log_in(anonymous, "wrong") == 429
    assert anonymous.page.locator("h1").inner_text() == "Too many failed logins"
    assert "Login as operator from this address is locked after 5 wrong passwords." in anonymous.page.inner_text("main")
    assert "Try again 1 hour after the last attempt." in anonymous.page.inner_text("main")
    assert page_problems(anonymous.page) == []

    assert log_in(anonymous, "a-long-password") == 429
    assert anonymous.page.locator("h1").inner_text() == "Too many failed logins"
    assert anonymous.console_errors == []


def test_the_right_password_logs_in(anonymous: Visitor) -> None:
    User.objects.create_superuser("operator", "operator@example.com", "a-long-password")

    assert log_in(anonymous, "a-long-password") == 200
    assert anonymous.page.url == f"{anonymous.site}/admin/password_change/"
