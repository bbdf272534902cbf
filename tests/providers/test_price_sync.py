"""Proposals from what a source states: which there are, from when, with which flags, and what a second run does."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from providers import price_book
from providers.models import Price, PriceProposal
from providers.price_sources import Left, Offer
from tests.providers.offers import AT, DAY, USD, accept, asked, everything, offer, proposals, rate, reject, sync

pytestmark = pytest.mark.django_db

WEEKS_AGO = date(2026, 10, 19)  # 35 days before the day of the run


@pytest.fixture
def gpt_4o() -> Price:
    """In the book since 2025: $2.5 in, $10 out, no other rate."""
    return Price.objects.get(pattern="gpt-4o")


def same_as_the_book(**changed: Any) -> Offer:
    return offer("gpt-4o", rate("output_tokens", 10), rate("input_tokens", "2.5"), **changed)


class TestKinds:
    def test_a_new_price_without_a_date_covers_every_event_that_can_still_arrive(self) -> None:
        before = everything()
        counts = sync(offer("m-1", rate("output_tokens", 8), rate("input_tokens", 2), aliases=("m-1-latest",)))
        (one,) = proposals()
        assert (one.kind, one.provider, one.pattern, one.aliases) == ("new", "openai", "m-1", ["m-1-latest"])
        assert (one.stated_from, one.valid_from, one.base_id) == (None, WEEKS_AGO, None)
        assert one.rates == [["input_tokens", "", 0, 2 * USD], ["output_tokens", "", 0, 8 * USD]]
        assert (one.over_20, one.sources_disagree, one.new_provider) == (False, False, False)
        assert (counts.read, counts.unchanged, dict(counts.proposed), counts.flagged) == (1, 0, {"new": 1}, 0)
        assert [*before[:2], *before[3:]] == [*everything()[:2], *everything()[3:]]  # nothing but the proposal
        assert asked("m-1") is None

    def test_where_it_begins_can_be_said(self) -> None:
        sync(offer(), new_from=date(2024, 1, 1))
        assert [one.valid_from for one in proposals()] == [date(2024, 1, 1)]

    def test_what_the_book_says_already_makes_no_proposal(self) -> None:
        counts = sync(same_as_the_book())
        assert (counts.unchanged, proposals()) == (1, [])

    def test_other_rates_without_a_date_are_a_change_from_today(self, gpt_4o: Price) -> None:
        sync(offer("gpt-4o", rate("input_tokens", "3"), rate("output_tokens", 10)), new_from=date(2024, 1, 1))
        (one,) = proposals()
        assert (one.kind, one.base, one.valid_from, one.over_20) == ("changed", gpt_4o, DAY, False)

    def test_more_than_twenty_percent_is_flagged(self) -> None:
        counts = sync(offer("gpt-4o", rate("input_tokens", "3.1"), rate("output_tokens", 10)))
        assert ([one.over_20 for one in proposals()], counts.flagged) == ([True], 1)

    def test_new_names_of_an_unchanged_price_are_a_change(self, gpt_4o: Price) -> None:
        sync(same_as_the_book(aliases=("gpt-4o-latest",)))
        (one,) = proposals()
        assert (one.kind, one.aliases, one.over_20) == ("changed", ["gpt-4o-latest"], False)
        assert [done.pk for done in accept(one).done] == [one.pk]
        assert asked("gpt-4o-latest") == asked("gpt-4o")

    def test_dated_prices_keep_their_days_and_are_one_proposal_each(self) -> None:
        days = (date(2024, 5, 1), date(2025, 3, 1), date(2026, 12, 24))
        rows = [offer("gpt-4o", rate("input_tokens", 9 - n), valid_from=day) for n, day in enumerate(days)]
        sync(*rows)
        assert [(one.kind, one.valid_from) for one in proposals()] == [
            ("new", days[0]),  # before the book begins
            ("changed", days[1]),
            ("changed", days[2]),
        ]

    def test_a_price_without_a_date_beside_dated_ones_is_the_one_before_them(self) -> None:
        long_ago, lately = date(2024, 5, 1), DAY - timedelta(days=3)
        old = [offer("m-1", rate("input_tokens", 9)), offer("m-1", valid_from=long_ago)]
        new = [offer("m-2", rate("input_tokens", 9)), offer("m-2", valid_from=lately)]
        future = [offer("m-3", rate("input_tokens", 9)), offer("m-3", valid_from=DAY + timedelta(days=1))]
        counts = sync(*old, *new, *future)
        assert sorted((one.pattern, one.valid_from, one.rates[0][3] // USD) for one in proposals()) == [
            ("m-1", long_ago, 2),
            ("m-2", WEEKS_AGO, 9),
            ("m-2", lately, 2),
            ("m-3", WEEKS_AGO, 9),
            ("m-3", DAY + timedelta(days=1), 2),
        ]
        assert counts.left == {"a later price has taken its place": 1}
        accept(*proposals())
        assert [asked("m-2", day) for day in (lately - timedelta(days=1), lately)] == [
            (rate("input_tokens", 9),),
            (rate("input_tokens", 2),),
        ]

    def test_an_unknown_company_is_flagged_and_not_made(self) -> None:
        sync(offer(provider="newco", provider_name="New Co"))
        assert [(one.provider_name, one.new_provider) for one in proposals()] == [("New Co", True)]


class TestGone:
    def test_a_price_of_this_source_that_it_no_longer_states_may_end(self) -> None:
        sync(offer("m-1"), offer("m-2"))
        accept(*proposals())
        counts = sync(offer("m-2"))
        (one,) = proposals()
        assert (one.kind, one.pattern, one.rates, one.valid_from) == ("gone", "m-1", [], DAY)
        assert counts.proposed == {"gone": 1}
        assert asked("m-1") == (rate("input_tokens", 2),)
        accept(one)
        assert (asked("m-1"), asked("m-1", DAY - timedelta(days=1))) == ((), (rate("input_tokens", 2),))
        assert sync(offer("m-2")).proposed == {}

    def test_stated_again_it_is_a_change_of_the_ended_price(self) -> None:
        sync(offer("m-1"), offer("m-2"))
        accept(*proposals())
        sync(offer("m-2"))
        accept(*proposals())
        sync(offer("m-1"), offer("m-2"))
        (one,) = proposals()
        assert (one.kind, one.valid_from) == ("changed", DAY)
        accept(one)
        assert asked("m-1") == (rate("input_tokens", 2),)

    @pytest.mark.parametrize(
        "named", [Left("openai", "M-1", "by time of day"), offer("m-3", aliases=("m-1",)), offer("m-1", rate("x", 1))]
    )
    def test_what_is_named_but_cannot_be_taken_over_is_not_gone(self, named: Any) -> None:
        sync(offer("m-1"), offer("m-2"))
        accept(*proposals())
        assert sync(offer("m-2"), named).proposed["gone"] == 0

    def test_prices_of_others_are_none_of_its_business(self) -> None:
        sync(offer("m-1"), source="litellm")
        accept(*proposals())
        assert sync(offer("m-2")).proposed == {"new": 1}


class TestAgain:
    def test_a_second_run_changes_nothing(self) -> None:
        rows = [
            offer("m-1"),
            offer("gpt-4o"),
            offer("m-2", valid_from=date(2025, 1, 1)),
            offer("m-3", aliases=("m-4",)),
        ]
        sync(*rows)
        before = everything()
        counts = sync(*rows, at=AT + timedelta(days=2))
        assert everything() == before
        assert (counts.proposed, counts.superseded) == ({"new": 3, "changed": 1}, 0)

    def test_a_day_that_is_given_later_moves_the_new_ones(self) -> None:
        sync(offer())
        sync(offer(), new_from=date(2025, 6, 1))
        assert [one.valid_from for one in proposals()] == [date(2025, 6, 1)]

    def test_other_content_is_another_proposal(self) -> None:
        sync(offer())
        (first,) = proposals()
        counts = sync(offer("m-1", rate("input_tokens", 200)))
        first.refresh_from_db()
        assert (first.state, first.open_key, first.decided_at, first.rates[0][3]) == ("superseded", None, AT, 2 * USD)
        assert ([one.rates[0][3] for one in proposals()], counts.superseded) == ([200 * USD], 1)

    def test_what_no_longer_holds_is_superseded(self) -> None:
        sync(offer("m-1"), offer("m-2"))
        sync(offer("m-2"))
        assert [(one.pattern, one.state) for one in PriceProposal.objects.order_by("pk")] == [
            ("m-1", "superseded"),
            ("m-2", "open"),
        ]

    def test_another_source_stays_as_it_is(self) -> None:
        sync(offer("m-1"), source="litellm")
        sync(offer("m-2"))
        assert [(one.source, one.pattern) for one in proposals()] == [("litellm", "m-1"), ("genai", "m-2")]

    def test_rejected_it_does_not_come_back_unless_it_says_something_else(self) -> None:
        sync(offer())
        reject(proposals()[0])
        counts = sync(offer())
        assert (counts.rejected, counts.proposed, proposals()) == (1, {}, [])
        sync(offer("m-1", rate("input_tokens", 3)))
        assert [one.rates[0][3] for one in proposals()] == [3 * USD]

    def test_against_a_book_that_has_changed_it_is_seen_anew(self, gpt_4o: Price) -> None:
        sync(offer("gpt-4o"))
        (first,) = proposals()
        Price.objects.filter(pk=gpt_4o.pk).update(valid_from=DAY + timedelta(days=9))
        price_book.changed()
        sync(offer("gpt-4o"))
        (second,) = proposals()
        assert (second.pk, second.kind, second.base, second.valid_from) == (first.pk, "new", None, WEEKS_AGO)

    def test_a_dry_run_counts_and_writes_nothing(self) -> None:
        before = everything()
        counts = sync(offer(), offer("gpt-4o"), dry_run=True)
        assert (counts.proposed, counts.flagged) == ({"new": 1, "changed": 1}, 1)
        assert everything() == before


class TestDisagreement:
    def test_both_sides_are_flagged_and_freed_again(self) -> None:
        sync(offer("m-1"), offer("m-2"))
        sync(offer("m-1", rate("input_tokens", 3)), offer("m-2"), source="litellm")
        assert [(one.source, one.pattern, one.sources_disagree) for one in proposals()] == [
            ("genai", "m-1", True),
            ("genai", "m-2", False),
            ("litellm", "m-1", True),
            ("litellm", "m-2", False),
        ]
        sync(offer("m-1"), offer("m-2"), source="litellm")
        assert [one.sources_disagree for one in proposals()] == [False] * 4

    def test_an_accepted_statement_still_counts_a_rejected_one_does_not(self) -> None:
        sync(offer("m-1"), offer("m-2"))
        one, two = proposals()
        accept(one)
        reject(two)
        sync(offer("m-1", rate("input_tokens", 3)), offer("m-2", rate("input_tokens", 3)), source="litellm")
        assert [(one.pattern, one.sources_disagree) for one in proposals()] == [("m-1", True), ("m-2", False)]

    def test_only_each_sources_latest_word_counts(self) -> None:
        sync(
            offer("m-1", rate("input_tokens", 9), valid_from=date(2024, 1, 1)),
            offer("m-1", valid_from=date(2025, 1, 1)),
        )
        sync(offer("m-1"), source="litellm")
        assert [one.sources_disagree for one in proposals()] == [False] * 3


class TestLeft:
    @pytest.mark.parametrize(
        ("unfit", "reason"),
        [
            (offer("m" * 201), "a text is too long for its column"),
            (offer(aliases=("m" * 201,)), "a text is too long for its column"),
            (offer(provider="p" * 51), "a text is too long for its column"),
            (offer(provider_name="p" * 101), "a text is too long for its column"),
            (offer(source="s" * 201), "a text is too long for its column"),
            (offer("m", rate("images", 1, variant="q" * 61)), "a text is too long for its column"),
            (offer("m\x00"), "a text is empty or holds control characters"),
            (offer(" "), "a text is empty or holds control characters"),
            (offer(provider="New Co"), "provider or category is no name of ours"),
            (offer(category="poetry"), "provider or category is no name of ours"),
            (offer(provider="open_ai"), "the provider is known by another slug"),
            (offer(provider="vertex", provider_name="V"), "the provider is known by another slug"),
            (offer("m", rate("bananas", 1)), "a unit is not one of ours"),
            (offer("m", rate("images", -1)), "a rate is out of range"),
            (offer("m", rate("images", 10**9 + 1)), "a rate is out of range"),
            (offer("m", rate("images", 1), rate("images", 2)), "no rates, or two for one unit"),
            (Left("openai", "m", "by time of day"), "by time of day"),
        ],
    )
    def test_what_does_not_fit_is_left_out_with_a_reason_and_never_cut(self, unfit: Any, reason: str) -> None:
        counts = sync(unfit, offer("fit"))
        assert (counts.left, [one.pattern for one in proposals()]) == ({reason: 1}, ["fit"])

    def test_the_longest_that_fits_is_kept_whole(self) -> None:
        sync(offer("m" * 200, rate("images", 10**9, variant="q" * 60), provider="p" * 50, provider_name="N" * 100))
        (one,) = proposals()
        assert (len(one.pattern), len(one.provider), one.rates[0]) == (200, 50, ["images", "q" * 60, 0, 10**18])

    def test_of_two_statements_about_one_thing_the_first_counts(self) -> None:
        counts = sync(offer(), offer("m-1", rate("input_tokens", 3)))
        assert (counts.left, [one.rates[0][3] for one in proposals()]) == ({"it is stated twice": 1}, [2 * USD])

    def test_a_list_without_a_usable_price_is_refused_and_ends_nothing(self) -> None:
        sync(offer())
        accept(*proposals())
        before = everything()
        with pytest.raises(ValueError, match="None of the 1 statements is a price"):
            sync(Left("openai", "m-1", "by time of day"))
        assert everything() == before
