"""The page of an invitation: accepted once, by the one who was invited, while it is open; anything else changes nothing."""

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
GOOD = {"password": "a-long-password", "again": "a-long-password"}


def invited(account: Account, now: datetime, email: str = EMAIL, role: str = "member") -> tuple[Invitation, str]:
    return invitations.invite(account, email=email, role=role, by="operator", at=now)


def opened(token: str, client: Client | None = None) -> tuple[Client, Any]:
    client = client or Client()
    return client, client.get(f"/usage/invitation/{token}/", follow=True)


def assert_nobody_came_in(users: int = 0) -> None:
    assert not Membership.objects.exists()
    assert User.objects.count() == users
    assert not Invitation.objects.exclude(accepted_at=None).exists()


def test_a_new_user_chooses_a_password_and_is_in(account: Account, now: datetime) -> None:
    _, token = invited(account, now, role="owner")
    client, page = opened(token)
    assert page.redirect_chain == [("/usage/invitation/", 302)]
    assert "Your user name is <strong>new@example.com</strong>" in page.content.decode()

    answer = client.post("/usage/invitation/", GOOD)

    membership = Membership.objects.get()
    assert (membership.account, membership.user.username, membership.role) == (account, EMAIL, "owner")
    assert (membership.user.email, membership.user.is_staff) == (EMAIL, False)
    assert membership.user.check_password("a-long-password")
    invitation = Invitation.objects.get()
    assert (invitation.accepted_at, invitation.accepted_by) == (now, membership.user)
    assert (answer.status_code, answer["Location"]) == (302, "/usage/")
    assert client.get("/usage/").status_code == 200


def test_one_who_is_there_logs_in_and_accepts(account: Account, now: datetime) -> None:
    user = members.user(name=EMAIL)
    client, page = opened(invited(account, now)[1])
    assert "/usage/login/?next=/usage/invitation/" in page.content.decode()
    assert client.post("/usage/invitation/", GOOD).status_code == 200  # no second user of the name
    assert_nobody_came_in(users=1)

    login = {"username": EMAIL, "password": "a-long-password", "next": "/usage/invitation/"}
    assert client.post("/usage/login/", login)["Location"] == "/usage/invitation/"
    assert "operator invited you" in client.get("/usage/invitation/").content.decode()
    assert not Membership.objects.exists()  # to look is not to accept
    assert client.post("/usage/invitation/")["Location"] == "/usage/"
    assert Membership.objects.get().user == user


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"password": "a-long-password", "again": "another-password"}, "The two passwords are not the same."),
        ({"password": "short", "again": "short"}, "This password is too short."),
        ({"password": "new@example.com", "again": "new@example.com"}, "The password is too similar to the username."),
        ({}, "This field is required."),
    ],
)
def test_a_poor_password_is_refused(account: Account, now: datetime, form: dict[str, str], error: str) -> None:
    client, _ = opened(invited(account, now)[1])
    assert error in client.post("/usage/invitation/", form).content.decode()
    assert_nobody_came_in()


def test_it_works_once(account: Account, now: datetime) -> None:
    _, token = invited(account, now)
    client, _ = opened(token)
    client.post("/usage/invitation/", GOOD)

    for visitor in (client, Client()):
        again, page = opened(token, visitor)
        assert page.status_code == 410
        assert "It was accepted on 2026-11-22, and works only once." in page.content.decode()
        assert again.post("/usage/invitation/", GOOD).status_code == 410
    assert (Membership.objects.count(), User.objects.count()) == (1, 1)


@pytest.mark.parametrize(("left", "status"), [(timedelta(microseconds=1), 200), (timedelta(), 410)])
def test_it_ends_at_the_moment_that_it_expires(
    account: Account, now: datetime, clock: Clock, left: timedelta, status: int
) -> None:
    _, token = invited(account, now)
    clock.move_to(now + timedelta(days=7) - left)
    client, page = opened(token)

    assert page.status_code == status
    if status == 410:
        assert "It expired on 2026-11-29." in page.content.decode()
        assert client.post("/usage/invitation/", GOOD).status_code == 410
        assert_nobody_came_in()


def test_a_revoked_one_works_no_more(account: Account, now: datetime) -> None:
    invitation, token = invited(account, now)
    client, _ = opened(token)
    assert invitations.revoke(invitation, at=now)
    assert not invitations.revoke(invitation, at=now)

    answer = client.post("/usage/invitation/", GOOD)
    assert (answer.status_code, "It was revoked." in answer.content.decode()) == (410, True)
    assert_nobody_came_in()


def test_a_newer_letter_ends_the_older(account: Account, now: datetime) -> None:
    _, old = invited(account, now - timedelta(hours=1))
    client, _ = opened(old)
    _, new = invited(account, now)

    assert client.post("/usage/invitation/", GOOD).status_code == 404
    assert opened(old)[1].status_code == 404
    assert_nobody_came_in()
    assert opened(new)[1].status_code == 200


def test_another_user_cannot_accept(account: Account, now: datetime) -> None:
    client, page = opened(invited(account, now)[1], members.client(name="other@example.com"))

    assert (page.status_code, "it was sent to another address" in page.content.decode()) == (403, True)
    assert client.post("/usage/invitation/").status_code == 403
    assert_nobody_came_in(users=1)


def test_nobody_comes_into_an_account_that_is_not_active(account: Account, now: datetime) -> None:
    client, _ = opened(invited(account, now)[1])
    Account.objects.update(active=False)

    assert client.post("/usage/invitation/", GOOD).status_code == 410
    assert_nobody_came_in()


@pytest.mark.parametrize("token", ["x", "0" * 43, "%00", "é"])
def test_a_token_that_is_none_is_404(db: None, token: str) -> None:
    client, page = opened(token)
    assert page.status_code == 404
    assert client.get("/usage/invitation/").status_code == 404
    assert not Session.objects.exists()


def test_two_forms_of_one_letter_make_one_user(account: Account, now: datetime) -> None:
    invitation, _ = invited(account, now)
    invitations.join(invitation, password="a-long-password", at=now)
    with pytest.raises(Refused, match="There is a user with this address"):
        invitations.join(invitation, password="a-long-password", at=now)
    with pytest.raises(Refused, match="not open any more"):
        invitations.accept(invitation, user=User.objects.get(), at=now)
    assert (User.objects.count(), Membership.objects.count()) == (1, 1)


def test_the_token_is_stored_nowhere(account: Account, now: datetime) -> None:
    _, token = invited(account, now)
    opened(token)
    assert token not in str(list(Invitation.objects.values()))
    assert token not in str(Session.objects.get().get_decoded())
    told = str(list(LogEntry.objects.values()))
    assert token not in told
    assert Invitation.objects.get().token_hash not in told


def test_invitations_are_in_the_audit_trail(account: Account, now: datetime) -> None:
    invitation, token = invited(account, now)
    client, _ = opened(token)
    client.post("/usage/invitation/", GOOD)

    entries = LogEntry.objects.get_for_object(invitation)
    assert {field for entry in entries for field in entry.changes_dict} >= {"email", "accepted_at", "accepted_by"}
    assert LogEntry.objects.get_for_object(Membership.objects.get()).exists()
