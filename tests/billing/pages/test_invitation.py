"""The invitation page: an open invitation is accepted once, by the user it was sent to; anything else changes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client

from billing.accounts import invitations
from billing.errors import Refused
from billing.models import Account, Invitation, Membership
from tests.billing import members
from tests.frozen_clock import Clock

pytestmark = pytest.mark.django_db
EMAIL = "new@example.com"
VALID_FORM = {"password": "a-long-password", "again": "a-long-password"}


def create_invitation(
    account: Account, now: datetime, email: str = EMAIL, role: str = "member"
) -> tuple[Invitation, str]:
    return invitations.invite(account, email=email, role=role, by="operator", at=now)


def open_invitation(token: str, client: Client | None = None) -> tuple[Client, Any]:
    client = client or Client()
    return client, client.get(f"/usage/invitation/{token}/", follow=True)


def assert_nobody_joined(users: int = 0) -> None:
    assert not Membership.objects.exists()
    assert User.objects.count() == users
    assert not Invitation.objects.exclude(accepted_at=None).exists()


def test_a_new_user_chooses_a_password_and_joins(account: Account, now: datetime) -> None:
    _, token = create_invitation(account, now, role="owner")
    client, page = open_invitation(token)
    assert page.redirect_chain == [("/usage/invitation/", 302)]
    assert "Your username is <strong>new@example.com</strong>" in page.content.decode()

    response = client.post("/usage/invitation/", VALID_FORM)

    membership = Membership.objects.get()
    assert (membership.account, membership.user.username, membership.role) == (account, EMAIL, "owner")
    assert (membership.user.email, membership.user.is_staff) == (EMAIL, False)
    assert membership.user.check_password("a-long-password")
    invitation = Invitation.objects.get()
    assert (invitation.accepted_at, invitation.accepted_by) == (now, membership.user)
    assert (response.status_code, response["Location"]) == (302, "/usage/")
    assert client.get("/usage/").status_code == 200


def test_an_existing_user_logs_in_and_accepts(account: Account, now: datetime) -> None:
    user = members.create_user(name=EMAIL)
    client, page = open_invitation(create_invitation(account, now)[1])
    assert "/usage/login/?next=/usage/invitation/" in page.content.decode()
    assert client.post("/usage/invitation/", VALID_FORM).status_code == 200  # no second user with this name
    assert_nobody_joined(users=1)

    login = {"username": EMAIL, "password": "a-long-password", "next": "/usage/invitation/"}
    assert client.post("/usage/login/", login)["Location"] == "/usage/invitation/"
    assert "operator invited you" in client.get("/usage/invitation/").content.decode()
    assert not Membership.objects.exists()  # opening the page does not accept
    assert client.post("/usage/invitation/")["Location"] == "/usage/"
    assert Membership.objects.get().user == user


@pytest.mark.parametrize(
    ("form", "error"),
    [
        (
            {"password": "a-long-password", "again": "another-password"},
            "The passwords do not match. Enter the same password twice.",
        ),
        ({"password": "short", "again": "short"}, "This password is too short."),
        ({"password": "new@example.com", "again": "new@example.com"}, "The password is too similar to the username."),
        ({}, "This field is required."),
    ],
)
def test_an_invalid_password_is_refused(account: Account, now: datetime, form: dict[str, str], error: str) -> None:
    client, _ = open_invitation(create_invitation(account, now)[1])
    assert error in client.post("/usage/invitation/", form).content.decode()
    assert_nobody_joined()


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_an_invitation_works_once(account: Account, now: datetime) -> None:
    _, token = create_invitation(account, now)
    client, _ = open_invitation(token)
    client.post("/usage/invitation/", VALID_FORM)

    for visitor in (client, Client()):
        _, page = open_invitation(token, visitor)
        assert page.status_code == 410
        assert "It was accepted on 2026-11-22 and cannot be used again." in page.content.decode()
        assert visitor.post("/usage/invitation/", VALID_FORM).status_code == 410
    assert (Membership.objects.count(), User.objects.count()) == (1, 1)


@pytest.mark.parametrize(("remaining", "status"), [(timedelta(microseconds=1), 200), (timedelta(), 410)])
@pytest.mark.frozen_at("2026-11-22T12:00")
def test_an_invitation_is_valid_until_the_moment_it_expires(
    account: Account, now: datetime, clock: Clock, remaining: timedelta, status: int
) -> None:
    _, token = create_invitation(account, now)
    clock.move_to(now + timedelta(days=7) - remaining)
    client, page = open_invitation(token)

    assert page.status_code == status
    if status == 410:
        assert "It expired on 2026-11-29." in page.content.decode()
        assert client.post("/usage/invitation/", VALID_FORM).status_code == 410
        assert_nobody_joined()


def test_a_revoked_invitation_no_longer_works(account: Account, now: datetime) -> None:
    invitation, token = create_invitation(account, now)
    client, _ = open_invitation(token)
    assert invitations.revoke(invitation, at=now)
    assert not invitations.revoke(invitation, at=now)

    response = client.post("/usage/invitation/", VALID_FORM)
    assert (response.status_code, "It was revoked." in response.content.decode()) == (410, True)
    assert_nobody_joined()


def test_a_newer_invitation_replaces_the_older_one(account: Account, now: datetime) -> None:
    _, old = create_invitation(account, now - timedelta(hours=1))
    client, _ = open_invitation(old)
    _, new = create_invitation(account, now)

    assert client.post("/usage/invitation/", VALID_FORM).status_code == 404
    assert open_invitation(old)[1].status_code == 404
    assert_nobody_joined()
    assert open_invitation(new)[1].status_code == 200


def test_another_user_cannot_accept(account: Account, now: datetime) -> None:
    client, page = open_invitation(
        create_invitation(account, now)[1], members.logged_in_client(name="other@example.com")
    )

    assert (page.status_code, "but the invitation was sent to another address." in page.content.decode()) == (403, True)
    assert client.post("/usage/invitation/").status_code == 403
    assert_nobody_joined(users=1)


def test_accepting_for_another_address_is_refused_by_the_rule_itself(account: Account, now: datetime) -> None:
    """Whatever page calls it."""
    invitation, _ = create_invitation(account, now)
    other = members.create_user(name="other@example.com")
    with pytest.raises(Refused) as refused:
        invitations.accept(invitation, user=other, at=now)
    assert refused.value.code == "another_address"
    assert_nobody_joined(users=1)


def test_nobody_joins_an_inactive_account(account: Account, now: datetime) -> None:
    client, _ = open_invitation(create_invitation(account, now)[1])
    Account.objects.update(active=False)

    assert client.post("/usage/invitation/", VALID_FORM).status_code == 410
    assert_nobody_joined()


@pytest.mark.parametrize("token", ["x", "0" * 43, "%00", "é"])
def test_an_invalid_token_is_404(db: None, token: str) -> None:
    client, page = open_invitation(token)
    assert page.status_code == 404
    assert client.get("/usage/invitation/").status_code == 404
    assert not Session.objects.exists()


def test_an_invitation_submitted_twice_creates_one_user(account: Account, now: datetime) -> None:
    invitation, _ = create_invitation(account, now)
    invitations.join(invitation, password="a-long-password", at=now)
    with pytest.raises(Refused, match="A user with this address already exists"):
        invitations.join(invitation, password="a-long-password", at=now)
    with pytest.raises(Refused, match="no longer open"):
        invitations.accept(invitation, user=User.objects.get(), at=now)
    assert (User.objects.count(), Membership.objects.count()) == (1, 1)


def test_the_token_is_stored_nowhere(account: Account, now: datetime) -> None:
    _, token = create_invitation(account, now)
    open_invitation(token)
    assert token not in str(list(Invitation.objects.values()))
    assert token not in str(Session.objects.get().get_decoded())
    audit_trail = str(list(LogEntry.objects.values()))
    assert token not in audit_trail
    assert Invitation.objects.get().token_hash not in audit_trail


def test_invitations_are_in_the_audit_trail(account: Account, now: datetime) -> None:
    invitation, token = create_invitation(account, now)
    client, _ = open_invitation(token)
    client.post("/usage/invitation/", VALID_FORM)

    entries = LogEntry.objects.get_for_object(invitation)
    assert {field for entry in entries for field in entry.changes_dict} >= {"email", "accepted_at", "accepted_by"}
    assert LogEntry.objects.get_for_object(Membership.objects.get()).exists()
