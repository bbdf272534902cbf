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
from providers.price_sources import Left, Offer, genai
from tests.providers.offers import everything, offer, proposals, rate

pytestmark = pytest.mark.django_db


@pytest.fixture
def stated(monkeypatch: pytest.MonkeyPatch) -> list[Offer | Left]:
    """What genai-prices says in this test."""
    statements: list[Offer | Left] = []
    monkeypatch.setattr(genai, "offers", lambda: iter(statements))
    return statements


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("sync_prices", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_proposals_are_written_and_counted_and_nothing_is_priced(stated: list[Offer | Left]) -> None:
    stated += [
        offer("m-1"),
        offer("gpt-4o", rate("input_tokens", 9), rate("output_tokens", 10)),
        Left("openai", "m-2", "a price by time of day"),
        Left("openai", "m-3", "a price by time of day"),
    ]
    assert run("--source", "genai").splitlines() == [
        "left out 2: a price by time of day",
        (
            "4 statements read: 0 unchanged, 1 new, 1 changed, 0 gone; 1 flagged, 0 rejected before, 0 superseded, "
            "2 left out. Nothing is priced until an operator accepts it."
        ),
    ]
    assert [one.pattern for one in proposals()] == ["m-1", "gpt-4o"]


def test_a_dry_run_says_the_same_and_writes_nothing(stated: list[Offer | Left]) -> None:
    stated.append(offer())
    before = everything()
    assert run("--source", "genai", "--dry-run") == (
        "1 statements read: 0 unchanged, 1 new, 0 changed, 0 gone; 0 flagged, 0 rejected before, 0 superseded, "
        "0 left out. Nothing was written.\n"
    )
    assert everything() == before


def test_where_new_prices_begin_can_be_said(stated: list[Offer | Left]) -> None:
    stated.append(offer())
    run("--source", "genai", "--valid-from", "2024-02-29")
    assert [one.valid_from for one in proposals()] == [date(2024, 2, 29)]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--source", "genai", "prices.json"], "takes no FILE"),
        (["--source", "litellm"], "litellm reads a FILE"),
        (["--source", "litellm", "/nowhere/prices.json"], "/nowhere/prices.json"),
        (["--source", "genai", "--valid-from", "soon"], "'soon' is no date such as 2026-11-01"),
        (
            ["--source", "genai", "--valid-from", f"{datetime.now(UTC).date() + timedelta(days=2)}"],
            "a day up to today",
        ),
    ],
)
def test_bad_use_is_told_in_one_line_and_changes_nothing(
    stated: list[Offer | Left], arguments: list[str], told: str
) -> None:
    stated.append(offer())
    before = everything()
    with pytest.raises(CommandError, match=told) as refused:
        run(*arguments)
    assert (refused.value.returncode, "\n" in str(refused.value)) == (2, False)
    assert everything() == before


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[1, 2]", '{"a": 1}', "\x00", "\ud800"])
def test_a_file_that_is_no_price_list_is_bad_use(tmp_path: Path, text: str) -> None:
    file = tmp_path / "prices.json"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    before = everything()
    with pytest.raises(CommandError) as refused:
        run("--source", "litellm", str(file))
    assert (refused.value.returncode, "\n" in str(refused.value)) == (2, False)
    assert everything() == before


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    with pytest.raises(CommandError, match="genai-prices is not installed") as refused:
        run("--source", "genai")
    assert refused.value.returncode == 2


def test_stopped_while_reading_it_has_written_nothing(
    monkeypatch: pytest.MonkeyPatch, stated: list[Offer | Left]
) -> None:
    from lib import commands

    def stopping(progress: commands.Progress) -> Iterator[Any]:
        yield offer("m-1")
        progress.stopped = True
        yield offer("m-2")

    entered = commands.Progress.__enter__
    running: list[commands.Progress] = []

    def enter(self: commands.Progress) -> commands.Progress:
        running.append(self)
        return entered(self)

    monkeypatch.setattr(commands.Progress, "__enter__", enter)
    monkeypatch.setattr(genai, "offers", lambda: (one for one in stopping(running[0])))
    out = StringIO()
    with pytest.raises(SystemExit) as stopped:
        call_command("sync_prices", "--source", "genai", stdout=out, stderr=StringIO())
    assert (stopped.value.code, out.getvalue()) == (1, "Stopped before the end: nothing was written.\n")
    assert proposals() == []


def test_the_real_package_proposes_over_a_thousand_prices_once(genai_prices: None) -> None:
    run("--source", "genai")
    assert PriceProposal.objects.filter(kind="new", state="open").count() > 1000
    before = everything()
    run("--source", "genai")
    assert everything() == before
