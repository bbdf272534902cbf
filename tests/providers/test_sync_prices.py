"""`manage.py sync_prices`: its options, its closing line, and its exit status."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from providers.models import PriceProposal
from providers.price_sources import Offer, Omission, genai
from tests.providers.offers import offer, proposals, rate, stored_state

pytestmark = pytest.mark.django_db


@pytest.fixture
def genai_statements(monkeypatch: pytest.MonkeyPatch) -> list[Offer | Omission]:
    """The statements of genai-prices in this test."""
    statements: list[Offer | Omission] = []
    monkeypatch.setattr(genai, "offers", lambda: iter(statements))
    return statements


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("sync_prices", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_proposals_are_stored_and_counted(genai_statements: list[Offer | Omission]) -> None:
    genai_statements += [
        offer("m-1"),
        offer("gpt-4o", rate("input_tokens", 9), rate("output_tokens", 10)),
        Omission("openai", "m-2", "a price by time of day"),
        Omission("openai", "m-3", "a price by time of day"),
    ]
    assert run("--source", "genai").splitlines() == [
        "left out 2: a price by time of day",
        (
            "4 statements read: 0 unchanged, 1 new, 1 changed, 0 gone; 1 flagged, 0 rejected before, 0 superseded, "
            "2 left out. Proposals have no effect until an operator accepts them."
        ),
    ]
    assert [proposal.pattern for proposal in proposals()] == ["m-1", "gpt-4o"]


def test_a_dry_run_prints_the_same_counts_and_writes_nothing(genai_statements: list[Offer | Omission]) -> None:
    genai_statements.append(offer())
    before = stored_state()
    assert run("--source", "genai", "--dry-run") == (
        "1 statements read: 0 unchanged, 1 new, 0 changed, 0 gone; 0 flagged, 0 rejected before, 0 superseded, "
        "0 left out. Nothing was stored.\n"
    )
    assert stored_state() == before


def test_valid_from_sets_the_first_day_of_new_prices(genai_statements: list[Offer | Omission]) -> None:
    genai_statements.append(offer())
    run("--source", "genai", "--valid-from", "2024-02-29")
    assert [proposal.valid_from for proposal in proposals()] == [date(2024, 2, 29)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "genai", "prices.json"], "takes no FILE"),
        (["--source", "litellm"], "litellm needs a FILE"),
        (["--source", "litellm", "/nowhere/prices.json"], "/nowhere/prices.json"),
        (["--source", "genai", "--valid-from", "soon"], "'soon' is not a date such as 2026-11-01"),
        (
            ["--source", "genai", "--valid-from", f"{datetime.now(UTC).date() + timedelta(days=2)}"],
            "must not be later than today",
        ),
    ],
)
def test_bad_use_is_reported_in_one_line_and_changes_nothing(
    genai_statements: list[Offer | Omission], arguments: list[str], message: str
) -> None:
    genai_statements.append(offer())
    before = stored_state()
    with pytest.raises(CommandError, match=message) as refused:
        run(*arguments)
    assert (refused.value.returncode, "\n" in str(refused.value)) == (2, False)
    assert stored_state() == before


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[1, 2]", '{"a": 1}', "\x00", "\ud800"])
def test_a_file_that_is_not_a_price_list_is_bad_use(tmp_path: Path, text: str) -> None:
    file = tmp_path / "prices.json"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    before = stored_state()
    with pytest.raises(CommandError) as refused:
        run("--source", "litellm", str(file))
    assert (refused.value.returncode, "\n" in str(refused.value)) == (2, False)
    assert stored_state() == before


def test_a_missing_package_is_reported_with_exit_status_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    with pytest.raises(CommandError, match="genai-prices is not installed") as refused:
        run("--source", "genai")
    assert refused.value.returncode == 2


def test_a_run_stopped_while_reading_writes_nothing(
    monkeypatch: pytest.MonkeyPatch, genai_statements: list[Offer | Omission]
) -> None:
    from lib import commands

    def stopping(progress: commands.Progress) -> Iterator[Any]:
        yield offer("m-1")
        progress.stopped = True
        yield offer("m-2")

    original_enter = commands.Progress.__enter__
    running: list[commands.Progress] = []

    def enter(self: commands.Progress) -> commands.Progress:
        running.append(self)
        return original_enter(self)

    monkeypatch.setattr(commands.Progress, "__enter__", enter)
    monkeypatch.setattr(genai, "offers", lambda: (statement for statement in stopping(running[0])))
    out = StringIO()
    with pytest.raises(SystemExit) as stopped:
        call_command("sync_prices", "--source", "genai", stdout=out, stderr=StringIO())
    assert (stopped.value.code, out.getvalue()) == (1, "Stopped before the end. Nothing was stored.\n")
    assert proposals() == []


def test_the_installed_package_proposes_over_a_thousand_prices_only_once(genai_prices: None) -> None:
    run("--source", "genai")
    assert PriceProposal.objects.filter(kind="new", state="open").count() > 1000
    before = stored_state()
    run("--source", "genai")
    assert stored_state() == before
