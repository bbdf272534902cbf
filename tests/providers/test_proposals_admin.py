"""Price proposals in the admin: deciding on one, several and all new ones; what is refused changes nothing."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from providers import price_book, price_edits
from providers.models import Price, PriceProposal, PriceRate, Provider
from tests.providers.offers import accept, asked, everything, offer, proposals, rate, reject, sync

pytestmark = pytest.mark.django_db

LIST = "/admin/providers/priceproposal/"
NOTHING = "\N{EN DASH}"  # where there is nothing to show
ALL_NEW = f"{LIST}all-new/genai/"


def member(group: str) -> Client:
    user = User.objects.create_user(group.lower(), email=f"{group.lower()}@example.com", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def operator() -> Client:
    return member("Operator")


@pytest.fixture
def viewer() -> Client:
    return member("Viewer")


@pytest.fixture
def propose() -> Callable[..., list[PriceProposal]]:
    """Runs a source today; the open proposals."""

    def run(*statements: Any, **options: Any) -> list[PriceProposal]:
        sync(*statements, at=timezone.now(), **options)
        return proposals()

    return run


def text(answer: Any) -> str:
    """The page's words, without its markup."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def page_of(one: PriceProposal) -> str:
    return f"{LIST}{one.pk}/change/"


def press(client: Client, one: PriceProposal, decision: str) -> Any:
    return client.post(f"{LIST}{one.pk}/decide/", {"decision": decision}, follow=True)


def hidden(answer: Any) -> dict[str, Any]:
    """The fields of the confirmation's form."""
    fields: dict[str, Any] = {}
    for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', answer.content.decode()):
        fields.setdefault(name, []).append(value)
    return fields


def choose(client: Client, action: str, *chosen: PriceProposal, query: str = "", across: int = 0) -> Any:
    fields = {"action": action, "index": 0, "select_across": across, "_selected_action": [one.pk for one in chosen]}
    return client.post(LIST + query, fields, follow=True)


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


class TestPages:
    def test_the_list_says_what_is_asked_now_and_proposed(self, operator: Client, propose: Any) -> None:
        propose(
            offer("gpt-4o", rate("input_tokens", 3), rate("output_tokens", 10)),
            offer("image-1", rate("images", 40_000), provider="newco", provider_name="New Co"),
        )
        page = text(operator.get(LIST))
        since = timezone.now().date() - timedelta(days=35)
        assert f"image-1 New Co new {since} {NOTHING} new provider images $40,000" in page
        assert f"gpt-4o OpenAI changed {timezone.now().date()} +20.0 % - input tokens $2.5 → $3" in page

    def test_the_list_takes_the_same_queries_whatever_its_length(
        self, operator: Client, propose: Any, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        operator.get(LIST)
        propose(*(offer(pattern) for pattern in ("gpt-4o", "gpt-4o-mini", *(f"m-{n}" for n in range(70)))))
        with django_assert_num_queries(10):
            operator.get(LIST)

    @pytest.mark.parametrize(
        ("query", "shown"),
        [
            ("", ["gpt-4o", "m-1", "m-3"]),
            ("?state=rejected", ["m-2"]),
            ("?state=all", ["gpt-4o", "m-1", "m-2", "m-3"]),
            ("?kind__exact=changed", ["gpt-4o"]),
            ("?source__exact=litellm", ["m-3"]),
            ("?provider=newco", ["m-3"]),
            ("?flag=any", ["gpt-4o", "m-3"]),
            ("?flag=none", ["m-1"]),
            ("?flag=over_20", ["gpt-4o"]),
            ("?flag=new_provider", ["m-3"]),
            ("?flag=sources_disagree", []),
            ("?flag=rumour", ["gpt-4o", "m-1", "m-3"]),
            ("?state=rumour", ["gpt-4o", "m-1", "m-3"]),
            ("?q=pt-4", ["gpt-4o"]),
        ],
    )
    def test_filters_hold_for_the_list_and_its_csv(
        self, viewer: Client, propose: Any, query: str, shown: list[str]
    ) -> None:
        propose(offer("m-3", provider="newco", provider_name="New Co"), source="litellm")
        reject(*(one for one in propose(offer("gpt-4o"), offer("m-1"), offer("m-2")) if one.pattern == "m-2"))
        page = viewer.get(LIST + query).content.decode()
        assert sorted(re.findall(r'field-model_id"><a[^>]*>([^<]+) <', page)) == shown
        answer = viewer.get(f"{LIST}export/{query}")
        rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))  # type: ignore[attr-defined]
        assert sorted(row["model"] for row in rows) == shown

    def test_a_line_of_the_csv(self, viewer: Client, propose: Any) -> None:
        propose(offer("gpt-4o", rate("input_tokens", 2), rate("output_tokens", 10), aliases=("a", "b")))
        _, line = b"".join(viewer.get(f"{LIST}export/").streaming_content).decode().splitlines()  # type: ignore[attr-defined]
        assert line == (
            f'openai,gpt-4o,changed,"input tokens $2.5 → $2; aliases: a, b",-20.00,,{timezone.now().date()},'
            "genai-prices 1.0,open,a b"
        )

    def test_a_proposals_page_shows_every_cell(self, viewer: Client, propose: Any) -> None:
        (one,) = propose(
            offer(
                "gpt-4o",
                rate("input_tokens", "2.5"),
                rate("output_tokens", 10),
                rate("output_tokens", 15, above=200_000),
                rate("input_tokens", "1.25", variant="service_tier=batch"),
            )
        )
        page = text(viewer.get(page_of(one)))
        assert f"input tokens any {NOTHING} $2.5 $2.5 0 %" in page
        assert f"input tokens service_tier=batch {NOTHING} $2.5 $1.25 -50.0 %" in page
        assert "output tokens any 200,000 tokens $10 $15 +50.0 %" in page

    def test_the_empty_list_says_what_to_run(self, viewer: Client) -> None:
        assert "manage.py sync_prices --source genai" in text(viewer.get(LIST))

    def test_hostile_texts_are_escaped(self, operator: Client, propose: Any) -> None:
        (one,) = propose(offer("<script>alert(1)</script>", aliases=("<b>",)))
        for address in (LIST, page_of(one)):
            assert b"<script>alert(1)" not in operator.get(address).content


class TestRights:
    def test_a_viewer_sees_no_button_and_decides_nothing(self, viewer: Client, propose: Any) -> None:
        (one,) = propose(offer())
        before = everything()
        assert "Accept" not in text(viewer.get(LIST))
        assert "Accept" not in text(viewer.get(page_of(one)))
        assert press(viewer, one, "accept").status_code == 403
        assert viewer.get(ALL_NEW).status_code == 403
        assert viewer.post(ALL_NEW, {"confirmed": "x"}).status_code == 403
        choose(viewer, "accept_chosen", one)
        assert everything() == before

    def test_an_operator_sees_the_buttons(self, operator: Client, propose: Any) -> None:
        (one,) = propose(offer())
        assert re.findall(r'name="decision" value="(\w+)"', operator.get(page_of(one)).content.decode()) == [
            "accept",
            "reject",
        ]

    def test_nobody_adds_edits_or_deletes_one(self, operator: Client, propose: Any) -> None:
        (one,) = propose(offer())
        before = everything()
        operator.force_login(User.objects.create_superuser("root"))
        assert operator.get(f"{LIST}add/").status_code == 403
        assert operator.post(page_of(one), {"state": "accepted"}).status_code == 403
        assert operator.post(f"{LIST}{one.pk}/delete/", {"post": "yes"}).status_code == 403
        assert everything() == before

    def test_who_may_see_nothing_exports_nothing(self) -> None:
        client = Client()
        client.force_login(User.objects.create_user("nobody", is_staff=True))
        assert client.get(f"{LIST}export/").status_code == 403

    def test_a_get_decides_nothing(self, operator: Client, propose: Any) -> None:
        (one,) = propose(offer())
        before = everything()
        assert operator.get(f"{LIST}{one.pk}/decide/", {"decision": "accept"}).status_code == 404
        assert press(operator, one, "sell").status_code == 404
        assert everything() == before
