"""Decisions on price proposals in the admin: on one, several and all new ones; a refusal changes nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from providers import price_book, price_edits
from providers.models import Price, PriceProposal, PriceRate, Provider
from tests.providers.offers import accept, offer, proposals, rate, rates_on, reject, stored_state
from tests.providers.proposal_pages import (
    ALL_NEW_URL,
    LIST_URL,
    change_url,
    decide,
    hidden_fields,
    run_action,
    visible_text,
)

pytestmark = pytest.mark.django_db


class TestOneProposal:
    def test_an_accepted_proposal_prices_the_next_request(self, operator: Client, propose: Any) -> None:
        (proposal,) = propose(offer("m-1", rate("input_tokens", "2.5"), aliases=("m-1-latest",)))
        version = price_book.read_version()
        response = decide(operator, proposal, "accept")
        assert "1 proposal accepted, in force from now on." in visible_text(response)
        proposal.refresh_from_db()
        price = proposal.price
        assert price is not None
        assert (price.provider.slug, price.pattern, price.aliases, price.category) == (
            "openai",
            "m-1",
            ["m-1-latest"],
            "text",
        )
        assert (price.valid_from, price.revision, price.source, price.shipped) == (
            proposal.valid_from,
            1,
            "genai-prices 1.0",
            False,
        )
        assert (proposal.state, proposal.open_key) == ("accepted", None)
        assert (proposal.decided_by, proposal.decided_at is None) == (User.objects.get(username="operator"), False)
        assert price_book.read_version() != version
        assert rates_on("m-1", timezone.now().date()) == (rate("input_tokens", "2.5"),)
        assert rates_on("m-1-latest", timezone.now().date()) == (rate("input_tokens", "2.5"),)

    def test_an_accepted_change_adds_a_price_and_keeps_the_old_one_and_its_aliases(
        self, operator: Client, propose: Any
    ) -> None:
        old = Price.objects.get(pattern="gpt-4o")
        Price.objects.filter(pk=old.pk).update(aliases=["ours"], holds_for=["speed"])
        price_book.invalidate()
        before = list(old.rates.values())
        (proposal,) = propose(offer("gpt-4o", category="", aliases=("theirs",)))
        decide(operator, proposal, "accept", drop_rates="on")
        new = Price.objects.exclude(pk=old.pk).get(pattern="gpt-4o")
        assert (new.aliases, new.category, new.valid_from) == (["ours", "theirs"], "text", timezone.now().date())
        assert new.holds_for == ["speed"]
        assert list(old.rates.values()) == before
        yesterday = timezone.now().date() - timedelta(days=1)
        match = price_book.current().find("openai", "gpt-4o", yesterday)
        assert match is not None
        assert match.id == old.pk

    def test_a_change_from_the_day_of_a_price_is_its_next_revision(self, operator: Client, propose: Any) -> None:
        day = Price.objects.get(pattern="gpt-4o").valid_from
        (proposal,) = propose(offer("gpt-4o", valid_from=day))
        decide(operator, proposal, "accept", drop_rates="on")
        assert list(
            Price.objects.filter(pattern="gpt-4o").values_list("valid_from", "revision").order_by("revision")
        ) == [
            (day, 1),
            (day, 2),
        ]

    def test_accepting_creates_an_unknown_provider(self, operator: Client, propose: Any) -> None:
        (proposal,) = propose(offer(provider="newco", provider_name="New Co"))
        assert "(new: accepting adds this provider)" in visible_text(operator.get(change_url(proposal)))
        decide(operator, proposal, "accept")
        created = Provider.objects.get(slug="newco")
        assert (created.name, created.shipped) == ("New Co", False)
        assert rates_on("m-1", timezone.now().date(), "newco") == (rate("input_tokens", 2),)

    def test_the_audit_log_records_who_accepted_which_proposal(self, operator: Client, propose: Any) -> None:
        (proposal,) = propose(offer())
        decide(operator, proposal, "accept")
        price = Price.objects.get(pattern="m-1")
        entries = {
            (entry.content_type.model, entry.object_id): entry
            for entry in LogEntry.objects.filter(content_type__app_label="providers")
        }
        assert set(entries) == {("price", price.pk), ("priceproposal", proposal.pk)}
        decided, created = entries["priceproposal", proposal.pk], entries["price", price.pk]
        assert decided.changes == {"state": ["open", "accepted"], "price": ["None", str(price.pk)]}
        assert (created.action, created.changes["pattern"]) == (LogEntry.Action.CREATE, ["None", "m-1"])
        assert {entry.actor.username for entry in entries.values()} == {"operator"}
        assert {entry.actor_email for entry in entries.values()} == {"operator@example.com"}
        superuser = Client()
        superuser.force_login(User.objects.create_superuser("root"))
        assert superuser.get(f"/admin/auditlog/logentry/{decided.pk}/change/").status_code == 200

    def test_a_rejected_proposal_prices_nothing_and_can_be_reopened(self, operator: Client, propose: Any) -> None:
        (proposal,) = propose(offer())
        prices = stored_state()[:2]
        assert "1 proposal rejected; the same price will not be proposed again." in visible_text(
            decide(operator, proposal, "reject")
        )
        proposal.refresh_from_db()
        assert (proposal.state, proposal.open_key, proposal.price) == ("rejected", None, None)
        assert propose(offer()) == []
        assert "1 proposal reopened." in visible_text(decide(operator, proposal, "reopen"))
        assert [(reopened.pk, reopened.decided_at, reopened.decided_by) for reopened in proposals()] == [
            (proposal.pk, None, None)
        ]
        assert stored_state()[:2] == prices
        entries = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(PriceProposal))
        assert [entry.changes for entry in entries.order_by("pk")] == [
            {"state": ["open", "rejected"]},
            {"state": ["rejected", "open"]},
        ]
        decide(operator, proposal, "accept")
        assert rates_on("m-1", timezone.now().date()) == (rate("input_tokens", 2),)

    def test_a_proposal_cannot_be_reopened_next_to_a_newer_one(self, operator: Client, propose: Any) -> None:
        (old,) = propose(offer())
        reject(old)
        propose(offer("m-1", rate("input_tokens", 3)))
        before = stored_state()
        assert "Not changed: openai m-1." in visible_text(decide(operator, old, "reopen"))
        assert stored_state() == before


class TestStale:
    def edit_by_hand(self, pattern: str, **changed: Any) -> None:
        openai = Provider.objects.get(slug="openai")
        price = Price(provider=openai, pattern=pattern, valid_from=timezone.now().date(), source="by hand", **changed)
        price_edits.add_revision(price=price, rates=[PriceRate(unit="input_tokens", nano_per_million=7)])

    @pytest.mark.parametrize("pattern", ["gpt-4o", "m-1"])
    def test_a_proposal_made_before_a_change_of_the_book_is_not_accepted(
        self, operator: Client, propose: Any, pattern: str
    ) -> None:
        (proposal,) = propose(offer(pattern))
        self.edit_by_hand(pattern)
        before = stored_state()
        response = decide(operator, proposal, "accept", drop_rates="on")
        assert f"Not changed: openai {pattern}." in visible_text(response)
        assert stored_state() == before
        propose(offer(pattern))
        assert "1 proposal accepted" in visible_text(decide(operator, proposal, "accept"))

    def test_the_other_proposals_of_a_selection_are_accepted(self, operator: Client, propose: Any) -> None:
        stale, fresh = propose(offer("m-1"), offer("m-2"))
        self.edit_by_hand("m-1")
        confirmation = run_action(operator, "accept_chosen", stale, fresh)
        response = operator.post(LIST_URL, hidden_fields(confirmation), follow=True)
        assert "1 proposal accepted" in visible_text(response)
        assert "Not changed: openai m-1." in visible_text(response)
        assert [proposal.pk for proposal in proposals()] == [stale.pk]

    def test_only_one_of_two_sources_for_the_same_model_is_accepted(self, operator: Client, propose: Any) -> None:
        propose(offer())
        first, second = propose(offer("m-1", rate("input_tokens", 3)), source="litellm")
        assert [len(group) for group in accept(first, second, at=timezone.now())] == [1, 1, 0]
        before = stored_state()
        decide(operator, second, "accept")
        assert stored_state() == before
        assert rates_on("m-1", timezone.now().date()) == (rate("input_tokens", 2),)

    def test_dated_prices_of_one_source_can_be_accepted_one_after_another(self, operator: Client, propose: Any) -> None:
        days = [timezone.now().date() - timedelta(days=back) for back in (300, 200, 100)]
        dated_proposals = propose(
            *(offer("m-1", rate("input_tokens", n), valid_from=day) for n, day in enumerate(days, start=1))
        )
        for proposal in dated_proposals:
            assert "1 proposal accepted" in visible_text(decide(operator, proposal, "accept"))
        assert [rates_on("m-1", day) for day in days] == [(rate("input_tokens", n),) for n in (1, 2, 3)]

    def test_a_proposal_is_decided_only_once(self, operator: Client, propose: Any) -> None:
        (proposal,) = propose(offer())
        decide(operator, proposal, "accept")
        before = stored_state()
        assert "Nothing changed: this proposal is no longer open." in visible_text(decide(operator, proposal, "accept"))
        assert "Nothing changed: this proposal is no longer open." in visible_text(decide(operator, proposal, "reject"))
        assert stored_state() == before

    def test_a_superseded_proposal_cannot_be_accepted_from_a_page_still_open(
        self, operator: Client, propose: Any
    ) -> None:
        (superseded,) = propose(offer())
        propose(offer("m-1", rate("input_tokens", 200)))
        before = stored_state()
        decide(operator, superseded, "accept")
        assert stored_state() == before


class TestSelection:
    def test_a_selection_is_confirmed_with_its_counts(self, operator: Client, propose: Any) -> None:
        first, second, third = propose(offer("m-1"), offer("m-2"), offer("gpt-4o"))
        before = stored_state()
        confirmation = run_action(operator, "accept_chosen", first, third)
        assert "2 proposals" in visible_text(confirmation)
        assert "New 1 Changed 1 Gone 0 Over 20 % 1 Sources disagree 0 Drops rates 1" in visible_text(confirmation)
        assert stored_state() == before
        fields = hidden_fields(confirmation) | {"drop_rates": "on"}
        assert "2 proposals accepted" in visible_text(operator.post(LIST_URL, fields, follow=True))
        assert [proposal.pk for proposal in proposals()] == [second.pk]

    def test_select_all_covers_every_filtered_proposal(self, operator: Client, propose: Any) -> None:
        selected = propose(*(offer(f"m-{n}") for n in range(60)), offer("gpt-4o"))
        confirmation = run_action(operator, "reject_chosen", selected[0], query="?kind__exact=new", across=1)
        assert "60 proposals" in visible_text(confirmation)
        assert len(hidden_fields(confirmation)["_selected_action"]) == 1  # Django limits the number of form fields
        operator.post(f"{LIST_URL}?kind__exact=new", hidden_fields(confirmation))
        assert [proposal.pattern for proposal in proposals()] == ["gpt-4o"]

    def test_a_selection_that_changed_since_the_confirmation_is_confirmed_again(
        self, operator: Client, propose: Any
    ) -> None:
        selected = propose(offer("m-1"), offer("m-2"))
        confirmation = run_action(operator, "accept_chosen", *selected)
        reject(selected[0])
        before = stored_state()
        response = operator.post(LIST_URL, hidden_fields(confirmation), follow=True)
        assert "Nothing changed: the list of proposals has changed since you opened this page." in visible_text(
            response
        )
        assert "1 proposal " in visible_text(response)
        assert stored_state() == before

    def test_a_selection_without_an_open_proposal_changes_nothing(self, operator: Client, propose: Any) -> None:
        selected = propose(offer())
        reject(*selected)
        before = stored_state()
        response = run_action(operator, "accept_chosen", *selected, query="?state=all")
        assert "Nothing changed: none of the selected proposals is open." in visible_text(response)
        assert stored_state() == before


class TestAllNew:
    def test_flagged_prices_are_not_accepted_by_default(self, operator: Client, propose: Any) -> None:
        propose(offer("m-1"), offer("m-2"), offer(provider="newco", provider_name="New Co"), offer("gpt-4o"))
        assert "Accept new prices from genai-prices (3)" in visible_text(operator.get(LIST_URL))
        confirmation = operator.get(ALL_NEW_URL)
        assert "2 new prices without flags" in visible_text(confirmation)
        assert "Over 20 % 0 Sources disagree 0 Drops rates 0 Incomplete 0 New provider 1" in visible_text(confirmation)
        assert "2 proposals accepted" in visible_text(
            operator.post(ALL_NEW_URL, hidden_fields(confirmation), follow=True)
        )
        assert [(proposal.provider, proposal.pattern) for proposal in proposals()] == [
            ("newco", "m-1"),
            ("openai", "gpt-4o"),
        ]

    def test_flagged_prices_are_accepted_if_ticked(self, operator: Client, propose: Any) -> None:
        propose(offer("m-1"), offer(provider="newco", provider_name="New Co"), offer("gpt-4o"))
        confirmation = operator.get(ALL_NEW_URL)
        assert "Also accept 1 flagged price" in visible_text(confirmation)
        assert "2 proposals accepted" in visible_text(
            operator.post(ALL_NEW_URL, hidden_fields(confirmation) | {"flagged": "on"}, follow=True)
        )
        assert [proposal.pattern for proposal in proposals()] == ["gpt-4o"]

    def test_only_prices_of_this_source_are_accepted(self, operator: Client, propose: Any) -> None:
        propose(offer("m-1"), source="litellm")
        propose(offer("m-2"))
        operator.post(ALL_NEW_URL, hidden_fields(operator.get(ALL_NEW_URL)))
        assert [proposal.pattern for proposal in proposals()] == ["m-1"]

    @pytest.mark.parametrize("fields", [{}, {"confirmed": "x"}, {"flagged": "on"}])
    def test_an_invalid_confirmation_changes_nothing(self, operator: Client, propose: Any, fields: Any) -> None:
        propose(offer())
        before = stored_state()
        assert operator.post(ALL_NEW_URL, fields).status_code == 200
        assert stored_state() == before

    def test_an_unknown_source_is_not_found(self, operator: Client) -> None:
        assert operator.get(f"{LIST_URL}all-new/rumour/").status_code == 404

    def test_a_source_without_new_prices_says_so(self, operator: Client) -> None:
        assert "This source has no open proposals for new prices." in visible_text(operator.get(ALL_NEW_URL))

    def test_a_thousand_proposals_take_few_queries(
        self, operator: Client, propose: Any, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        propose(*(offer(f"m-{n}") for n in range(1000)))
        fields = hidden_fields(operator.get(ALL_NEW_URL))
        with django_assert_max_num_queries(200) as queries:
            operator.post(ALL_NEW_URL, fields)
        assert Price.objects.filter(source="genai-prices 1.0").count() == 1000
        assert PriceProposal.objects.filter(state="accepted", price__isnull=False).count() == 1000
        updates = [query["sql"] for query in queries.captured_queries if query["sql"].startswith("UPDATE")]
        assert len([sql for sql in updates if "book_versions" in sql]) == 1
