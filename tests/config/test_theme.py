"""The theme is one small style sheet; error pages render without a context."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings
from django.template.loader import render_to_string

THEME = Path(settings.ROOT) / "static" / "tollgate" / "theme.css"


def test_the_theme_is_one_file_under_15_kb() -> None:
    assert THEME.stat().st_size < 15_000


@pytest.mark.parametrize(
    ("template", "title"),
    [
        ("400.html", "Bad request"),
        ("403.html", "Not allowed"),
        ("403_csrf.html", "Form expired"),
        ("404.html", "Page not found"),
        ("500.html", "Something went wrong"),
        ("503.html", "Unknown time zone"),
        ("registration/locked.html", "Too many failed logins"),
    ],
)
def test_an_error_page_needs_no_context(template: str, title: str) -> None:
    assert f"<h1>{title}</h1>" in render_to_string(template)
