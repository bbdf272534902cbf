"""Light and dark: by the system's wish, or by the switch, which is remembered."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.conftest import Visitor

pytestmark = pytest.mark.browser

LIGHT, DARK = "rgb(245, 246, 249)", "rgb(14, 18, 26)"


def background(visitor: Visitor) -> str:
    return str(visitor.page.evaluate("getComputedStyle(document.body).backgroundColor"))


@pytest.mark.parametrize(("wish", "colour"), [("light", LIGHT), ("dark", DARK)])
def test_the_systems_wish_is_followed(visit: Callable[..., Visitor], wish: str, colour: str) -> None:
    visitor = visit(color_scheme=wish)
    visitor.open("/admin/login/")
    assert background(visitor) == colour


def test_the_switch_wins_over_the_system_and_is_remembered(visit: Callable[..., Visitor]) -> None:
    visitor = visit(color_scheme="light")
    visitor.open("/admin/login/")
    visitor.page.click(".theme-toggle")
    assert background(visitor) == DARK

    visitor.open("/nothing-is-here/")
    assert background(visitor) == DARK

    visitor.page.click(".theme-toggle")
    assert background(visitor) == LIGHT
