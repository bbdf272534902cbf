"""Settings: every name is documented, and a bad value names its variable."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import env

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_lists_exactly_the_settings_that_are_read() -> None:
    used = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', (ROOT / "config/settings.py").read_text())) | {"BACKFILL_BATCH"}
    listed = set(re.findall(r"^# ([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert used == listed


@pytest.mark.parametrize("value", ["many", "1.5", "-1", ""])
def test_an_invalid_number_names_its_variable(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SOME_NUMBER", value)
    with pytest.raises(ImproperlyConfigured, match="SOME_NUMBER"):
        env.integer("SOME_NUMBER", 5)


def test_an_invalid_flag_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_FLAG", "perhaps")
    with pytest.raises(ImproperlyConfigured, match="SOME_FLAG"):
        env.boolean("SOME_FLAG", default=True)


@pytest.mark.parametrize("value", ["600", "600/week", "0/day", "many/day"])
def test_an_invalid_rate_names_its_variable(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SOME_RATE", value)
    with pytest.raises(ImproperlyConfigured, match=f"SOME_RATE: '{value}' is not a rate"):
        env.rate("SOME_RATE", "60/minute")


def test_a_rate_may_be_by_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_RATE", "600/day")
    assert env.rate("SOME_RATE", "60/minute") == "600/day"


def test_an_invalid_choice_lists_the_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_CHOICE", "maybe")
    with pytest.raises(ImproperlyConfigured, match="allow, block"):
        env.choice("SOME_CHOICE", ("allow", "block"))
