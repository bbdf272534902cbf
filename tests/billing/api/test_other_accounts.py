"""R9: no account sees another. Generated: every address with an id, every method, another account's id."""

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
from tests.billing import alerted
from tests.conftest import Api

pytestmark = pytest.mark.django_db

METHODS = ("get", "post", "put", "patch", "delete")
EVENT = {"event_id": "theirs", "provider": "openai", "model": "secret-model", "metadata": {"secret": "secret"}}


def _routes(patterns: list[URLPattern | URLResolver], before: str = "") -> Iterator[tuple[str, str]]:
    """Each address of the API with an id in it, and the id's name."""
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern.url_patterns, route)
        elif route.startswith("api/v1/") and "<" in route and pattern.name != "not-found":
            for name in pattern.pattern.converters:
                yield route, name


ROUTES = sorted(set(_routes(get_resolver().url_patterns)))
COUNTS = (
    "calls", "tokens_total", "usage_nano", "fee_nano", "overage_nano", "adjustments_nano", "total_nano", "total_cents"
)  # fmt: skip
KINDS = {"id": "<uuid:id>", "external_id": "<str:external_id>"}


@pytest.fixture
def theirs(service: Api) -> dict[str, str]:
    """Ids of another account's things."""
    log = service.post("usage/", {**EVENT, "account": "theirs"}).json()["id"]
    room = {"account": "theirs", "reservation_id": "secret", "operations": [{"provider": "gemini"}]}
    reservation = service.post("reservations/", room).json()["id"]
    theirs = str(alerted.alert(Account.objects.get(external_id="theirs"), label="secret").id)
    return {"id": log, "external_id": "theirs", "reservations": reservation, "alerts": theirs}


def statement_of(account: Account) -> Statement:
    return Statement.objects.create(
        account=account,
        period=alerted.NOW.date(),
        period_end=alerted.NOW.date(),
        closed_at=alerted.NOW,
        state=Statement.State.OPEN,
        **dict.fromkeys(COUNTS, 0),
    )


def _of(theirs: dict[str, str], route: str, kind: str) -> str:
    return theirs.get(route.split("/")[2], theirs[kind])


@pytest.fixture
def member(account: Account) -> Client:
    user = User.objects.create_user("customer")
    Membership.objects.create(account=account, user=user)
    client = Client()
    client.force_login(user)
    return client


def _answers(client: Client, route: str, kind: str, value: str) -> list[tuple[str, Any]]:
    address = "/" + route.replace(KINDS[kind], value)
    return [(method, getattr(client, method)(address, {}, content_type="application/json")) for method in METHODS]


@pytest.mark.parametrize(("route", "kind"), ROUTES)
def test_another_accounts_id_does_not_exist(bound: Api, theirs: dict[str, str], route: str, kind: str) -> None:
    missing = {"id": str(uuid.uuid4()), "external_id": "nobody"}
    found = _answers(bound.client, route, kind, _of(theirs, route, kind))
    nothing = _answers(bound.client, route, kind, missing[kind])

    assert {answer.status_code for _, answer in found} <= {404, 405}
    assert 404 in {answer.status_code for _, answer in found}
    assert [(answer.status_code, answer.content) for _, answer in found] == [
        (answer.status_code, answer.content) for _, answer in nothing
    ]


@pytest.mark.parametrize(("route", "kind"), ROUTES)
def test_nor_for_a_customer(member: Client, theirs: dict[str, str], route: str, kind: str) -> None:
    missing = str(uuid.uuid4()) if kind == "id" else "nobody"
    found = _answers(member, route, kind, _of(theirs, route, kind))
    nothing = _answers(member, route, kind, missing)

    assert {answer.status_code for _, answer in found} <= {403, 404, 405}
    assert [(answer.status_code, answer.content) for _, answer in found] == [
        (answer.status_code, answer.content) for _, answer in nothing
    ]


@pytest.mark.parametrize("path", ["usage/logs/", "usage/summary/", "alerts/"])
def test_another_account_as_a_filter_is_404(bound: Api, theirs: dict[str, str], path: str) -> None:
    assert bound.get(path, account="theirs").status_code == 404
    assert bound.get(path, account="theirs").content == bound.get(path, account="nobody").content


@pytest.mark.parametrize(
    "query", [{}, {"q": "theirs"}, {"model": "secret-model"}, {"format": "csv"}, {"from": "2000-01-01T00:00:00Z"}]
)
def test_no_filter_finds_another_accounts_logs(bound: Api, theirs: dict[str, str], query: dict[str, str]) -> None:
    for search in (query, {**query, "q": theirs["id"]}):
        answer = bound.get("usage/logs/", **search)
        content = answer.getvalue() if answer.streaming else answer.content
        assert answer.status_code == 200
        assert b"secret" not in content
        assert b"theirs" not in content


def test_a_cursor_of_another_account_opens_nothing(bound: Api, service: Api, theirs: dict[str, str]) -> None:
    service.post("usage/", {**EVENT, "event_id": "theirs too", "account": "theirs"})
    cursor = service.get("usage/logs/", page_size=1).json()["next"].partition("cursor=")[2]

    assert bound.get("usage/logs/", cursor=cursor).json()["results"] == []


def test_another_account_in_a_batch_is_unknown_and_nothing_is_revealed(bound: Api, theirs: dict[str, str]) -> None:
    """Whether that account, or that event, exists or not."""
    names = ["theirs", "nobody", "acct_42"]
    answer = bound.post("usage/", {"events": [{**EVENT, "account": name} for name in names]})

    body = answer.json()
    assert (answer.status_code, [line["status"] for line in body["results"]]) == (
        207,
        ["rejected", "rejected", "accepted"],
    )
    for index, line in enumerate(body["results"][:2]):
        assert line == {
            "index": index,
            "event_id": "theirs",
            "status": "rejected",
            "id": None,
            "actual_provider": None,
            "confidence": None,
            "cost_usd": None,
            "priced": None,
            "errors": [
                {"code": "unknown_account", "detail": "There is no such account.", "attr": f"events.{index}.account"}
            ],
        }
    assert sorted(Account.objects.values_list("external_id", flat=True)) == ["acct_42", "theirs"]
    assert UsageLog.objects.filter(account__external_id="theirs").count() == 1
    assert UsageDay.objects.get(account__external_id="theirs").calls == 1


@pytest.mark.parametrize("name", ["theirs", "nobody", "ACCT_42", "acct_42 "])
def test_another_account_in_a_single_event_is_422(bound: Api, theirs: dict[str, str], name: str) -> None:
    answer = bound.post("usage/", {**EVENT, "account": name})

    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"code": "unknown_account", "detail": "There is no such account.", "attr": "account"}
    ]
    assert UsageLog.objects.count() == 1


def _pages(patterns: list[URLPattern | URLResolver], before: str = "") -> Iterator[str]:
    """Each address of the customers' pages with an id in it."""
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _pages(pattern.url_patterns, route)
        elif route.startswith("usage/") and "<uuid:id>" in route:
            yield route


PAGES = sorted(_pages(get_resolver().url_patterns))


def test_there_are_pages_with_ids() -> None:
    assert len(PAGES) == 5


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("route", PAGES)
def test_no_page_shows_another_accounts_things(
    member: Client, theirs: dict[str, str], account: Account, route: str, method: str
) -> None:
    """Nor does it tell them from what does not exist; and nothing changes."""
    statement = statement_of(Account.objects.get(external_id="theirs"))
    kind = route.split("/")[1]
    value = str(statement.pk) if kind == "statements" else theirs.get(kind, theirs["id"])
    found = getattr(member, method)("/" + route.replace("<uuid:id>", value))
    nothing = getattr(member, method)("/" + route.replace("<uuid:id>", str(uuid.uuid4())))

    assert (found.status_code, found.content) == (nothing.status_code, nothing.content)
    assert found.status_code in (404, 405)
    assert not UsageAlert.objects.exclude(read_at=None).exists()


@pytest.mark.parametrize("route", PAGES)
def test_each_of_those_pages_opens_for_ones_own(member: Client, account: Account, bound: Api, route: str) -> None:
    """Or the test above would prove nothing."""
    own = {
        "logs": bound.post("usage/", EVENT).json()["id"],
        "alerts": alerted.alert(account).pk,
        "statements": statement_of(account).pk,
    }
    address = "/" + route.replace("<uuid:id>", str(own[route.split("/")[1]]))
    assert (member.post if route.endswith("/read/") else member.get)(address).status_code in (200, 302)


@pytest.mark.parametrize("path", ["logs/", "logs/csv/", "alerts/", "statements/", "plan/", ""])
def test_no_page_lists_another_accounts_things(member: Client, theirs: dict[str, str], path: str) -> None:
    for query in ({}, {"account": "theirs"}, {"q": theirs["id"], "period": "all"}, {"q": "theirs"}):
        answer = member.get(f"/usage/{path}", query)
        content = b"".join(answer.streaming_content) if answer.streaming else answer.content  # type: ignore[attr-defined]
        assert answer.status_code == 200
        assert b"secret" not in content
        if query.get("q") != "theirs" and not query.get("account"):
            assert b'"theirs"' not in content


def test_a_cursor_of_another_account_opens_nothing_on_the_page(
    member: Client, service: Api, theirs: dict[str, str]
) -> None:
    service.post("usage/", {**EVENT, "event_id": "theirs too", "account": "theirs"})
    cursor = service.get("usage/logs/", page_size=1).json()["next"].partition("cursor=")[2]
    assert member.get(f"/usage/logs/?cursor={cursor}").context["logs"] == []


@pytest.mark.parametrize("method", METHODS)
def test_a_customer_gets_nothing_of_the_admin(member: Client, theirs: dict[str, str], method: str) -> None:
    addresses = sorted(
        {f"/admin/{model._meta.app_label}/{model._meta.model_name}/" for model in admin.site._registry}
        | {"/admin/", "/admin/health-card/", "/admin/billing/unpriced/", "/admin/billing/usagelog/export/"}
    )
    for address in addresses:
        answer = getattr(member, method)(address)
        assert (answer.status_code, answer["Location"]) == (302, f"/admin/login/?next={address}"), address
