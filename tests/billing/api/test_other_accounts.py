"""R9: no account sees another's data. Every route with an id is requested by every method with another account's id."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from billing.models import Account, Membership, Statement, UsageAlert, UsageDay, UsageLog
from tests.billing import alert_rows
from tests.conftest import Api

pytestmark = pytest.mark.django_db

METHODS = ("get", "post", "put", "patch", "delete")
EVENT = {"event_id": "theirs", "provider": "openai", "model": "secret-model", "metadata": {"secret": "secret"}}


def _routes(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yields each API route with an id, and the name of the id."""
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern.url_patterns, route)
        elif route.startswith("api/v1/") and "<" in route and pattern.name != "not-found":
            for name in pattern.pattern.converters:
                yield route, name


ROUTES = sorted(set(_routes(get_resolver().url_patterns)))
TOTALS = (
    "calls", "tokens_total", "usage_nano", "fee_nano", "overage_nano", "adjustments_nano", "total_nano", "total_cents"
)  # fmt: skip
PLACEHOLDERS = {"id": "<uuid:id>", "external_id": "<str:external_id>"}


@pytest.fixture
def other_ids(service: Api) -> dict[str, str]:
    """Ids of another account's data, by the name of the id or the section of the API."""
    log = service.post("usage/", {**EVENT, "account": "theirs"}).json()["id"]
    hold = {"account": "theirs", "reservation_id": "secret", "operations": [{"provider": "gemini"}]}
    reservation = service.post("reservations/", hold).json()["id"]
    alert = str(alert_rows.create_alert(Account.objects.get(external_id="theirs"), label="secret").id)
    return {"id": log, "external_id": "theirs", "reservations": reservation, "alerts": alert}


def create_statement(account: Account) -> Statement:
    return Statement.objects.create(
        account=account,
        period=alert_rows.NOON.date(),
        period_end=alert_rows.NOON.date(),
        closed_at=alert_rows.NOON,
        state=Statement.State.OPEN,
        **dict.fromkeys(TOTALS, 0),
    )


def _other_id(other_ids: dict[str, str], route: str, id_name: str) -> str:
    return other_ids.get(route.split("/")[2], other_ids[id_name])


@pytest.fixture
def member(account: Account) -> Client:
    user = User.objects.create_user("customer")
    Membership.objects.create(account=account, user=user)
    client = Client()
    client.force_login(user)
    return client


def _responses(client: Client, route: str, id_name: str, value: str) -> list[tuple[str, Any]]:
    url = "/" + route.replace(PLACEHOLDERS[id_name], value)
    return [(method, getattr(client, method)(url, {}, content_type="application/json")) for method in METHODS]


@pytest.mark.parametrize(("route", "id_name"), ROUTES)
def test_another_accounts_id_does_not_exist(bound: Api, other_ids: dict[str, str], route: str, id_name: str) -> None:
    missing = {"id": str(uuid.uuid4()), "external_id": "nobody"}
    responses = _responses(bound.client, route, id_name, _other_id(other_ids, route, id_name))
    missing_responses = _responses(bound.client, route, id_name, missing[id_name])

    assert {response.status_code for _, response in responses} <= {404, 405}
    assert 404 in {response.status_code for _, response in responses}
    assert [(response.status_code, response.content) for _, response in responses] == [
        (response.status_code, response.content) for _, response in missing_responses
    ]


@pytest.mark.parametrize(("route", "id_name"), ROUTES)
def test_another_accounts_id_does_not_exist_for_a_customer(
    member: Client, other_ids: dict[str, str], route: str, id_name: str
) -> None:
    missing = str(uuid.uuid4()) if id_name == "id" else "nobody"
    responses = _responses(member, route, id_name, _other_id(other_ids, route, id_name))
    missing_responses = _responses(member, route, id_name, missing)

    assert {response.status_code for _, response in responses} <= {403, 404, 405}
    assert [(response.status_code, response.content) for _, response in responses] == [
        (response.status_code, response.content) for _, response in missing_responses
    ]


@pytest.mark.parametrize("path", ["usage/logs/", "usage/summary/", "alerts/"])
def test_another_account_as_a_filter_is_404(bound: Api, other_ids: dict[str, str], path: str) -> None:
    assert bound.get(path, account="theirs").status_code == 404
    assert bound.get(path, account="theirs").content == bound.get(path, account="nobody").content


@pytest.mark.parametrize(
    "query", [{}, {"q": "theirs"}, {"model": "secret-model"}, {"format": "csv"}, {"from": "2000-01-01T00:00:00Z"}]
)
def test_no_filter_finds_another_accounts_logs(bound: Api, other_ids: dict[str, str], query: dict[str, str]) -> None:
    for search in (query, {**query, "q": other_ids["id"]}):
        response = bound.get("usage/logs/", **search)
        content = response.getvalue() if response.streaming else response.content
        assert response.status_code == 200
        assert b"secret" not in content
        assert b"theirs" not in content


def test_a_cursor_of_another_account_gives_no_rows(bound: Api, service: Api, other_ids: dict[str, str]) -> None:
    service.post("usage/", {**EVENT, "event_id": "theirs too", "account": "theirs"})
    cursor = service.get("usage/logs/", page_size=1).json()["next"].partition("cursor=")[2]

    assert bound.get("usage/logs/", cursor=cursor).json()["results"] == []


def test_another_account_in_a_batch_is_unknown(bound: Api, other_ids: dict[str, str]) -> None:
    """The response does not depend on whether that account or event exists."""
    names = ["theirs", "nobody", "acct_42"]
    response = bound.post("usage/", {"events": [{**EVENT, "account": name} for name in names]})

    body = response.json()
    assert (response.status_code, [result["status"] for result in body["results"]]) == (
        207,
        ["rejected", "rejected", "accepted"],
    )
    for index, result in enumerate(body["results"][:2]):
        assert result == {
            "index": index,
            "event_id": "theirs",
            "status": "rejected",
            "id": None,
            "actual_provider": None,
            "confidence": None,
            "cost_usd": None,
            "priced": None,
            "usage_state": None,
            "unpriced_reason": None,
            "errors": [
                {"code": "unknown_account", "detail": "There is no such account.", "attr": f"events.{index}.account"}
            ],
        }
    assert sorted(Account.objects.values_list("external_id", flat=True)) == ["acct_42", "theirs"]
    assert UsageLog.objects.filter(account__external_id="theirs").count() == 1
    assert UsageDay.objects.get(account__external_id="theirs").calls == 1


@pytest.mark.parametrize("name", ["theirs", "nobody", "ACCT_42", "acct_42 "])
def test_another_account_in_a_single_event_is_422(bound: Api, other_ids: dict[str, str], name: str) -> None:
    response = bound.post("usage/", {**EVENT, "account": name})

    assert response.status_code == 422
    assert response.json()["errors"] == [
        {"code": "unknown_account", "detail": "There is no such account.", "attr": "account"}
    ]
    assert UsageLog.objects.count() == 1


def _page_routes(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    """Yields each route of the customer pages with an id."""
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _page_routes(pattern.url_patterns, route)
        elif route.startswith("usage/") and "<uuid:id>" in route:
            yield route


PAGE_ROUTES = sorted(_page_routes(get_resolver().url_patterns))


def test_there_are_pages_with_ids() -> None:
    assert len(PAGE_ROUTES) == 5


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("route", PAGE_ROUTES)
def test_no_page_shows_another_accounts_data(
    member: Client, other_ids: dict[str, str], account: Account, route: str, method: str
) -> None:
    """The response is that of an unknown id, and nothing changes."""
    statement = create_statement(Account.objects.get(external_id="theirs"))
    section = route.split("/")[1]
    value = str(statement.pk) if section == "statements" else other_ids.get(section, other_ids["id"])
    response = getattr(member, method)("/" + route.replace("<uuid:id>", value))
    missing = getattr(member, method)("/" + route.replace("<uuid:id>", str(uuid.uuid4())))

    assert (response.status_code, response.content) == (missing.status_code, missing.content)
    assert response.status_code in (404, 405)
    assert not UsageAlert.objects.exclude(read_at=None).exists()


@pytest.mark.parametrize("route", PAGE_ROUTES)
def test_each_page_opens_for_the_accounts_own_data(member: Client, account: Account, bound: Api, route: str) -> None:
    """Shows that the test above does not pass because of a broken page."""
    own = {
        "logs": bound.post("usage/", EVENT).json()["id"],
        "alerts": alert_rows.create_alert(account).pk,
        "statements": create_statement(account).pk,
    }
    url = "/" + route.replace("<uuid:id>", str(own[route.split("/")[1]]))
    assert (member.post if route.endswith("/read/") else member.get)(url).status_code in (200, 302)


@pytest.mark.parametrize("path", ["logs/", "logs/csv/", "alerts/", "statements/", "plan/", ""])
def test_no_page_lists_another_accounts_data(member: Client, other_ids: dict[str, str], path: str) -> None:
    for query in ({}, {"account": "theirs"}, {"q": other_ids["id"], "period": "all"}, {"q": "theirs"}):
        response = member.get(f"/usage/{path}", query)
        content = b"".join(response.streaming_content) if response.streaming else response.content  # type: ignore[attr-defined]
        assert response.status_code == 200
        assert b"secret" not in content
        if query.get("q") != "theirs" and not query.get("account"):
            assert b'"theirs"' not in content


def test_a_cursor_of_another_account_gives_no_rows_on_the_page(
    member: Client, service: Api, other_ids: dict[str, str]
) -> None:
    service.post("usage/", {**EVENT, "event_id": "theirs too", "account": "theirs"})
    cursor = service.get("usage/logs/", page_size=1).json()["next"].partition("cursor=")[2]
    assert member.get(f"/usage/logs/?cursor={cursor}").context["logs"] == []


@pytest.mark.parametrize("method", METHODS)
def test_a_customer_cannot_open_the_admin(member: Client, other_ids: dict[str, str], method: str) -> None:
    paths = sorted(
        {f"/admin/{model._meta.app_label}/{model._meta.model_name}/" for model in admin.site._registry}
        | {"/admin/", "/admin/health-card/", "/admin/billing/unpriced/", "/admin/billing/usagelog/export/"}
    )
    for path in paths:
        response = getattr(member, method)(path)
        assert (response.status_code, response["Location"]) == (302, f"/admin/login/?next={path}"), path
