"""Login, logout, passwords, and the page to which each kind of visitor is sent."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.http import HttpResponse
from django.test import Client

from billing.models import Account
from tests.billing import members

pytestmark = pytest.mark.django_db
LOGIN = "/usage/login/"
MEMBER_PATHS = (
    "/usage/",
    "/usage/logs/",
    "/usage/logs/csv/",
    "/usage/alerts/",
    "/usage/statements/",
    "/usage/plan/",
    "/usage/plan/csv/",
)


def test_the_root_path_redirects_each_visitor_to_their_pages(client: Client, account: Account) -> None:
    staff = Client()
    staff.force_login(User.objects.create_user("staff", is_staff=True))
    assert client.get("/")["Location"] == LOGIN
    assert staff.get("/")["Location"] == "/admin/"
    assert members.logged_in_client(account).get("/")["Location"] == "/usage/"


def test_a_logged_in_user_can_open_the_login_page(account: Account) -> None:
    client = members.logged_in_client(account)
    assert client.get(f"{LOGIN}?next={LOGIN}").status_code == 200


@pytest.mark.parametrize("path", MEMBER_PATHS)
def test_anonymous_users_must_log_in_and_staff_are_sent_to_the_admin(client: Client, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response["Location"]) == (302, f"{LOGIN}?next={path}")
    client.force_login(User.objects.create_user("staff", is_staff=True))
    response = client.get(path)
    assert (response.status_code, response["Location"]) == (302, "/admin/")


def test_login_redirects_to_the_next_page_of_this_site_only(client: Client, account: Account) -> None:
    members.create_user(account)
    form = {"username": "customer@example.com", "password": "a-long-password"}
    wrong = client.post(LOGIN, {**form, "password": "wrong"})
    assert (wrong.status_code, "_auth_user_id" in client.session) == (200, False)
    assert client.post(LOGIN, {**form, "next": "/usage/plan/"})["Location"] == "/usage/plan/"
    assert Client().post(LOGIN, {**form, "next": "https://elsewhere.example/"})["Location"] == "/"


def test_wrong_passwords_lock_the_login(client: Client, account: Account) -> None:
    members.create_user(account)
    form = {"username": "customer@example.com", "password": "wrong"}
    assert [client.post(LOGIN, form).status_code for _ in range(5)] == [200, 200, 200, 200, 429]
    assert client.post(LOGIN, {**form, "password": "a-long-password"}).status_code == 429


def test_logout_needs_a_post(account: Account) -> None:
    client = members.logged_in_client(account)
    assert client.get("/usage/logout/").status_code == 405
    assert client.get("/usage/").status_code == 200
    assert client.post("/usage/logout/")["Location"] == LOGIN
    assert client.get("/usage/").status_code == 302


def test_a_password_is_changed(account: Account) -> None:
    client = members.logged_in_client(account)
    new = "another-long-password"
    client.post("/usage/password/", {"old_password": "a-long-password", "new_password1": new, "new_password2": new})
    assert User.objects.get().check_password(new)
    assert client.get("/usage/").status_code == 200


def test_a_forgotten_password_is_reset(client: Client, account: Account) -> None:
    members.create_user(account)
    client.post("/usage/password/reset/", {"email": "customer@example.com"})
    link = re.search(r"http://testserver(/usage/password/reset/\S+)", str(mail.outbox[0].body))
    assert link
    page = client.get(link[1], follow=True)
    assert [status for _, status in page.redirect_chain] == [302]
    new = {"new_password1": "another-long-password", "new_password2": "another-long-password"}
    client.post(page.redirect_chain[0][0], new)
    assert User.objects.get().check_password("another-long-password")
    assert "This link is not valid" in Client().get(link[1], follow=True).content.decode()


def test_a_password_reset_does_not_reveal_who_is_a_user(client: Client, account: Account) -> None:
    members.create_user(account)
    known = client.post("/usage/password/reset/", {"email": "customer@example.com"}, follow=True)
    unknown = client.post("/usage/password/reset/", {"email": "nobody@example.com"}, follow=True)
    assert known.content == unknown.content
    assert [message.to for message in mail.outbox] == [["customer@example.com"]]


def request_reset(client: Client, email: str = "customer@example.com") -> HttpResponse:
    return client.post("/usage/password/reset/", {"email": email})  # type: ignore[return-value]  # the test client's own class


def test_reset_mails_to_one_address_are_limited_with_the_same_response(client: Client, account: Account) -> None:
    members.create_user(account)
    responses = [request_reset(client, email) for email in ("customer@example.com", "Customer@Example.com") * 3]
    assert [(response.status_code, response["Location"]) for response in responses] == [
        (302, "/usage/password/reset/sent/")
    ] * 6
    assert len(mail.outbox) == 3


def test_password_resets_from_one_network_are_limited(client: Client, account: Account) -> None:
    members.create_user(account)
    statuses = [request_reset(client, f"somebody-{number}@example.com").status_code for number in range(21)]
    assert statuses == [302] * 20 + [429]
    refused = request_reset(client)
    assert (
        "Too many password resets were requested from your network. Try again in an hour." in refused.content.decode()
    )
    assert 0 < int(refused["Retry-After"]) <= 3600
    assert mail.outbox == []
    from_other_network = Client(REMOTE_ADDR="198.51.100.7")
    assert request_reset(from_other_network).status_code == 302
    assert len(mail.outbox) == 1


def test_an_ipv6_network_counts_as_one_client(account: Account) -> None:
    clients = [Client(REMOTE_ADDR=f"2001:db8::{number}") for number in range(1, 22)]
    statuses = [
        request_reset(client, f"somebody-{number}@example.com").status_code for number, client in enumerate(clients)
    ]
    assert statuses == [302] * 20 + [429]
    assert request_reset(Client(REMOTE_ADDR="2001:db8:0:1::1")).status_code == 302
