"""`POST accounts/` and `GET accounts/{external_id}/`."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from billing.models import Account
from tests.conftest import Api

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at("2026-11-22T12:00")]

REQUEST = {"external_id": "acct_7", "name": "Seven", "timezone": "Europe/Berlin", "anchor_day": 31}
ACCOUNT = {**REQUEST, "active": True, "billed_from": "2026-10-31", "created_at": "2026-11-22T12:00:00Z"}


def get_account(service: Api) -> dict[str, Any]:
    """The fields of ACCOUNT; test_plans_api.py tests the plan and the limits."""
    body = service.get("accounts/acct_7/").json()
    return {name: body[name] for name in ACCOUNT}


def test_an_account_is_created(service: Api) -> None:
    response = service.post("accounts/", REQUEST)

    assert (response.status_code, response.json()) == (201, ACCOUNT)
    assert get_account(service) == ACCOUNT


def test_only_the_id_is_required(service: Api) -> None:
    response = service.post("accounts/", {"external_id": "acct_7"})

    defaults = {"name": "", "timezone": "UTC", "anchor_day": 1, "billed_from": "2026-11-01"}
    assert (response.status_code, response.json()) == (201, ACCOUNT | defaults)


def test_a_repeated_request_changes_nothing(service: Api) -> None:
    service.post("accounts/", REQUEST)
    repeated = service.post("accounts/", REQUEST)

    assert (repeated.status_code, repeated.json()) == (200, ACCOUNT)
    assert Account.objects.count() == 1


@pytest.mark.parametrize("change", [{"name": "Eight"}, {"timezone": "UTC"}, {"anchor_day": 30}])
def test_the_same_id_with_other_data_is_refused(service: Api, change: dict[str, Any]) -> None:
    service.post("accounts/", REQUEST)
    response = service.post("accounts/", REQUEST | change)

    assert response.status_code == 422
    assert [(error["code"], error["attr"]) for error in response.json()["errors"]] == [
        ("account_exists", "external_id")
    ]
    assert get_account(service) == ACCOUNT


BAD_FIELDS: list[tuple[dict[str, Any], str, str]] = [
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


@pytest.mark.parametrize(("change", "code", "attr"), BAD_FIELDS)
def test_a_bad_field_is_refused(service: Api, change: dict[str, Any], code: str, attr: str) -> None:
    response = service.post("accounts/", REQUEST | change)

    assert response.status_code == 422
    assert [(error["code"], error["attr"]) for error in response.json()["errors"]] == [(code, attr)]
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
    response = service.client.post("/api/v1/accounts/", body, content_type="application/json")

    assert (response.status_code, response.json()["errors"][0]["code"]) == (400, "bad_request")
    assert not Account.objects.exists()


def test_a_bound_key_cannot_create_accounts(bound: Api) -> None:
    response = bound.post("accounts/", REQUEST)

    assert response.status_code == 403
    assert Account.objects.count() == 1


@pytest.mark.parametrize(
    "external_id", ["a b", " a", "a ", "A", "caf\u00e9", "cafe\u0301", "a?b#c", "a%2Fb", "..", "\U0001f680", "a+b"]
)
def test_ids_are_matched_exactly(service: Api, external_id: str) -> None:
    service.post("accounts/", {"external_id": "a"})
    path = f"accounts/{quote(external_id, safe='')}/"
    assert service.get(path).status_code == 404

    assert service.post("accounts/", {"external_id": external_id}).status_code == 201
    assert service.get(path).json()["external_id"] == external_id
