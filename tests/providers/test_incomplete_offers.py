"""A proposal of a price that its source states more of: it is flagged and names what it lacks."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from providers.models import PriceProposal
from tests.providers.offers import accept, offer, proposals, rate, sync
from tests.providers.proposal_pages import ALL_NEW_URL, LIST_URL, change_url, hidden_fields, visible_text

pytestmark = pytest.mark.django_db

INCOMPLETE = offer("m-1", without=("off_peak_pricing", "new_fee"))


def test_it_is_flagged_and_counted_by_what_it_lacks() -> None:
    counts = sync(INCOMPLETE, offer("m-2", without=("new_fee",)), offer("m-3"))
    assert (counts.flagged, counts.without, counts.omitted) == (2, {"off_peak_pricing": 1, "new_fee": 2}, {})
    assert [proposal.without for proposal in proposals()] == [["off_peak_pricing", "new_fee"], ["new_fee"], []]


def test_the_pages_name_what_it_lacks(operator: Client, propose: Any) -> None:
    proposal, complete = propose(INCOMPLETE, offer("m-2"))
    assert "Offered without off_peak_pricing, new_fee" in visible_text(operator.get(change_url(proposal)))
    assert "Offered without" not in visible_text(operator.get(change_url(complete)))
    page = visible_text(operator.get(f"{LIST_URL}?flag=without"))
    assert "offered without off_peak_pricing, new_fee" in page
    assert "1 price proposal" in page
    assert "offered without off_peak_pricing, new_fee" in operator.get(f"{LIST_URL}export/").getvalue().decode()


def test_new_prices_without_flags_leave_it_open(operator: Client, propose: Any) -> None:
    propose(INCOMPLETE, offer("m-2"))
    confirmation = operator.get(ALL_NEW_URL)
    assert "1 new price without flags" in visible_text(confirmation)
    assert "Incomplete 1" in visible_text(confirmation)
    operator.post(ALL_NEW_URL, hidden_fields(confirmation))
    assert [proposal.pattern for proposal in proposals()] == ["m-1"]


def test_it_stays_one_proposal_if_the_source_states_more_later(propose: Any) -> None:
    (old,) = propose(offer("m-1"))
    (proposal,) = propose(INCOMPLETE)
    assert (proposal.pk, proposal.without) == (old.pk, ["off_peak_pricing", "new_fee"])


def test_an_accepted_price_is_not_proposed_again_for_what_it_lacks(propose: Any) -> None:
    accept(*propose(INCOMPLETE))
    assert propose(INCOMPLETE) == []
    assert PriceProposal.objects.count() == 1


@pytest.mark.parametrize("usd", [10_001, 10**6])
@pytest.mark.parametrize("unit", ["input_tokens", "cache_write_tokens"])
def test_a_sentinel_instead_of_a_token_price_is_left_out(unit: str, usd: int) -> None:
    counts = sync(offer("m-1", rate(unit, usd)), offer("m-2", rate(unit, 10_000)), offer("m-3", rate("requests", usd)))
    assert counts.omitted == {"a rate is out of range": 1}
    assert [proposal.pattern for proposal in proposals()] == ["m-2", "m-3"]
