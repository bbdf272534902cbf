"""Whose pages they are: the account of the member, chosen among several, and looked up anew for every request."""

from __future__ import annotations

import pytest

from billing.models import Account, Membership
from tests.billing import members

pytestmark = pytest.mark.django_db


def test_a_user_in_no_account_is_told_so(db: None) -> None:
    answer = members.client().get("/usage/")
    assert (answer.status_code, "who is in no account" in answer.content.decode()) == (403, True)


def test_so_is_one_whose_account_is_not_active(account: Account) -> None:
    client = members.client(account)
    Account.objects.update(active=False)
    for path in ("/usage/", "/usage/logs/", "/usage/plan/"):
        answer = client.get(path)
        assert (answer.status_code, "acct_42 is not active at the moment" in answer.content.decode()) == (403, True)


def test_one_who_was_taken_out_sees_no_more(account: Account) -> None:
    client = members.client(account)
    assert client.get("/usage/").status_code == 200
    Membership.objects.all().delete()
    assert client.get("/usage/").status_code == 403


def test_an_account_is_chosen_and_remembered(account: Account) -> None:
    client = members.client(account, members.account("other", name="Zebra"))
    assert client.get("/usage/").context["request"].account == account
    assert client.post("/usage/account/", {"account": "other"})["Location"] == "/usage/"
    assert client.get("/usage/").context["request"].account.external_id == "other"
    assert client.get("/usage/plan/").context["request"].account.external_id == "other"


def test_the_first_is_by_name_or_by_the_id_of_one_without_a_name(account: Account) -> None:
    client = members.client(members.account("empty"), members.account("z", name="acme"), account)
    shown = client.get("/usage/").context["request"].accounts
    assert [one.external_id for one in shown] == ["acct_42", "z", "empty"]


def test_the_api_answers_for_the_account_that_the_pages_show(account: Account) -> None:
    client = members.client(account, members.account("other", name="Zebra"))
    assert client.get("/api/v1/usage/summary/").json()["account"] == "acct_42"
    client.post("/usage/account/", {"account": "other"})
    assert client.get("/api/v1/usage/summary/").json()["account"] == "other"


def test_a_choice_counts_only_while_one_is_in_the_account(account: Account) -> None:
    other = members.account("other")
    client = members.client(account, other)
    client.post("/usage/account/", {"account": "other"})
    Membership.objects.filter(account=other).delete()
    assert client.get("/usage/").context["request"].account == account


@pytest.mark.parametrize("name", ["theirs", "nobody", "", "ACCT_42"])
def test_what_is_not_ones_own_cannot_be_chosen(account: Account, name: str) -> None:
    members.account("theirs")
    client = members.client(account)
    assert client.post("/usage/account/", {"account": name}).status_code == 404
    assert client.get("/usage/").context["request"].account == account


def test_the_pages_are_in_no_cache(account: Account) -> None:
    assert "no-store" in members.client(account).get("/usage/")["Cache-Control"]


def test_names_are_escaped(db: None) -> None:
    client = members.client(members.account("a", name="<b>x</b>"), members.account("b", name="<i>y</i>"))
    page = client.get("/usage/").content.decode()
    assert "&lt;b&gt;x" in page
    assert "<b>x" not in page
    assert "<i>y" not in page
