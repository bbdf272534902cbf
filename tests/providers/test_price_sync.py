"""Proposals made from the statements of a source: kinds, start dates, flags, and repeated runs."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from providers import price_book
from providers.models import Price, PriceProposal
from providers.price_sources import Offer, Omission
from tests.providers.offers import (
    NANO_PER_USD,
    SYNC_DAY,
    SYNC_TIME,
    accept,
    offer,
    proposals,
    rate,
    rates_on,
    reject,
    stored_state,
    sync,
)

pytestmark = pytest.mark.django_db

FIVE_WEEKS_AGO = date(2026, 10, 19)  # 35 days before the day of the run


@pytest.fixture
def gpt_4o() -> Price:
    """In the book since 2025: $2.5 input, $10 output, no other rate."""
    return Price.objects.get(pattern="gpt-4o")


def offer_equal_to_the_book(**changed: Any) -> Offer:
    return offer("gpt-4o", rate("output_tokens", 10), rate("input_tokens", "2.5"), **changed)


class TestKinds:
    def test_a_new_price_without_a_date_covers_every_event_that_can_still_arrive(self) -> None:
        before = stored_state()
        counts = sync(offer("m-1", rate("output_tokens", 8), rate("input_tokens", 2), aliases=("m-1-latest",)))
        (proposal,) = proposals()
        assert (proposal.kind, proposal.provider, proposal.pattern, proposal.aliases) == (
            "new",
            "openai",
            "m-1",
            ["m-1-latest"],
        )
        assert (proposal.stated_from, proposal.valid_from, proposal.base_id) == (None, FIVE_WEEKS_AGO, None)
        assert proposal.rates == [["input_tokens", "", 0, 2 * NANO_PER_USD], ["output_tokens", "", 0, 8 * NANO_PER_USD]]
        assert (proposal.over_20, proposal.sources_disagree, proposal.new_provider) == (False, False, False)
        assert (counts.read, counts.unchanged, dict(counts.proposed), counts.flagged) == (1, 0, {"new": 1}, 0)
        assert [*before[:2], *before[3:]] == [*stored_state()[:2], *stored_state()[3:]]  # only the proposal is new
        assert rates_on("m-1") is None

    def test_new_from_sets_the_first_day_of_new_prices(self) -> None:
        sync(offer(), new_from=date(2024, 1, 1))
        assert [proposal.valid_from for proposal in proposals()] == [date(2024, 1, 1)]

    def test_an_offer_equal_to_the_book_makes_no_proposal(self) -> None:
        counts = sync(offer_equal_to_the_book())
        assert (counts.unchanged, proposals()) == (1, [])

    def test_other_rates_without_a_date_are_a_change_from_today_on(self, gpt_4o: Price) -> None:
        sync(offer("gpt-4o", rate("input_tokens", "3"), rate("output_tokens", 10)), new_from=date(2024, 1, 1))
        (proposal,) = proposals()
        assert (proposal.kind, proposal.base, proposal.valid_from, proposal.over_20) == (
            "changed",
            gpt_4o,
            SYNC_DAY,
            False,
        )

    def test_more_than_twenty_percent_is_flagged(self) -> None:
        counts = sync(offer("gpt-4o", rate("input_tokens", "3.1"), rate("output_tokens", 10)))
        assert ([proposal.over_20 for proposal in proposals()], counts.flagged) == ([True], 1)

    def test_new_aliases_of_an_unchanged_price_are_a_change(self, gpt_4o: Price) -> None:
        sync(offer_equal_to_the_book(aliases=("gpt-4o-latest",)))
        (proposal,) = proposals()
        assert (proposal.kind, proposal.aliases, proposal.over_20) == ("changed", ["gpt-4o-latest"], False)
        assert [done.pk for done in accept(proposal).done] == [proposal.pk]
        assert rates_on("gpt-4o-latest") == rates_on("gpt-4o")

    def test_each_dated_price_is_a_proposal_from_its_own_day(self) -> None:
        days = (date(2024, 5, 1), date(2025, 3, 1), date(2026, 12, 24))
        rows = [offer("gpt-4o", rate("input_tokens", 9 - n), valid_from=day) for n, day in enumerate(days)]
        sync(*rows)
        assert [(proposal.kind, proposal.valid_from) for proposal in proposals()] == [
            ("new", days[0]),  # before the first price in the book
            ("changed", days[1]),
            ("changed", days[2]),
        ]

    def test_a_price_without_a_date_applies_before_the_dated_ones(self) -> None:
        long_ago, lately = date(2024, 5, 1), SYNC_DAY - timedelta(days=3)
        old = [offer("m-1", rate("input_tokens", 9)), offer("m-1", valid_from=long_ago)]
        new = [offer("m-2", rate("input_tokens", 9)), offer("m-2", valid_from=lately)]
        future = [offer("m-3", rate("input_tokens", 9)), offer("m-3", valid_from=SYNC_DAY + timedelta(days=1))]
        counts = sync(*old, *new, *future)
        assert sorted(
            (proposal.pattern, proposal.valid_from, proposal.rates[0][3] // NANO_PER_USD) for proposal in proposals()
        ) == [
            ("m-1", long_ago, 2),
            ("m-2", FIVE_WEEKS_AGO, 9),
            ("m-2", lately, 2),
            ("m-3", FIVE_WEEKS_AGO, 9),
            ("m-3", SYNC_DAY + timedelta(days=1), 2),
        ]
        assert counts.omitted == {"superseded by a later price": 1}
        accept(*proposals())
        assert [rates_on("m-2", day) for day in (lately - timedelta(days=1), lately)] == [
            (rate("input_tokens", 9),),
            (rate("input_tokens", 2),),
        ]

    def test_an_unknown_provider_is_flagged_and_not_created(self) -> None:
        sync(offer(provider="newco", provider_name="New Co"))
        assert [(proposal.provider_name, proposal.new_provider) for proposal in proposals()] == [("New Co", True)]


class TestGone:
    def test_a_price_that_its_source_no_longer_states_is_proposed_as_gone(self) -> None:
        sync(offer("m-1"), offer("m-2"))
        accept(*proposals())
        counts = sync(offer("m-2"))
        (proposal,) = proposals()
        assert (proposal.kind, proposal.pattern, proposal.rates, proposal.valid_from) == ("gone", "m-1", [], SYNC_DAY)
        assert counts.proposed == {"gone": 1}
        assert rates_on("m-1") == (rate("input_tokens", 2),)
        accept(proposal)
        assert (rates_on("m-1"), rates_on("m-1", SYNC_DAY - timedelta(days=1))) == ((), (rate("input_tokens", 2),))
        assert sync(offer("m-2")).proposed == {}

    def test_an_ended_price_that_is_stated_again_is_a_change(self) -> None:
        sync(offer("m-1"), offer("m-2"))
        accept(*proposals())
        sync(offer("m-2"))
        accept(*proposals())
        sync(offer("m-1"), offer("m-2"))
        (proposal,) = proposals()
        assert (proposal.kind, proposal.valid_from) == ("changed", SYNC_DAY)
        accept(proposal)
        assert rates_on("m-1") == (rate("input_tokens", 2),)

    @pytest.mark.parametrize(
        "named",
        [Omission("openai", "M-1", "by time of day"), offer("m-3", aliases=("m-1",)), offer("m-1", rate("x", 1))],
    )
    def test_a_model_that_is_named_but_not_usable_is_not_gone(self, named: Any) -> None:
        sync(offer("m-1"), offer("m-2"))
        accept(*proposals())
        assert sync(offer("m-2"), named).proposed["gone"] == 0

    def test_prices_of_another_source_are_never_gone(self) -> None:
        sync(offer("m-1"), source="litellm")
        accept(*proposals())
        assert sync(offer("m-2")).proposed == {"new": 1}


class TestRepeatedRuns:
    def test_a_second_run_changes_nothing(self) -> None:
        rows = [
            offer("m-1"),
            offer("gpt-4o"),
            offer("m-2", valid_from=date(2025, 1, 1)),
            offer("m-3", aliases=("m-4",)),
        ]
        sync(*rows)
        before = stored_state()
        counts = sync(*rows, at=SYNC_TIME + timedelta(days=2))
        assert stored_state() == before
        assert (counts.proposed, counts.superseded) == ({"new": 3, "changed": 1}, 0)

    def test_a_later_run_with_new_from_moves_new_proposals(self) -> None:
        sync(offer())
        sync(offer(), new_from=date(2025, 6, 1))
        assert [proposal.valid_from for proposal in proposals()] == [date(2025, 6, 1)]

    def test_other_rates_supersede_the_open_proposal(self) -> None:
        sync(offer())
        (first,) = proposals()
        counts = sync(offer("m-1", rate("input_tokens", 200)))
        first.refresh_from_db()
        assert (first.state, first.open_key, first.decided_at, first.rates[0][3]) == (
            "superseded",
            None,
            SYNC_TIME,
            2 * NANO_PER_USD,
        )
        assert ([proposal.rates[0][3] for proposal in proposals()], counts.superseded) == ([200 * NANO_PER_USD], 1)

    def test_a_proposal_that_is_no_longer_stated_is_superseded(self) -> None:
        sync(offer("m-1"), offer("m-2"))
        sync(offer("m-2"))
        assert [(proposal.pattern, proposal.state) for proposal in PriceProposal.objects.order_by("pk")] == [
            ("m-1", "superseded"),
            ("m-2", "open"),
        ]

    def test_proposals_of_another_source_stay_open(self) -> None:
        sync(offer("m-1"), source="litellm")
        sync(offer("m-2"))
        assert [(proposal.source, proposal.pattern) for proposal in proposals()] == [
            ("litellm", "m-1"),
            ("genai", "m-2"),
        ]

    def test_a_rejected_proposal_returns_only_with_other_rates(self) -> None:
        sync(offer())
        reject(proposals()[0])
        counts = sync(offer())
        assert (counts.rejected, counts.proposed, proposals()) == (1, {}, [])
        sync(offer("m-1", rate("input_tokens", 3)))
        assert [proposal.rates[0][3] for proposal in proposals()] == [3 * NANO_PER_USD]

    def test_an_open_proposal_is_updated_when_the_book_has_changed(self, gpt_4o: Price) -> None:
        sync(offer("gpt-4o"))
        (first,) = proposals()
        Price.objects.filter(pk=gpt_4o.pk).update(valid_from=SYNC_DAY + timedelta(days=9))
        price_book.invalidate()
        sync(offer("gpt-4o"))
        (second,) = proposals()
        assert (second.pk, second.kind, second.base, second.valid_from) == (first.pk, "new", None, FIVE_WEEKS_AGO)

    def test_a_dry_run_counts_and_writes_nothing(self) -> None:
        before = stored_state()
        counts = sync(offer(), offer("gpt-4o"), dry_run=True)
        assert (counts.proposed, counts.flagged) == ({"new": 1, "changed": 1}, 1)
        assert stored_state() == before


class TestDisagreement:
    def test_both_sources_are_flagged_until_they_agree_again(self) -> None:
        sync(offer("m-1"), offer("m-2"))
        sync(offer("m-1", rate("input_tokens", 3)), offer("m-2"), source="litellm")
        assert [(proposal.source, proposal.pattern, proposal.sources_disagree) for proposal in proposals()] == [
            ("genai", "m-1", True),
            ("genai", "m-2", False),
            ("litellm", "m-1", True),
            ("litellm", "m-2", False),
        ]
        sync(offer("m-1"), offer("m-2"), source="litellm")
        assert [proposal.sources_disagree for proposal in proposals()] == [False] * 4

    def test_an_accepted_price_counts_in_the_comparison_and_a_rejected_one_does_not(self) -> None:
        sync(offer("m-1"), offer("m-2"))
        accepted, rejected = proposals()
        accept(accepted)
        reject(rejected)
        sync(offer("m-1", rate("input_tokens", 3)), offer("m-2", rate("input_tokens", 3)), source="litellm")
        assert [(proposal.pattern, proposal.sources_disagree) for proposal in proposals()] == [
            ("m-1", True),
            ("m-2", False),
        ]

    def test_only_the_latest_price_of_each_source_is_compared(self) -> None:
        sync(
            offer("m-1", rate("input_tokens", 9), valid_from=date(2024, 1, 1)),
            offer("m-1", valid_from=date(2025, 1, 1)),
        )
        sync(offer("m-1"), source="litellm")
        assert [proposal.sources_disagree for proposal in proposals()] == [False] * 3


class TestOmissions:
    @pytest.mark.parametrize(
        ("unfit", "reason"),
        [
            (offer("m" * 201), "a text is too long"),
            (offer(aliases=("m" * 201,)), "a text is too long"),
            (offer(provider="p" * 51), "a text is too long"),
            (offer(provider_name="p" * 101), "a text is too long"),
            (offer(source="s" * 201), "a text is too long"),
            (offer("m", rate("images", 1, variant="q" * 201)), "a text is too long"),
            (offer("m\x00"), "a text is empty or contains control characters"),
            (offer(" "), "a text is empty or contains control characters"),
            (offer(provider="New Co"), "an invalid provider slug or an unknown category"),
            (offer(category="poetry"), "an invalid provider slug or an unknown category"),
            (offer(provider="open_ai"), "the provider exists under another slug"),
            (offer(provider="vertex", provider_name="V"), "the provider exists under another slug"),
            (offer("m", rate("bananas", 1)), "an unknown unit"),
            (offer("m", rate("images", -1)), "a rate is out of range"),
            (offer("m", rate("images", 10**9 + 1)), "a rate is out of range"),
            (offer("m", rate("images", 1), rate("images", 2)), "no rates, or two rates for one unit"),
            (Omission("openai", "m", "by time of day"), "by time of day"),
        ],
    )
    def test_an_unfit_offer_is_omitted_with_a_reason_and_never_truncated(self, unfit: Any, reason: str) -> None:
        counts = sync(unfit, offer("fit"))
        assert (counts.omitted, [proposal.pattern for proposal in proposals()]) == ({reason: 1}, ["fit"])

    def test_the_longest_texts_that_fit_are_stored_in_full(self) -> None:
        sync(offer("m" * 200, rate("images", 10**9, variant="q" * 200), provider="p" * 50, provider_name="N" * 100))
        (proposal,) = proposals()
        assert (len(proposal.pattern), len(proposal.provider), proposal.rates[0]) == (
            200,
            50,
            ["images", "q" * 200, 0, 10**18],
        )

    def test_the_first_of_two_offers_for_one_price_wins(self) -> None:
        counts = sync(offer(), offer("m-1", rate("input_tokens", 3)))
        assert (counts.omitted, [proposal.rates[0][3] for proposal in proposals()]) == (
            {"a duplicate": 1},
            [2 * NANO_PER_USD],
        )

    def test_a_list_without_a_usable_price_is_refused_and_ends_no_price(self) -> None:
        sync(offer())
        accept(*proposals())
        before = stored_state()
        with pytest.raises(ValueError, match="None of the 1 statements can be imported as a price"):
            sync(Omission("openai", "m-1", "by time of day"))
        assert stored_state() == before
