"""The pages of price proposals: what they show to whom, by which filters, in how many queries; and their CSV."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.providers.offers import everything, offer, rate, reject
from tests.providers.proposal_pages import ALL_NEW, LIST, NOTHING, choose, page_of, press, text

pytestmark = pytest.mark.django_db


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
