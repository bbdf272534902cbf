"""Which account a member's pages show: chosen among the member's accounts, and checked again in every request."""

from __future__ import annotations

import pytest

from billing.models import Account, Membership
from tests.billing import members

pytestmark = pytest.mark.django_db


def test_a_user_without_an_account_is_refused(db: None) -> None:
    response = members.logged_in_client().get("/usage/")
    page = response.content.decode()
    assert (response.status_code, "this user is not a member of any account" in page) == (403, True)


def test_a_member_of_an_inactive_account_is_refused(account: Account) -> None:
    client = members.logged_in_client(account)
    Account.objects.update(active=False)
    for path in ("/usage/", "/usage/logs/", "/usage/plan/"):
        response = client.get(path)
        assert (response.status_code, "acct_42 is not active at the moment" in response.content.decode()) == (403, True)


def test_a_removed_member_is_refused(account: Account) -> None:
    client = members.logged_in_client(account)
    assert client.get("/usage/").status_code == 200
    Membership.objects.all().delete()
    assert client.get("/usage/").status_code == 403


def test_the_chosen_account_is_remembered(account: Account) -> None:
    client = members.logged_in_client(account, members.create_account("other", name="Zebra"))
    assert client.get("/usage/").context["request"].account == account
    assert client.post("/usage/account/", {"account": "other"})["Location"] == "/usage/"
    assert client.get("/usage/").context["request"].account.external_id == "other"
    assert client.get("/usage/plan/").context["request"].account.external_id == "other"


def test_accounts_are_sorted_by_name_or_by_id_without_a_name(account: Account) -> None:
    client = members.logged_in_client(
        members.create_account("empty"), members.create_account("z", name="acme"), account
    )
    accounts = client.get("/usage/").context["request"].accounts
    assert [account.external_id for account in accounts] == ["acct_42", "z", "empty"]


def test_the_api_uses_the_account_that_the_pages_show(account: Account) -> None:
    client = members.logged_in_client(account, members.create_account("other", name="Zebra"))
    assert client.get("/api/v1/usage/summary/").json()["account"] == "acct_42"
    client.post("/usage/account/", {"account": "other"})
    assert client.get("/api/v1/usage/summary/").json()["account"] == "other"


def test_a_choice_ends_with_the_membership(account: Account) -> None:
    other = members.create_account("other")
    client = members.logged_in_client(account, other)
    client.post("/usage/account/", {"account": "other"})
    Membership.objects.filter(account=other).delete()
    assert client.get("/usage/").context["request"].account == account


@pytest.mark.parametrize("name", ["theirs", "nobody", "", "ACCT_42"])
def test_an_account_of_others_cannot_be_chosen(account: Account, name: str) -> None:
    members.create_account("theirs")
    client = members.logged_in_client(account)
    assert client.post("/usage/account/", {"account": name}).status_code == 404
    assert client.get("/usage/").context["request"].account == account


def test_the_pages_are_not_cached(account: Account) -> None:
    assert "no-store" in members.logged_in_client(account).get("/usage/")["Cache-Control"]


def test_account_names_are_escaped(db: None) -> None:
    accounts = members.create_account("a", name="<b>x</b>"), members.create_account("b", name="<i>y</i>")
    client = members.logged_in_client(*accounts)
    page = client.get("/usage/").content.decode()
    assert "&lt;b&gt;x" in page
    assert "<b>x" not in page
    assert "<i>y" not in page
