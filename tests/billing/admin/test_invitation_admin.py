"""Invitations in the admin: sent, resent and revoked after a confirmation, with their limits and permissions."""

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
INVITATIONS = "/admin/billing/invitation/"
FORM = {"email": "New@Example.com", "role": "owner"}


def invite(client: Client, account: Account, **form: str) -> Any:
    return client.post(f"{INVITATIONS}invite/{account.pk}/", {**FORM, **form}, follow=True)


def last_token() -> str:
    link = re.search(r"http://testserver/usage/invitation/([\w-]{43})/", str(mail.outbox[-1].body))
    assert link
    return link[1]


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_an_operator_sends_an_invitation_from_the_account_page(
    operator: Client, account: Account, now: datetime
) -> None:
    assert (
        f"{INVITATIONS}invite/{account.pk}/"
        in operator.get(f"/admin/billing/account/{account.pk}/change/").content.decode()
    )
    page = invite(operator, account).content.decode()

    invitation = Invitation.objects.get()
    expected = (account, "new@example.com", "owner", "operator")
    assert (invitation.account, invitation.email, invitation.role, invitation.invited_by) == expected
    assert (invitation.sent_at, invitation.expires_at) == (now, now + timedelta(days=7))
    assert "Invitation sent to new@example.com. It expires on 2026-11-29 12:00 UTC." in page
    assert mail.outbox[0].to == ["new@example.com"]
    assert mail.outbox[0].subject == "You're invited to acct_42 on Tollgate"
    assert invitations.find(last_token()) == invitation
    list_page = operator.get(INVITATIONS).content.decode()
    assert "new@example.com" in list_page
    assert last_token() not in page + list_page


def test_opening_the_form_sends_nothing(operator: Client, account: Account) -> None:
    assert operator.get(f"{INVITATIONS}invite/{account.pk}/").status_code == 200
    assert not Invitation.objects.exists()
    assert mail.outbox == []


def test_an_invitation_is_resent_with_a_new_token(
    operator: Client, account: Account, clock: Clock, now: datetime
) -> None:
    invite(operator, account)
    first, invitation = last_token(), Invitation.objects.get()
    refused = operator.post(f"{INVITATIONS}{invitation.pk}/again/").content.decode()
    assert "An invitation was just sent to this address. Try again in a minute." in refused
    assert len(mail.outbox) == 1

    clock.move_to(now + timedelta(minutes=1))
    operator.post(f"{INVITATIONS}{invitation.pk}/again/")
    assert len(mail.outbox) == 2
    assert invitations.find(first) is None
    assert invitations.find(last_token()) == invitation
    assert Invitation.objects.count() == 1


def test_an_invitation_is_revoked_after_a_confirmation(operator: Client, account: Account, now: datetime) -> None:
    invite(operator, account)
    invitation = Invitation.objects.get()
    assert operator.get(f"{INVITATIONS}{invitation.pk}/revoke/").status_code == 200
    assert Invitation.objects.get().revoked_at is None
    operator.post(f"{INVITATIONS}{invitation.pk}/revoke/")
    assert Invitation.objects.get().revoked_at == now


@pytest.mark.parametrize("address", ["", "not-an-address", "a" * 150 + "@example.com", "a@b.example\nBcc: c@d.example"])
def test_an_invalid_address_is_refused(operator: Client, account: Account, address: str) -> None:
    invite(operator, account, email=address)
    assert not Invitation.objects.exists()
    assert mail.outbox == []


def test_a_member_is_not_invited_again(operator: Client, account: Account) -> None:
    members.create_user(account, name="new@example.com")
    assert "is already a member of this account" in invite(operator, account).content.decode()
    assert not Invitation.objects.exists()


def test_the_number_of_open_invitations_is_limited(
    operator: Client, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invitations, "MAX_OPEN_INVITATIONS", 1)
    invite(operator, account)
    assert (
        "open invitations. Revoke some first." in invite(operator, account, email="second@example.com").content.decode()
    )
    assert Invitation.objects.get().email == "new@example.com"


def test_nobody_is_invited_to_an_inactive_account(operator: Client, account: Account) -> None:
    Account.objects.update(active=False)
    assert "This account is not active." in invite(operator, account).content.decode()
    assert not Invitation.objects.exists()


def test_an_unreachable_mail_server_is_reported(
    operator: Client, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_connection(*_args: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("django.core.mail.EmailMessage.send", refuse_connection)
    page = invite(operator, account).content.decode()
    assert "The mail server did not accept the e-mail. Resend the invitation in a minute." in page
    assert "was created, but no e-mail was sent" in page


def test_a_viewer_sees_invitations_but_changes_nothing(viewer: Client, account: Account, now: datetime) -> None:
    invitation, _ = invitations.invite(account, email="a@example.com", role="member", by="operator", at=now)
    assert viewer.get(INVITATIONS).status_code == 200
    for path in (f"invite/{account.pk}/", f"{invitation.pk}/again/", f"{invitation.pk}/revoke/"):
        assert viewer.post(f"{INVITATIONS}{path}", FORM).status_code == 403
    assert Invitation.objects.get().revoked_at is None
    assert mail.outbox == []
