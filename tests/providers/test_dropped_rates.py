"""A proposal that lacks rates of the current price: it is flagged, and accepted only if somebody confirms it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from providers import price_decisions
from providers.models import PriceProposal
from tests.providers.offers import accept, offer, proposals, rate, rates_on, stored_state
from tests.providers.proposal_pages import LIST_URL, change_url, decide, hidden_fields, run_action, visible_text

pytestmark = pytest.mark.django_db

INPUT, OUTPUT = rate("input_tokens", 2), rate("output_tokens", 8)
BATCH, CACHED = rate("input_tokens", 1, "service_tier=batch"), rate("cached_input_tokens", "0.5")


@pytest.fixture
def second_source(propose: Any) -> PriceProposal:
    """The open proposal of a source without batch and cached rates, which the accepted price of another one has."""
    accept(*propose(offer("m-1", INPUT, OUTPUT, BATCH, CACHED)), at=timezone.now())
    (proposal,) = propose(offer("m-1", INPUT, OUTPUT), source="litellm")
    return PriceProposal.objects.get(pk=proposal.pk)


def test_a_second_source_without_some_rates_is_flagged(second_source: PriceProposal) -> None:
    assert (second_source.kind, second_source.drops_rates) == ("changed", True)
    assert price_decisions.dropped_rates(second_source) == [CACHED, BATCH]


def test_one_with_all_of_them_is_not(second_source: PriceProposal, propose: Any) -> None:
    dearer = rate("input_tokens", "1.5", "service_tier=batch")
    propose(offer("m-1", INPUT, OUTPUT, dearer, CACHED, rate("searches", 3)), source="litellm")
    assert [proposal.drops_rates for proposal in proposals()] == [False]


def test_it_is_not_accepted_without_a_confirmation(operator: Client, second_source: PriceProposal) -> None:
    before = stored_state()
    response = decide(operator, second_source, "accept")
    assert "Not accepted: openai m-1. The current price has rates that the proposed one lacks." in visible_text(
        response
    )
    assert stored_state() == before


def test_its_page_names_the_rates_and_accepts_it_if_they_are_given_up(
    operator: Client, second_source: PriceProposal
) -> None:
    page = visible_text(operator.get(change_url(second_source)))
    assert "drops rates" in page
    assert "Rates that this price would drop cached input tokens input tokens (batch)" in page
    assert "1 proposal accepted" in visible_text(decide(operator, second_source, "accept", drop_rates="on"))
    assert rates_on("m-1", timezone.now().date()) == (INPUT, OUTPUT)


def test_a_selection_leaves_it_open_unless_the_box_is_ticked(
    operator: Client, second_source: PriceProposal, propose: Any
) -> None:
    propose(offer("m-1", INPUT, OUTPUT), offer("m-2"), source="litellm")
    selected = PriceProposal.objects.filter(source="litellm", state="open")
    confirmation = run_action(operator, "accept_chosen", *selected)
    assert "Also accept 1 price that drops rates of the current price" in visible_text(confirmation)
    response = operator.post(LIST_URL, hidden_fields(confirmation), follow=True)
    assert "1 proposal accepted" in visible_text(response)
    assert "Not accepted: openai m-1." in visible_text(response)
    assert [proposal.pattern for proposal in proposals()] == ["m-1"]
    confirmation = run_action(operator, "accept_chosen", second_source)
    operator.post(LIST_URL, hidden_fields(confirmation) | {"drop_rates": "on"})
    assert proposals() == []


def test_a_proposal_stored_by_the_release_before_is_also_held(second_source: PriceProposal) -> None:
    PriceProposal.objects.update(drops_rates=False)
    before = stored_state()
    result = accept(second_source)
    assert ([], [], [second_source]) == (result.done, result.stale, result.unconfirmed)
    assert stored_state() == before


def test_the_end_of_a_price_drops_no_single_rate(second_source: PriceProposal, propose: Any) -> None:
    propose(offer("m-2"))
    (ending,) = PriceProposal.objects.filter(kind="gone")
    assert (ending.drops_rates, price_decisions.dropped_rates(ending)) == (False, [])
