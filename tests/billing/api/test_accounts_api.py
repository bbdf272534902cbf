"""`POST accounts/` and `GET accounts/{external_id}/`."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from billing.models import Account
from tests.conftest import Api

pytestmark = pytest.mark.django_db

WANTED = {"external_id": "acct_7", "name": "Seven", "timezone": "Europe/Berlin", "anchor_day": 31}
SHOWN = {**WANTED, "active": True, "billed_from": "2026-10-31", "created_at": "2026-11-22T12:00:00Z"}


def shown(service: Api) -> dict[str, Any]:
    """The account alone; its plan and limits have tests of their own."""
    told = service.get("accounts/acct_7/").json()
    return {name: told[name] for name in SHOWN}


def test_an_account_is_made_and_shown(service: Api) -> None:
    answer = service.post("accounts/", WANTED)

    assert (answer.status_code, answer.json()) == (201, SHOWN)
    assert shown(service) == SHOWN


def test_an_account_needs_no_more_than_its_id(service: Api) -> None:
    answer = service.post("accounts/", {"external_id": "acct_7"})

    told = {"name": "", "timezone": "UTC", "anchor_day": 1, "billed_from": "2026-11-01"}
    assert (answer.status_code, answer.json()) == (201, SHOWN | told)


def test_the_same_request_again_changes_nothing(service: Api) -> None:
    service.post("accounts/", WANTED)
    again = service.post("accounts/", WANTED)

    assert (again.status_code, again.json()) == (200, SHOWN)
    assert Account.objects.count() == 1


@pytest.mark.parametrize("change", [{"name": "Eight"}, {"timezone": "UTC"}, {"anchor_day": 30}])
def test_the_same_id_with_other_data_is_refused(service: Api, change: dict[str, Any]) -> None:
    service.post("accounts/", WANTED)
    answer = service.post("accounts/", WANTED | change)

    assert answer.status_code == 422
    assert [(error["code"], error["attr"]) for error in answer.json()["errors"]] == [("account_exists", "external_id")]
    assert shown(service) == SHOWN


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"external_id": None}, "null", "external_id"),
    ({"external_id": ""}, "min_length", "external_id"),
    ({"external_id": "x" * 129}, "max_length", "external_id"),
    ({"external_id": "a/b"}, "invalid", "external_id"),
    ({"external_id": "a\x00"}, "invalid", "external_id"),
    ({"external_id": "a\n"}, "invalid", "external_id"),
    ({"external_id": "a\ud800"}, "invalid", "external_id"),
    ({"external_id": 5}, "invalid", "external_id"),
    ({"name": "x" * 201}, "max_length", "name"),
    ({"name": "a\x1b"}, "invalid", "name"),
    ({"name": "a\ud800"}, "invalid", "name"),
    ({"timezone": ""}, "invalid", "timezone"),
    ({"timezone": "Europe/Atlantis"}, "invalid", "timezone"),
    ({"timezone": "europe/berlin"}, "invalid", "timezone"),
    ({"timezone": "../../etc/passwd"}, "invalid", "timezone"),
    ({"timezone": "/etc/localtime"}, "invalid", "timezone"),
    ({"timezone": "UTC\x00"}, "invalid", "timezone"),
    ({"timezone": "+01:00"}, "invalid", "timezone"),
    ({"timezone": "x" * 65}, "max_length", "timezone"),
    ({"anchor_day": 0}, "min_value", "anchor_day"),
    ({"anchor_day": 32}, "max_value", "anchor_day"),
    ({"anchor_day": 1.0}, "invalid", "anchor_day"),
    ({"anchor_day": "1"}, "invalid", "anchor_day"),
    ({"anchor_day": True}, "invalid", "anchor_day"),
    ({"active": False}, "unknown_field", "active"),
    ({"may_state_cost": True}, "unknown_field", "may_state_cost"),
    ({"id": 1}, "unknown_field", "id"),
]


@pytest.mark.parametrize(("change", "code", "attr"), BAD)
def test_a_bad_field_is_refused(service: Api, change: dict[str, Any], code: str, attr: str) -> None:
    answer = service.post("accounts/", WANTED | change)

    assert answer.status_code == 422
    assert [(error["code"], error["attr"]) for error in answer.json()["errors"]] == [(code, attr)]
    assert not Account.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"external_id": "a", "external_id": "b"}',
        b'{"name": ' + b"[" * 70 + b"]" * 70 + b"}",
        b'{"name": ' + b"9" * 41 + b"}",
    ],
    ids=["empty", "list", "twice", "70 levels", "41 digits"],
)
def test_a_bad_body_is_400(service: Api, body: bytes) -> None:
    answer = service.client.post("/api/v1/accounts/", body, content_type="application/json")

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "bad_request")
    assert not Account.objects.exists()


def test_a_bound_key_makes_no_accounts(bound: Api) -> None:
    answer = bound.post("accounts/", WANTED)

    assert answer.status_code == 403
    assert Account.objects.count() == 1


@pytest.mark.parametrize(
    "external_id", ["a b", " a", "a ", "A", "caf\u00e9", "cafe\u0301", "a?b#c", "a%2Fb", "..", "\U0001f680", "a+b"]
)
def test_an_account_is_found_under_its_exact_id_only(service: Api, external_id: str) -> None:
    service.post("accounts/", {"external_id": "a"})
    address = f"accounts/{quote(external_id, safe='')}/"
    assert service.get(address).status_code == 404

    assert service.post("accounts/", {"external_id": external_id}).status_code == 201
    assert service.get(address).json()["external_id"] == external_id
