"""The admin pages of price proposals: contents, filters, number of queries, permissions; and the CSV export."""

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

from tests.providers.offers import offer, rate, reject, stored_state
from tests.providers.proposal_pages import (
    ALL_NEW_URL,
    EMPTY_CELL,
    LIST_URL,
    change_url,
    decide,
    run_action,
    visible_text,
)

pytestmark = pytest.mark.django_db


class TestPages:
    def test_the_list_shows_current_and_proposed_rates(self, operator: Client, propose: Any) -> None:
        propose(
            offer("gpt-4o", rate("input_tokens", 3), rate("output_tokens", 10)),
            offer("image-1", rate("images", 40_000), provider="newco", provider_name="New Co"),
        )
        page = visible_text(operator.get(LIST_URL))
        since = timezone.now().date() - timedelta(days=35)
        assert f"image-1 New Co new {since} new provider images $40,000" in page
        assert f"gpt-4o OpenAI changed +20.0 % {timezone.now().date()} - input tokens $2.5 → $3" in page

    def test_the_list_takes_a_fixed_number_of_queries(
        self, operator: Client, propose: Any, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        operator.get(LIST_URL)
        propose(*(offer(pattern) for pattern in ("gpt-4o", "gpt-4o-mini", *(f"m-{n}" for n in range(70)))))
        with django_assert_num_queries(10):
            operator.get(LIST_URL)

    @pytest.mark.parametrize(
        ("query", "models"),
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
    def test_filters_apply_to_the_list_and_its_csv(
        self, viewer: Client, propose: Any, query: str, models: list[str]
    ) -> None:
        propose(offer("m-3", provider="newco", provider_name="New Co"), source="litellm")
        reject(
            *(
                proposal
                for proposal in propose(offer("gpt-4o"), offer("m-1"), offer("m-2"))
                if proposal.pattern == "m-2"
            )
        )
        page = viewer.get(LIST_URL + query).content.decode()
        assert sorted(re.findall(r'field-model_id"><a[^>]*>([^<]+) <', page)) == models
        response = viewer.get(f"{LIST_URL}export/{query}")
        rows = list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode())))  # type: ignore[attr-defined]
        assert sorted(row["model"] for row in rows) == models

    def test_a_csv_row_has_the_rates_and_state_of_a_proposal(self, viewer: Client, propose: Any) -> None:
        propose(offer("gpt-4o", rate("input_tokens", 2), rate("output_tokens", 10), aliases=("a", "b")))
        _, line = b"".join(viewer.get(f"{LIST_URL}export/").streaming_content).decode().splitlines()  # type: ignore[attr-defined]
        assert line == (
            f'openai,gpt-4o,changed,"input tokens $2.5 → $2; aliases: a, b",-20.00,,{timezone.now().date()},'
            "genai-prices 1.0,open,a b"
        )

    def test_the_page_of_a_proposal_shows_every_rate(self, viewer: Client, propose: Any) -> None:
        (proposal,) = propose(
            offer(
                "gpt-4o",
                rate("input_tokens", "2.5"),
                rate("output_tokens", 10),
                rate("output_tokens", 15, above=200_000),
                rate("input_tokens", "1.25", variant="service_tier=batch"),
            )
        )
        page = visible_text(viewer.get(change_url(proposal)))
        assert f"input tokens any {EMPTY_CELL} $2.5 $2.5 0 %" in page
        assert f"input tokens service_tier=batch {EMPTY_CELL} $2.5 $1.25 -50.0 %" in page
        assert "output tokens any 200,000 tokens $10 $15 +50.0 %" in page

    def test_the_empty_list_shows_the_command_to_run(self, viewer: Client) -> None:
        assert "manage.py sync_prices --source genai" in visible_text(viewer.get(LIST_URL))

    def test_hostile_texts_are_escaped(self, operator: Client, propose: Any) -> None:
        (proposal,) = propose(offer("<script>alert(1)</script>", aliases=("<b>",)))
        for address in (LIST_URL, change_url(proposal)):
            assert b"<script>alert(1)" not in operator.get(address).content


class TestPermissions:
    def test_a_viewer_sees_no_buttons_and_cannot_decide(self, viewer: Client, propose: Any) -> None:
        (proposal,) = propose(offer())
        before = stored_state()
        assert "Accept" not in visible_text(viewer.get(LIST_URL))
        assert "Accept" not in visible_text(viewer.get(change_url(proposal)))
        assert decide(viewer, proposal, "accept").status_code == 403
        assert viewer.get(ALL_NEW_URL).status_code == 403
        assert viewer.post(ALL_NEW_URL, {"confirmed": "x"}).status_code == 403
        run_action(viewer, "accept_chosen", proposal)
        assert stored_state() == before

    def test_an_operator_sees_the_buttons(self, operator: Client, propose: Any) -> None:
        (proposal,) = propose(offer())
        assert re.findall(r'name="decision" value="(\w+)"', operator.get(change_url(proposal)).content.decode()) == [
            "accept",
            "reject",
        ]

    def test_nobody_can_add_edit_or_delete_a_proposal(self, operator: Client, propose: Any) -> None:
        (proposal,) = propose(offer())
        before = stored_state()
        operator.force_login(User.objects.create_superuser("root"))
        assert operator.get(f"{LIST_URL}add/").status_code == 403
        assert operator.post(change_url(proposal), {"state": "accepted"}).status_code == 403
        assert operator.post(f"{LIST_URL}{proposal.pk}/delete/", {"post": "yes"}).status_code == 403
        assert stored_state() == before

    def test_staff_without_the_permission_cannot_export(self) -> None:
        client = Client()
        client.force_login(User.objects.create_user("nobody", is_staff=True))
        assert client.get(f"{LIST_URL}export/").status_code == 403

    def test_a_get_decides_nothing(self, operator: Client, propose: Any) -> None:
        (proposal,) = propose(offer())
        before = stored_state()
        assert operator.get(f"{LIST_URL}{proposal.pk}/decide/", {"decision": "accept"}).status_code == 404
        assert decide(operator, proposal, "sell").status_code == 404
        assert stored_state() == before
