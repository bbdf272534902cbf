"""Access to the API: keys and their scopes, bound keys, staff groups and customers. Refused requests store nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from billing.accounts import access, accounts
from billing.models import Account, ApiKey, Membership, UsageLog
from config import metrics
from tests.conftest import Api
from tests.frozen_clock import Clock

pytestmark = pytest.mark.django_db

EVENT = {"event_id": "e1", "account": "acct_42", "provider": "openai", "model": "gpt-4o", "usage": {"input_tokens": 5}}
REQUESTS: list[tuple[str, str, str, Any]] = [
    ("ingest", "post", "usage/", EVENT),
    ("read", "get", "usage/logs/", None),
    ("read", "get", "usage/summary/", None),
    ("read", "get", "accounts/acct_42/", None),
    ("manage", "post", "accounts/", {"external_id": "acct_43"}),
]
REQUEST_NAMES = [f"{method} {path}" for _, method, path, _ in REQUESTS]


def send(client: Client, method: str, path: str, body: object) -> Any:
    url = f"/api/v1/{path}"
    return client.get(url) if method == "get" else client.post(url, body, content_type="application/json")


def with_token(token: str) -> Client:
    return Client(raise_request_exception=False, headers={"authorization": token})


def assert_refused(response: Any, status: int, code: str) -> None:
    assert (response.status_code, [error["code"] for error in response.json()["errors"]]) == (status, [code])
    assert not UsageLog.objects.exists()
    assert not Account.objects.exclude(external_id="acct_42").exists()


@pytest.mark.parametrize(("scope", "method", "path", "body"), REQUESTS, ids=REQUEST_NAMES)
def test_a_key_needs_the_requests_scope(account: Account, scope: str, method: str, path: str, body: object) -> None:
    others = Api(*sorted({"ingest", "read", "limits", "manage"} - {scope}))
    assert_refused(send(others.client, method, path, body), 403, "permission_denied")

    assert send(Api(scope).client, method, path, body).status_code in (200, 201)


@pytest.mark.parametrize(("scope", "method", "path", "body"), REQUESTS, ids=REQUEST_NAMES)
def test_an_anonymous_request_is_401(account: Account, scope: str, method: str, path: str, body: object) -> None:
    response = send(Client(), method, path, body)

    assert_refused(response, 401, "not_authenticated")
    assert response["WWW-Authenticate"] == 'Bearer realm="tollgate"'


INVALID_TOKENS = [
    "",
    "Bearer",
    "Bearer ",
    "Bearer x",
    "Bearer tg_",
    "Bearer tg__",
    "Bearer tg_{prefix}_",
    "Bearer tg_{prefix}_{secret}x",
    "Bearer tg_{prefix}_{secret} x",
    "Bearer tg_{prefix}_{upper}",
    "Bearer tg_ffffffff_{secret}",
    "Bearer TG_{prefix}_{secret}",
    "Bearer tg_{prefix}_\x00",
    "Bearer tg_\x00_{secret}",
    "Bearer tg_\xe9_{secret}",
    "Bearer tg_{prefix}_\xe9\udcff",
    "Bearer " + "tg_" * 100_000,
    "Basic tg_{prefix}_{secret}",
    "tg_{prefix}_{secret}",
]


@pytest.mark.parametrize("form", INVALID_TOKENS)
def test_an_invalid_token_is_401(account: Account, form: str) -> None:
    key, token = access.create_key(name="k", scopes=["read"], at=account.created_at)
    secret = token.split("_", 2)[2]
    authorization = form.format(prefix=key.prefix, secret=secret, upper=secret.swapcase())

    assert with_token(authorization).get("/api/v1/usage/logs/").status_code == 401


def test_the_scheme_is_case_insensitive(service: Api) -> None:
    assert with_token(f"bearer {service.token}").get("/api/v1/usage/logs/").status_code == 200


def test_a_revoked_key_is_refused_at_the_next_request(service: Api, now: datetime) -> None:
    assert service.get("usage/logs/").status_code == 200
    access.revoke(service.key, at=now)
    assert_refused(service.post("usage/", EVENT), 401, "authentication_failed")


@pytest.mark.parametrize(("left", "status"), [(timedelta(microseconds=1), 200), (timedelta(), 401)])
def test_a_key_is_refused_from_the_moment_it_expires(db: None, now: datetime, left: timedelta, status: int) -> None:
    _key, token = access.create_key(name="k", scopes=["read"], at=now - timedelta(days=1), expires_at=now + left)

    assert with_token(f"Bearer {token}").get("/api/v1/usage/logs/").status_code == status


def test_a_key_of_an_inactive_account_is_refused(bound: Api, account: Account) -> None:
    Account.objects.update(active=False)
    assert_refused(bound.post("usage/", EVENT), 401, "authentication_failed")


def test_the_last_use_of_a_key_is_recorded_once_a_minute(service: Api, clock: Clock, now: datetime) -> None:
    last_uses = []
    for seconds in (0, 59, 60, 61):
        at = now + timedelta(seconds=seconds)
        clock.move_to(at)
        service.get("usage/logs/")
        last_uses.append(ApiKey.objects.get().last_used_at)
    later = now + timedelta(minutes=1)
    assert last_uses == [now, now, later, later]


def test_the_secret_of_a_key_is_not_stored(service: Api) -> None:
    secret = service.token.split("_", 2)[2]
    assert not any(secret in str(value) for value in ApiKey.objects.values_list().get())


def test_a_bound_key_acts_for_its_own_account(bound: Api, service: Api) -> None:
    assert bound.post("usage/", {**EVENT, "account": None}).status_code == 201
    assert bound.post("usage/", {**EVENT, "event_id": "e2"}).status_code == 201
    service.post("usage/", {**EVENT, "account": "acct_43"})

    assert [row["account"] for row in bound.get("usage/logs/").json()["results"]] == ["acct_42"] * 2
    assert bound.get("usage/summary/").json()["account"] == "acct_42"
    assert bound.get("usage/summary/").json()["total_calls"] == 2


def test_a_service_key_without_an_account_sees_the_platform(service: Api) -> None:
    for name in ("acct_42", "acct_43"):
        service.post("usage/", {**EVENT, "account": name})

    summary = service.get("usage/summary/").json()
    assert (summary["account"], summary["total_calls"]) == (None, 2)
    assert len(service.get("usage/logs/").json()["results"]) == 2


@pytest.mark.parametrize("allowed", [False, True])
def test_a_bound_key_states_costs_only_if_its_account_may(account: Account, allowed: bool) -> None:
    Account.objects.update(may_state_cost=allowed)
    bound = Api("ingest", account=Account.objects.get())
    response = bound.post("usage/", {**EVENT, "cost_usd": "1.5"})

    if allowed:
        assert (response.status_code, response.json()["cost_usd"]) == (201, "1.5")
    else:
        assert (response.status_code, response.json()["errors"][0]["attr"]) == (422, "cost_usd")
        assert not UsageLog.objects.exists()


def test_stated_costs_are_rounded_to_the_nano_dollar(service: Api) -> None:
    costs = ["0.0000000005", "0.0000000015", "0.000000000500000001", "1000000", "0"]
    batch = [{**EVENT, "event_id": f"e{index}", "cost_usd": cost} for index, cost in enumerate(costs)]
    results = service.post("usage/", {"events": batch}).json()["results"]

    assert [result["cost_usd"] for result in results] == ["0", "0.000000002", "0.000000001", "1000000", "0"]
    assert [result["priced"] for result in results] == [True] * 5


def test_without_create_accounts_an_unknown_account_is_422(service: Api, settings: Any) -> None:
    settings.CREATE_ACCOUNTS = False
    response = service.post("usage/", EVENT)

    assert_refused(response, 422, "unknown_account")
    assert response.json()["errors"][0]["attr"] == "account"
    assert not Account.objects.exists()


STAFF = [
    ("Viewer", [403, 200, 200, 200, 403]),
    ("Operator", [403, 200, 200, 200, 201]),  # machines send usage; staff correct it by adjustments
    (None, [403, 403, 403, 403, 403]),
]


@pytest.mark.parametrize(("group", "statuses"), STAFF)
def test_staff_have_the_permissions_of_their_group(account: Account, group: str | None, statuses: list[int]) -> None:
    user = User.objects.create_user("staff", is_staff=True)
    if group:
        user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)

    assert [send(client, method, path, body).status_code for _, method, path, body in REQUESTS] == statuses


def customer(*own_accounts: Account) -> Client:
    user = User.objects.create_user("customer")
    for account in own_accounts:
        Membership.objects.create(user=user, account=account)
    client = Client()
    client.force_login(user)
    return client


def test_a_customer_can_only_read_their_own_account(account: Account, service: Api) -> None:
    service.post("usage/", {**EVENT, "account": "acct_43"})
    client = customer(account)

    assert [send(client, method, path, body).status_code for _, method, path, body in REQUESTS] == [
        403,
        200,
        200,
        200,
        403,
    ]
    assert client.get("/api/v1/usage/summary/").json()["account"] == "acct_42"
    for path in ("usage/summary/?account=acct_43", "usage/logs/?account=acct_43", "accounts/acct_43/"):
        assert client.get(f"/api/v1/{path}").status_code == 404


def test_a_member_of_two_accounts_may_select_either(account: Account, now: datetime) -> None:
    other = accounts.build(external_id="acct_43", at=now)
    other.save(force_insert=True)
    client = customer(account, other)

    for name in ("acct_42", "acct_43"):
        assert client.get("/api/v1/usage/summary/", {"account": name}).json()["account"] == name
    Account.objects.filter(external_id="acct_43").update(active=False)
    assert client.get("/api/v1/usage/summary/", {"account": "acct_43"}).status_code == 404


def test_a_user_without_an_account_is_403(db: None) -> None:
    assert_refused(customer().get("/api/v1/usage/logs/"), 403, "permission_denied")


def test_a_customer_of_an_inactive_account_is_403(account: Account) -> None:
    Account.objects.update(active=False)
    assert_refused(customer(account).get("/api/v1/usage/logs/"), 403, "permission_denied")


def test_a_session_needs_a_csrf_token_to_write(account: Account) -> None:
    user = User.objects.create_superuser("root")
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)

    assert_refused(send(client, "post", "usage/", EVENT), 403, "permission_denied")
    assert client.get("/api/v1/usage/logs/").status_code == 200


def test_a_key_needs_no_csrf_token(service: Api) -> None:
    client = Client(enforce_csrf_checks=True, headers={"authorization": f"Bearer {service.token}"})
    assert send(client, "post", "usage/", EVENT).status_code == 201


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("put", "usage/"),
        ("get", "usage/"),
        ("post", "usage/logs/"),
        ("delete", "usage/summary/"),
        ("patch", "accounts/"),
    ],
)
def test_an_unsupported_method_is_405(service: Api, method: str, path: str) -> None:
    response = getattr(service.client, method)(f"/api/v1/{path}", EVENT, content_type="application/json")
    assert_refused(response, 405, "method_not_allowed")


@pytest.mark.parametrize(
    "path", ["nothing/", "nothing", "usage/logs/5/", "usage/logs/%00/", "usage//", "accounts/a/b/"]
)
def test_an_unknown_path_is_404_with_an_api_error(service: Api, path: str) -> None:
    assert_refused(service.get(path), 404, "not_found")


def test_requests_above_the_rate_are_429_with_retry_after(service: Api, settings: Any) -> None:
    settings.API_RATE, settings.ANONYMOUS_RATE = "2/hour", "1/hour"
    responses = [service.post("usage/", {**EVENT, "event_id": f"e{index}"}) for index in range(3)]

    assert [response.status_code for response in responses] == [201, 201, 429]
    body = responses[2].json()
    assert ([error["code"] for error in body["errors"]], "limit" in body) == (["throttled"], False)
    assert 1 <= int(responses[2]["Retry-After"]) <= 3600
    assert UsageLog.objects.count() == 2


@pytest.fixture
def anonymous_rate(settings: Any) -> None:
    settings.ANONYMOUS_RATE = "3/hour"


@pytest.mark.usefixtures("anonymous_rate")
@pytest.mark.parametrize("path", ["/api/v1/usage/logs/", "/api/v1/plans/", "/metrics"])
def test_failed_keys_are_limited_and_a_usable_key_always_passes(service: Api, path: str) -> None:
    guesses = [with_token(f"Bearer tg_12345678_{number}").get(path) for number in range(5)]
    assert [response.status_code for response in guesses] == [401, 401, 401, 429, 429]
    assert 1 <= int(guesses[3]["Retry-After"]) <= 3600
    assert with_token("Bearer tg_12345678_x").get(path, REMOTE_ADDR="198.51.100.7").status_code == 401

    usable = 404 if path == "/metrics" and not metrics.INSTALLED else 200
    assert [service.client.get(path).status_code for _ in range(5)] == [usable] * 5  # behind the same address


@pytest.mark.usefixtures("anonymous_rate")
def test_failed_keys_of_one_ipv6_network_are_counted_together() -> None:
    statuses = [
        with_token("Bearer tg_12345678_x").get("/api/v1/usage/logs/", REMOTE_ADDR=f"2001:db8::{number}").status_code
        for number in range(1, 6)
    ]
    assert statuses == [401, 401, 401, 429, 429]


@pytest.mark.usefixtures("anonymous_rate")
def test_failed_keys_and_anonymous_requests_share_the_limit() -> None:
    assert [Client().get("/api/v1/plans/").status_code for _ in range(3)] == [200, 200, 200]
    assert with_token("Bearer tg_12345678_x").get("/api/v1/usage/logs/").status_code == 429


@pytest.mark.parametrize("accept", ["text/html", "application/json; indent=2", "*/*", "text/*;q=0.3, */*;q=0.1"])
def test_every_supported_media_type_is_accepted(account: Account, accept: str) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.create_superuser("root"))

    for path in ("usage/logs/", "usage/summary/", "accounts/acct_42/", "usage/", "accounts/"):
        assert client.get(f"/api/v1/{path}", headers={"accept": accept}).status_code in (200, 405)
    bad = client.post("/api/v1/usage/", b"{", content_type="application/json", headers={"accept": accept})
    assert bad.status_code == 400


def test_an_unknown_media_type_is_406(service: Api) -> None:
    response = service.client.get("/api/v1/usage/logs/", headers={"accept": "application/xml"})
    assert_refused(response, 406, "not_acceptable")
