"""`manage.py sync_prices --accept`: what it accepts, its closing line, its exit status and its audit trail."""

from __future__ import annotations

from datetime import date
from io import StringIO
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from providers.models import Price, PriceProposal
from providers.price_sources import Offer, Omission, genai
from tests.providers.offers import offer, proposals, rate, rates_on, stored_state
from tests.providers.proposal_pages import visible_text

pytestmark = pytest.mark.django_db

FLAGGED = (offer("m-2", without=("fee",)), offer(provider="newco", provider_name="New Co", hosts=("api.newco.ai",)))
DROPPING = offer("gpt-4o", rate("input_tokens", "2.5"))


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[Offer | Omission]:
    """The statements of genai-prices in this test."""
    statements: list[Offer | Omission] = []
    monkeypatch.setattr(genai, "offers", lambda: iter(statements))
    return statements


def run(*options: str) -> tuple[int, list[str]]:
    """The exit status and the lines."""
    out = StringIO()
    try:
        call_command("sync_prices", "--source", "genai", *options, stdout=out, stderr=StringIO())
    except SystemExit as stopped:
        return int(stopped.code or 0), out.getvalue().splitlines()
    return 0, out.getvalue().splitlines()


def test_new_prices_without_a_flag_are_accepted_and_the_others_counted(statements: list[Offer | Omission]) -> None:
    statements += [offer("m-1"), *FLAGGED, DROPPING]
    assert run("--accept", "new") == (
        0,
        [
            "1 offered without fee",
            "4 statements read: 0 unchanged, 3 new, 1 changed, 0 gone; 3 flagged, 0 rejected before, 0 superseded, 0 left out.",
            "1 accepted, in force from now on; 3 still open: 3 flagged.",
        ],
    )
    assert [proposal.pattern for proposal in proposals("accepted")] == ["m-1"]
    assert rates_on("m-1", timezone.now().date()) == (rate("input_tokens", 2),)


def test_all_accepts_flagged_ones_too_but_drops_no_rates(statements: list[Offer | Omission]) -> None:
    statements += [offer("m-1"), *FLAGGED, DROPPING]
    status, lines = run("--accept", "all")
    assert (status, lines[-1]) == (
        1,
        (
            "3 accepted, in force from now on; 1 still open: 1 flagged, 1 would drop rates "
            "(--drop-rates). Proposed detection rules to review: 1."
        ),
    )
    assert [proposal.pattern for proposal in proposals()] == ["gpt-4o"]
    status, lines = run("--accept", "all", "--drop-rates")
    assert (status, lines[-1].partition(".")[0]) == (
        0,
        "1 accepted, in force from now on; 0 still open: 0 flagged",
    )
    assert rates_on("gpt-4o", timezone.now().date()) == (rate("input_tokens", "2.5"),)


@pytest.mark.parametrize("choice", ["new", "all"])
def test_a_second_run_accepts_nothing(statements: list[Offer | Omission], choice: str) -> None:
    statements += [offer("m-1"), *FLAGGED]
    run("--accept", choice)
    before = stored_state()
    status, lines = run("--accept", choice)
    assert (status, lines[-1].partition(";")[0]) == (0, "0 accepted, in force from now on")
    assert stored_state() == before


def test_the_prices_begin_on_the_stated_day(statements: list[Offer | Omission]) -> None:
    statements.append(offer("m-1"))
    run("--accept", "new", "--valid-from", "2024-02-29")
    assert Price.objects.get(pattern="m-1").valid_from == date(2024, 2, 29)


def test_the_audit_trail_names_the_command(statements: list[Offer | Omission], operator: Client) -> None:
    statements.append(offer("m-1"))
    run("--accept", "new")
    price, (proposal,) = Price.objects.get(pattern="m-1"), proposals("accepted")
    entries = {
        entry.content_type.model: entry for entry in LogEntry.objects.filter(content_type__app_label="providers")
    }
    assert entries["priceproposal"].changes == {"state": ["open", "accepted"], "price": ["None", str(price.pk)]}
    assert (entries["price"].object_id, entries["price"].action) == (price.pk, LogEntry.Action.CREATE)
    assert {str(entry.additional_data) for entry in entries.values()} == {"{'command': 'sync_prices --accept'}"}
    assert {(entry.actor, entry.actor_email) for entry in entries.values()} == {(None, None)}
    assert (proposal.decided_by, proposal.decided_at is None, proposal.price) == (None, False, price)
    page = visible_text(operator.get(f"/admin/providers/price/{price.pk}/change/"))
    assert "sync_prices --accept" in page


def test_proposals_of_another_source_are_not_accepted(statements: list[Offer | Omission], propose: Any) -> None:
    propose(offer("m-9"), source="litellm")
    statements.append(offer("m-1"))
    assert run("--accept", "all")[1][-1] == "1 accepted, in force from now on; 0 still open: 0 flagged."
    assert [proposal.pattern for proposal in proposals()] == ["m-9"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--accept", "new", "--dry-run"], "--accept stores prices and --dry-run stores nothing"),
        (["--accept", "new", "--drop-rates"], "--drop-rates needs --accept all"),
        (["--drop-rates"], "--drop-rates needs --accept all"),
    ],
)
def test_bad_use_changes_nothing(statements: list[Offer | Omission], options: list[str], message: str) -> None:
    statements.append(offer("m-1"))
    before = stored_state()
    with pytest.raises(CommandError, match=message) as refused:
        run(*options)
    assert refused.value.returncode == 2
    assert stored_state() == before


@pytest.mark.usefixtures("genai_prices")
def test_the_installed_package_is_accepted_whole_and_only_once() -> None:
    assert run("--accept", "all", "--drop-rates")[0] == 0
    assert PriceProposal.objects.filter(state="accepted").count() > 2000
    before = stored_state()
    assert run("--accept", "all")[1][-1].startswith("0 accepted, in force from now on; 0 still open: 0 flagged.")
    assert stored_state() == before
