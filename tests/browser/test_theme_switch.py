"""The light and dark themes: the system's preference, or the choice made with the switch, which is remembered."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.conftest import Visitor

pytestmark = pytest.mark.browser

LIGHT, DARK = "rgb(245, 246, 249)", "rgb(14, 18, 26)"


def background(visitor: Visitor) -> str:
    return str(visitor.page.evaluate("getComputedStyle(document.body).backgroundColor"))


@pytest.mark.parametrize(("preference", "colour"), [("light", LIGHT), ("dark", DARK)])
def test_the_system_preference_is_followed(new_visitor: Callable[..., Visitor], preference: str, colour: str) -> None:
    visitor = new_visitor(color_scheme=preference)
    visitor.open("/admin/login/")
    assert background(visitor) == colour


def test_the_switch_overrides_the_system_preference_and_is_remembered(new_visitor: Callable[..., Visitor]) -> None:
    visitor = new_visitor(color_scheme="light")
    visitor.open("/admin/login/")
    visitor.page.click(".theme-toggle")
    assert background(visitor) == DARK

    visitor.open("/nothing-is-here/")
    assert background(visitor) == DARK

    visitor.page.click(".theme-toggle")
    assert background(visitor) == LIGHT
