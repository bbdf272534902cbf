"""Logging in and out, passwords, and where each sort of visitor is sent."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.http import HttpResponse
from django.test import Client

from billing.models import Account
from lib import rate_limit
from tests.billing import members

pytestmark = pytest.mark.django_db
LOGIN = "/usage/login/"
INSIDE = (
    "/usage/",
    "/usage/logs/",
    "/usage/logs/csv/",
    "/usage/alerts/",
    "/usage/statements/",
    "/usage/plan/",
    "/usage/plan/csv/",
)


@pytest.fixture(autouse=True)
def _nothing_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "_counts", {})


def test_the_first_address_sends_each_to_their_own(client: Client, account: Account) -> None:
    staff = Client()
    staff.force_login(User.objects.create_user("staff", is_staff=True))
    assert client.get("/")["Location"] == LOGIN
    assert staff.get("/")["Location"] == "/admin/"
    assert members.client(account).get("/")["Location"] == "/usage/"


def test_one_who_is_logged_in_may_look_at_the_log_in(account: Account) -> None:
    client = members.client(account)
    assert client.get(f"{LOGIN}?next={LOGIN}").status_code == 200


@pytest.mark.parametrize("path", INSIDE)
def test_strangers_log_in_first_and_staff_have_their_own_pages(client: Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer["Location"]) == (302, f"{LOGIN}?next={path}")
    client.force_login(User.objects.create_user("staff", is_staff=True))
    answer = client.get(path)
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")


def test_logging_in_leads_on(client: Client, account: Account) -> None:
    members.user(account)
    form = {"username": "customer@example.com", "password": "a-long-password"}
    wrong = client.post(LOGIN, {**form, "password": "wrong"})
    assert (wrong.status_code, "_auth_user_id" in client.session) == (200, False)
    assert client.post(LOGIN, {**form, "next": "/usage/plan/"})["Location"] == "/usage/plan/"
    assert Client().post(LOGIN, {**form, "next": "https://elsewhere.example/"})["Location"] == "/"


def test_wrong_passwords_lock_the_log_in(client: Client, account: Account) -> None:
    members.user(account)
    form = {"username": "customer@example.com", "password": "wrong"}
    assert [client.post(LOGIN, form).status_code for _ in range(5)] == [200, 200, 200, 200, 429]
    assert client.post(LOGIN, {**form, "password": "a-long-password"}).status_code == 429


def test_logging_out_takes_a_post(account: Account) -> None:
    client = members.client(account)
    assert client.get("/usage/logout/").status_code == 405
    assert client.get("/usage/").status_code == 200
    assert client.post("/usage/logout/")["Location"] == LOGIN
    assert client.get("/usage/").status_code == 302


def test_a_password_is_changed(account: Account) -> None:
    client = members.client(account)
    new = "another-long-password"
    client.post("/usage/password/", {"old_password": "a-long-password", "new_password1": new, "new_password2": new})
    assert User.objects.get().check_password(new)
    assert client.get("/usage/").status_code == 200


def test_a_forgotten_password_is_set_anew(client: Client, account: Account) -> None:
    members.user(account)
    client.post("/usage/password/reset/", {"email": "customer@example.com"})
    link = re.search(r"http://testserver(/usage/password/reset/\S+)", str(mail.outbox[0].body))
    assert link
    page = client.get(link[1], follow=True)
    assert [status for _, status in page.redirect_chain] == [302]
    new = {"new_password1": "another-long-password", "new_password2": "another-long-password"}
    client.post(page.redirect_chain[0][0], new)
    assert User.objects.get().check_password("another-long-password")
    assert "does not work any more" in Client().get(link[1], follow=True).content.decode()


def test_a_reset_tells_nobody_who_is_a_user(client: Client, account: Account) -> None:
    members.user(account)
    known = client.post("/usage/password/reset/", {"email": "customer@example.com"}, follow=True)
    unknown = client.post("/usage/password/reset/", {"email": "nobody@example.com"}, follow=True)
    assert known.content == unknown.content
    assert [one.to for one in mail.outbox] == [["customer@example.com"]]


def reset(client: Client, email: str = "customer@example.com") -> HttpResponse:
    return client.post("/usage/password/reset/", {"email": email})  # type: ignore[return-value]  # the test client's own


def test_letters_to_one_address_are_bounded_and_nobody_can_tell(client: Client, account: Account) -> None:
    members.user(account)
    answers = [reset(client, email) for email in ("customer@example.com", "Customer@Example.com") * 3]
    assert [(one.status_code, one["Location"]) for one in answers] == [(302, "/usage/password/reset/sent/")] * 6
    assert len(mail.outbox) == 3


def test_resets_from_one_network_are_bounded(client: Client, account: Account) -> None:
    members.user(account)
    statuses = [reset(client, f"somebody-{number}@example.com").status_code for number in range(21)]
    assert statuses == [302] * 20 + [429]
    refused = reset(client)
    assert "Too many letters were asked for from your network." in refused.content.decode()
    assert 0 < int(refused["Retry-After"]) <= 3600
    assert mail.outbox == []
    members_own = Client(REMOTE_ADDR="198.51.100.7")
    assert reset(members_own).status_code == 302
    assert len(mail.outbox) == 1
