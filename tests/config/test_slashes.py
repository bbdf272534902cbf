"""Addresses without their last slash: GET redirects, a POST is answered as with the slash."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from billing.models import Account, UsageLog
from tests.conftest import Api

EVENT = {"event_id": "e1", "account": "acct_42", "provider": "openai"}


@pytest.mark.parametrize("path", ["/admin", "/usage", "/api/v1", "/api/v1/usage", "/api/v1/usage/logs", "/usage/logs"])
def test_a_get_is_redirected(db: None, path: str) -> None:
    response = Client().get(f"{path}?a=b%20c&d=%C3%A9")
    assert (response.status_code, response.headers["Location"]) == (301, f"{path}/?a=b%20c&d=%C3%A9")


def test_a_post_is_answered_as_with_the_slash(account: Account) -> None:
    client = Api("ingest").client
    answers = [client.post(f"/api/v1/{path}", EVENT, content_type="application/json") for path in ("usage", "usage/")]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert UsageLog.objects.count() == 1


def test_a_log_in_without_the_slash_works(db: None) -> None:
    User.objects.create_user("ada@example.com", password="a-long-password")
    response = Client().post("/usage/login", {"username": "ada@example.com", "password": "a-long-password"})
    assert (response.status_code, response.headers["Location"]) == (302, "/")


@pytest.mark.parametrize("path", ["/nothing", "/api/v1/nothing", "/api/v1/usage/logs/5"])
def test_an_unknown_path_stays_unknown(db: None, path: str) -> None:
    assert Client().get(path).status_code == 404


def test_a_path_that_has_no_slash_is_not_redirected(db: None) -> None:
    assert Client().get("/livez").status_code == 200
