"""Invitations in the admin: sent, sent again, revoked, each after a confirmation; bounded, and by those who may."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from billing.accounts import invitations
from billing.models import Account, Invitation
from tests.billing import members
from tests.frozen_clock import Clock

pytestmark = pytest.mark.django_db
ADDRESS = "/admin/billing/invitation/"
FORM = {"email": "New@Example.com", "role": "owner"}


def invite(client: Client, account: Account, **form: str) -> Any:
    return client.post(f"{ADDRESS}invite/{account.pk}/", {**FORM, **form}, follow=True)


def token() -> str:
    found = re.search(r"http://testserver/usage/invitation/([\w-]{43})/", str(mail.outbox[-1].body))
    assert found
    return found[1]


def test_an_operator_invites_from_the_accounts_page(operator: Client, account: Account, now: datetime) -> None:
    assert (
        f"{ADDRESS}invite/{account.pk}/"
        in operator.get(f"/admin/billing/account/{account.pk}/change/").content.decode()
    )
    page = invite(operator, account).content.decode()

    one = Invitation.objects.get()
    assert (one.account, one.email, one.role, one.invited_by) == (account, "new@example.com", "owner", "operator")
    assert (one.sent_at, one.expires_at) == (now, now + timedelta(days=7))
    assert "The invitation of new@example.com is open until 2026-11-29 12:00 UTC." in page
    assert mail.outbox[0].to == ["new@example.com"]
    assert mail.outbox[0].subject == "You are invited to acct_42 on Tollgate"
    assert invitations.find(token()) == one
    listed = operator.get(ADDRESS).content.decode()
    assert "new@example.com" in listed
    assert token() not in page + listed


def test_it_is_confirmed_first(operator: Client, account: Account) -> None:
    assert operator.get(f"{ADDRESS}invite/{account.pk}/").status_code == 200
    assert not Invitation.objects.exists()
    assert mail.outbox == []


def test_sent_again_with_another_token(operator: Client, account: Account, clock: Clock, now: datetime) -> None:
    invite(operator, account)
    first, one = token(), Invitation.objects.get()
    refused = operator.post(f"{ADDRESS}{one.pk}/again/").content.decode()
    assert "A letter went to this address less than a minute ago." in refused
    assert len(mail.outbox) == 1

    clock.move_to(now + timedelta(minutes=1))
    operator.post(f"{ADDRESS}{one.pk}/again/")
    assert len(mail.outbox) == 2
    assert invitations.find(first) is None
    assert invitations.find(token()) == one
    assert Invitation.objects.count() == 1


def test_revoked(operator: Client, account: Account, now: datetime) -> None:
    invite(operator, account)
    one = Invitation.objects.get()
    assert operator.get(f"{ADDRESS}{one.pk}/revoke/").status_code == 200
    assert Invitation.objects.get().revoked_at is None
    operator.post(f"{ADDRESS}{one.pk}/revoke/")
    assert Invitation.objects.get().revoked_at == now


@pytest.mark.parametrize("address", ["", "not-an-address", "a" * 150 + "@example.com", "a@b.example\nBcc: c@d.example"])
def test_what_is_no_address_is_refused(operator: Client, account: Account, address: str) -> None:
    invite(operator, account, email=address)
    assert not Invitation.objects.exists()
    assert mail.outbox == []


def test_a_member_is_not_invited_again(operator: Client, account: Account) -> None:
    members.user(account, name="new@example.com")
    assert "is in the account already" in invite(operator, account).content.decode()
    assert not Invitation.objects.exists()


def test_an_account_has_so_many_open_ones(operator: Client, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invitations, "MOST_OPEN", 1)
    invite(operator, account)
    assert "revoke some first" in invite(operator, account, email="second@example.com").content.decode()
    assert Invitation.objects.get().email == "new@example.com"


def test_not_into_an_account_that_is_not_active(operator: Client, account: Account) -> None:
    Account.objects.update(active=False)
    assert "This account is not active." in invite(operator, account).content.decode()
    assert not Invitation.objects.exists()


def test_a_mail_server_that_is_away_is_told(
    operator: Client, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_args: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("django.core.mail.EmailMessage.send", away)
    page = invite(operator, account).content.decode()
    assert "The mail server did not take the letter. Send it again in a minute." in page
    assert "is open, but nobody was told" in page


def test_a_viewer_looks_and_changes_nothing(viewer: Client, account: Account, now: datetime) -> None:
    one, _ = invitations.invite(account, email="a@example.com", role="member", by="operator", at=now)
    assert viewer.get(ADDRESS).status_code == 200
    for path in (f"invite/{account.pk}/", f"{one.pk}/again/", f"{one.pk}/revoke/"):
        assert viewer.post(f"{ADDRESS}{path}", FORM).status_code == 403
    assert Invitation.objects.get().revoked_at is None
    assert mail.outbox == []
