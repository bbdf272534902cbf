"""Price proposals in the admin: deciding on one, several and all new ones; what is refused changes nothing."""

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
from tests.providers.offers import accept, asked, everything, offer, proposals, rate, reject
from tests.providers.proposal_pages import ALL_NEW, LIST, choose, hidden, page_of, press, text

pytestmark = pytest.mark.django_db


class TestOne:
    def test_accepted_it_prices_the_next_request(self, operator: Client, propose: Any) -> None:
        (one,) = propose(offer("m-1", rate("input_tokens", "2.5"), aliases=("m-1-latest",)))
        version = price_book.read_version()
        answer = press(operator, one, "accept")
        assert "1 accepted, in force from now on." in text(answer)
        one.refresh_from_db()
        price = one.price
        assert price is not None
        assert (price.provider.slug, price.pattern, price.aliases, price.category) == (
            "openai",
            "m-1",
            ["m-1-latest"],
            "text",
        )
        assert (price.valid_from, price.revision, price.source, price.shipped) == (
            one.valid_from,
            1,
            "genai-prices 1.0",
            False,
        )
        assert (one.state, one.open_key) == ("accepted", None)
        assert (one.decided_by, one.decided_at is None) == (User.objects.get(username="operator"), False)
        assert price_book.read_version() != version
        assert asked("m-1", timezone.now().date()) == (rate("input_tokens", "2.5"),)
        assert asked("m-1-latest", timezone.now().date()) == (rate("input_tokens", "2.5"),)

    def test_a_change_is_another_row_and_keeps_the_old_one_and_its_names(self, operator: Client, propose: Any) -> None:
        old = Price.objects.get(pattern="gpt-4o")
        Price.objects.filter(pk=old.pk).update(aliases=["ours"])
        price_book.changed()
        before = list(old.rates.values())
        (one,) = propose(offer("gpt-4o", category="", aliases=("theirs",)))
        press(operator, one, "accept")
        new = Price.objects.exclude(pk=old.pk).get(pattern="gpt-4o")
        assert (new.aliases, new.category, new.valid_from) == (["ours", "theirs"], "text", timezone.now().date())
        assert list(old.rates.values()) == before
        yesterday = timezone.now().date() - timedelta(days=1)
        found = price_book.current().find("openai", "gpt-4o", yesterday)
        assert found is not None
        assert found.id == old.pk

    def test_on_the_day_of_a_price_it_is_its_next_revision(self, operator: Client, propose: Any) -> None:
        day = Price.objects.get(pattern="gpt-4o").valid_from
        (one,) = propose(offer("gpt-4o", valid_from=day))
        press(operator, one, "accept")
        assert list(
            Price.objects.filter(pattern="gpt-4o").values_list("valid_from", "revision").order_by("revision")
        ) == [
            (day, 1),
            (day, 2),
        ]

    def test_an_unknown_company_becomes_a_provider(self, operator: Client, propose: Any) -> None:
        (one,) = propose(offer(provider="newco", provider_name="New Co"))
        assert "which accepting adds to the providers" in text(operator.get(page_of(one)))
        press(operator, one, "accept")
        made = Provider.objects.get(slug="newco")
        assert (made.name, made.shipped) == ("New Co", False)
        assert asked("m-1", timezone.now().date(), "newco") == (rate("input_tokens", 2),)

    def test_the_audit_trail_names_who_accepted_what(self, operator: Client, propose: Any) -> None:
        (one,) = propose(offer())
        press(operator, one, "accept")
        price = Price.objects.get(pattern="m-1")
        entries = {
            (entry.content_type.model, entry.object_id): entry
            for entry in LogEntry.objects.filter(content_type__app_label="providers")
        }
        assert set(entries) == {("price", price.pk), ("priceproposal", one.pk)}
        decided, made = entries["priceproposal", one.pk], entries["price", price.pk]
        assert decided.changes == {"state": ["open", "accepted"], "price": ["None", str(price.pk)]}
        assert (made.action, made.changes["pattern"]) == (LogEntry.Action.CREATE, ["None", "m-1"])
        assert {entry.actor.username for entry in entries.values()} == {"operator"}
        assert {entry.actor_email for entry in entries.values()} == {"operator@example.com"}
        superuser = Client()
        superuser.force_login(User.objects.create_superuser("root"))
        assert superuser.get(f"/admin/auditlog/logentry/{decided.pk}/change/").status_code == 200

    def test_rejected_it_prices_nothing_and_may_be_reopened(self, operator: Client, propose: Any) -> None:
        (one,) = propose(offer())
        prices = everything()[:2]
        assert "1 rejected; the same statement will not come back." in text(press(operator, one, "reject"))
        one.refresh_from_db()
        assert (one.state, one.open_key, one.price) == ("rejected", None, None)
        assert propose(offer()) == []
        assert "1 open again." in text(press(operator, one, "reopen"))
        assert [(each.pk, each.decided_at, each.decided_by) for each in proposals()] == [(one.pk, None, None)]
        assert everything()[:2] == prices
        told = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(PriceProposal))
        assert [entry.changes for entry in told.order_by("pk")] == [
            {"state": ["open", "rejected"]},
            {"state": ["rejected", "open"]},
        ]
        press(operator, one, "accept")
        assert asked("m-1", timezone.now().date()) == (rate("input_tokens", 2),)

    def test_reopening_gives_way_to_a_newer_proposal(self, operator: Client, propose: Any) -> None:
        (old,) = propose(offer())
        reject(old)
        propose(offer("m-1", rate("input_tokens", 3)))
        before = everything()
        assert "Left as they are: openai m-1." in text(press(operator, old, "reopen"))
        assert everything() == before


class TestStale:
    def edit_by_hand(self, pattern: str, **changed: Any) -> None:
        openai = Provider.objects.get(slug="openai")
        price = Price(provider=openai, pattern=pattern, valid_from=timezone.now().date(), source="by hand", **changed)
        price_edits.record(price=price, rates=[PriceRate(unit="input_tokens", nano_per_million=7)])

    @pytest.mark.parametrize("pattern", ["gpt-4o", "m-1"])
    def test_where_the_book_has_changed_since_nothing_is_accepted(
        self, operator: Client, propose: Any, pattern: str
    ) -> None:
        (one,) = propose(offer(pattern))
        self.edit_by_hand(pattern)
        before = everything()
        answer = press(operator, one, "accept")
        assert f"Left as they are: openai {pattern}." in text(answer)
        assert everything() == before
        propose(offer(pattern))
        assert "1 accepted" in text(press(operator, one, "accept"))

    def test_the_others_of_a_selection_are_accepted(self, operator: Client, propose: Any) -> None:
        one, two = propose(offer("m-1"), offer("m-2"))
        self.edit_by_hand("m-1")
        confirm = choose(operator, "accept_chosen", one, two)
        answer = operator.post(LIST, hidden(confirm), follow=True)
        assert "1 accepted" in text(answer)
        assert "Left as they are: openai m-1." in text(answer)
        assert [each.pk for each in proposals()] == [one.pk]

    def test_of_two_sources_that_price_one_model_only_one_is_accepted(self, operator: Client, propose: Any) -> None:
        propose(offer())
        one, two = propose(offer("m-1", rate("input_tokens", 3)), source="litellm")
        assert [len(told) for told in accept(one, two, at=timezone.now())] == [1, 1]
        before = everything()
        press(operator, two, "accept")
        assert everything() == before
        assert asked("m-1", timezone.now().date()) == (rate("input_tokens", 2),)

    def test_the_dated_prices_of_one_source_may_be_accepted_one_by_one(self, operator: Client, propose: Any) -> None:
        days = [timezone.now().date() - timedelta(days=back) for back in (300, 200, 100)]
        made = propose(*(offer("m-1", rate("input_tokens", n), valid_from=day) for n, day in enumerate(days, start=1)))
        for one in made:
            assert "1 accepted" in text(press(operator, one, "accept"))
        assert [asked("m-1", day) for day in days] == [(rate("input_tokens", n),) for n in (1, 2, 3)]

    def test_a_decided_one_is_not_decided_again(self, operator: Client, propose: Any) -> None:
        (one,) = propose(offer())
        press(operator, one, "accept")
        before = everything()
        assert "Nothing has changed: this proposal is not open any more." in text(press(operator, one, "accept"))
        assert "Nothing has changed" in text(press(operator, one, "reject"))
        assert everything() == before

    def test_a_superseded_one_cannot_be_accepted_from_a_page_that_is_still_open(
        self, operator: Client, propose: Any
    ) -> None:
        (seen,) = propose(offer())
        propose(offer("m-1", rate("input_tokens", 200)))
        before = everything()
        press(operator, seen, "accept")
        assert everything() == before


class TestSeveral:
    def test_a_selection_is_confirmed_with_its_counts(self, operator: Client, propose: Any) -> None:
        one, two, three = propose(offer("m-1"), offer("m-2"), offer("gpt-4o"))
        before = everything()
        confirm = choose(operator, "accept_chosen", one, three)
        assert "2 proposals" in text(confirm)
        assert "New 1 Changed 1 Gone 0 Over 20 % 1" in text(confirm)
        assert everything() == before
        assert "2 accepted" in text(operator.post(LIST, hidden(confirm), follow=True))
        assert [each.pk for each in proposals()] == [two.pk]

    def test_all_that_the_filters_show(self, operator: Client, propose: Any) -> None:
        made = propose(*(offer(f"m-{n}") for n in range(60)), offer("gpt-4o"))
        confirm = choose(operator, "reject_chosen", made[0], query="?kind__exact=new", across=1)
        assert "60 proposals" in text(confirm)
        assert len(hidden(confirm)["_selected_action"]) == 1  # a thousand would be more than a form may have
        operator.post(f"{LIST}?kind__exact=new", hidden(confirm))
        assert [each.pattern for each in proposals()] == ["gpt-4o"]

    def test_what_changed_since_the_confirmation_is_shown_again(self, operator: Client, propose: Any) -> None:
        made = propose(offer("m-1"), offer("m-2"))
        confirm = choose(operator, "accept_chosen", *made)
        reject(made[0])
        before = everything()
        answer = operator.post(LIST, hidden(confirm), follow=True)
        assert "Nothing has changed: the proposals are others by now." in text(answer)
        assert "1 proposal " in text(answer)
        assert everything() == before

    def test_none_that_is_open(self, operator: Client, propose: Any) -> None:
        made = propose(offer())
        reject(*made)
        before = everything()
        answer = choose(operator, "accept_chosen", *made, query="?state=all")
        assert "None of the selected proposals is open." in text(answer)
        assert everything() == before


class TestAllNew:
    def test_without_the_flagged_ones(self, operator: Client, propose: Any) -> None:
        propose(offer("m-1"), offer("m-2"), offer(provider="newco", provider_name="New Co"), offer("gpt-4o"))
        assert "Accept all new of genai-prices (3)" in text(operator.get(LIST))
        confirm = operator.get(ALL_NEW)
        assert "2 new prices without a flag" in text(confirm)
        assert "Over 20 % 0 Sources disagree 0 New provider 1" in text(confirm)
        assert "2 accepted" in text(operator.post(ALL_NEW, hidden(confirm), follow=True))
        assert [(one.provider, one.pattern) for one in proposals()] == [("newco", "m-1"), ("openai", "gpt-4o")]

    def test_with_the_flagged_ones_where_that_is_ticked(self, operator: Client, propose: Any) -> None:
        propose(offer("m-1"), offer(provider="newco", provider_name="New Co"), offer("gpt-4o"))
        confirm = operator.get(ALL_NEW)
        assert "and the 1 flagged one" in text(confirm)
        assert "2 accepted" in text(operator.post(ALL_NEW, hidden(confirm) | {"flagged": "on"}, follow=True))
        assert [one.pattern for one in proposals()] == ["gpt-4o"]

    def test_of_one_source_only(self, operator: Client, propose: Any) -> None:
        propose(offer("m-1"), source="litellm")
        propose(offer("m-2"))
        operator.post(ALL_NEW, hidden(operator.get(ALL_NEW)))
        assert [one.pattern for one in proposals()] == ["m-1"]

    @pytest.mark.parametrize("fields", [{}, {"confirmed": "x"}, {"flagged": "on"}])
    def test_unconfirmed_or_changed_it_does_nothing(self, operator: Client, propose: Any, fields: Any) -> None:
        propose(offer())
        before = everything()
        assert operator.post(ALL_NEW, fields).status_code == 200
        assert everything() == before

    def test_there_is_no_other_source(self, operator: Client) -> None:
        assert operator.get(f"{LIST}all-new/rumour/").status_code == 404

    def test_nothing_new(self, operator: Client) -> None:
        assert "No new price is open." in text(operator.get(ALL_NEW))

    def test_a_thousand_take_few_statements(
        self, operator: Client, propose: Any, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        propose(*(offer(f"m-{n}") for n in range(1000)))
        fields = hidden(operator.get(ALL_NEW))
        with django_assert_max_num_queries(200) as done:
            operator.post(ALL_NEW, fields)
        assert Price.objects.filter(source="genai-prices 1.0").count() == 1000
        assert PriceProposal.objects.filter(state="accepted", price__isnull=False).count() == 1000
        updates = [query["sql"] for query in done.captured_queries if query["sql"].startswith("UPDATE")]
        assert len([sql for sql in updates if "book_versions" in sql]) == 1
