"""The browsable API: a root with every endpoint, forms whose examples work, filters, a pager, and names in breadcrumbs."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client

from billing.models import Account, Membership, UsageLog
from lib.query_string import schemas
from tests.config.test_query_parameters import ENDPOINTS, Endpoint
from tests.conftest import Api

HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
POSTS = [endpoint for endpoint in ENDPOINTS if endpoint[0] == "post"]
CRUMB = re.compile(r'<a href="([^"]+)">([^<]+)</a> &rsaquo;')


@pytest.fixture
def operator(db: None) -> Client:
    client = Client(headers=HTML)
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def customer(account: Account) -> Client:
    user = User.objects.create_user("ada@example.com")
    Membership.objects.create(user=user, account=account)
    client = Client(headers=HTML)
    client.force_login(user)
    return client


def text(client: Client, path: str, status: int = 200) -> str:
    response = client.get(f"/api/v1/{path}")
    assert (response.status_code, response.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    return response.content.decode()


def test_the_root_lists_every_endpoint_once(db: None) -> None:
    groups = Client().get("/api/v1/").json()["groups"]
    listed = [endpoint for group in groups for endpoint in group["endpoints"]]
    templates = [
        (method.upper(), "/api/v1/" + re.sub("[0-9a-f-]{36}", "{id}", path).replace("acct_42", "{external_id}"))
        for method, path, _ in ENDPOINTS
        if path
    ]
    assert sorted((endpoint["method"], endpoint["path"]) for endpoint in listed) == sorted(templates)
    assert all(endpoint["summary"] and len(endpoint["description"]) > 10 for endpoint in listed)
    assert [group["name"] for group in groups] == [
        "Usage",
        "Limits",
        "Accounts and plans",
        "Providers and prices",
        "Health",
    ]


def test_the_root_says_who_is_logged_in_and_links_the_rest(operator: Client, customer: Client) -> None:
    page = text(operator, "")
    assert "root: ingest, limits, manage, read" in page
    for path in ("/api/v1/docs/", "/admin/", "/usage/logout/", "/api/v1/usage/logs/"):
        assert f'"{path}"' in page
    page = text(customer, "")
    assert "ada@example.com: read" in page
    assert '<a href="/api/v1/usage/">' not in page  # it needs a scope that customers do not have
    assert '<a href="/api/v1/usage/">' not in text(customer, "usage/logs/")
    assert "Log in" in text(Client(headers=HTML), "")


def test_breadcrumbs_have_names(operator: Client) -> None:
    page = text(operator, f"usage/logs/{UUID(int=7)}/void/")
    assert CRUMB.findall(page) == [
        ("/api/v1/", "Tollgate API"),
        ("/api/v1/usage/", "Record usage"),
        ("/api/v1/usage/logs/", "List usage logs"),
        (f"/api/v1/usage/logs/{UUID(int=7)}/", "Show a usage log"),
    ]
    assert "Not found" not in page


@pytest.mark.parametrize("endpoint", POSTS, ids=lambda endpoint: endpoint[1])
def test_a_browser_sees_the_form_and_a_client_405(account: Account, operator: Client, endpoint: Endpoint) -> None:
    page = text(operator, endpoint[1])
    assert f'data-url="/api/v1/{endpoint[1]}"' in page
    assert "`" not in page
    response = Api("ingest", "read", "limits", "manage").get(endpoint[1])
    assert (response.status_code, response.json()["errors"][0]["code"]) == (405, "method_not_allowed")


def example_of(page: str) -> Any:
    (body,) = re.findall(r"<textarea[^>]*>(.*?)</textarea>", page, re.DOTALL)
    return json.loads(body.replace("&quot;", '"').replace("&#x27;", "'"))


def test_every_offered_example_works(operator: Client) -> None:
    def post(path: str) -> tuple[int, Any]:
        response = operator.post(
            f"/api/v1/{path}",
            example_of(text(operator, path)),
            content_type="application/json",
            headers={"accept": "application/json"},
        )
        return response.status_code, response.json()

    assert post("accounts/")[0] == 201
    assert post("providers/detect/") == (200, {**post("providers/detect/")[1], "actual_provider": "openrouter"})
    status, event = post("usage/")
    assert (status, event["status"], event["actual_provider"]) == (201, "accepted", "wavespeed")
    assert post("preflight/")[1]["allowed"] is True
    status, grant = post("reservations/")
    assert (status, grant["state"]) == (201, "held")
    status, settled = post(f"reservations/{grant['id']}/settle/")
    assert (status, settled["reservation"]["state"]) == (201, "settled")
    assert post("accounts/acct_42/subscribe/")[0] == 201
    status, voided = post(f"usage/logs/{event['id']}/void/")
    assert (status, voided["voided"]) == (200, True)
    assert UsageLog.objects.count() == 2


def test_the_filter_form_has_every_parameter_and_says_what_is_wrong(account: Account, operator: Client) -> None:
    for method, path, view in ENDPOINTS:
        names = set(schemas(view.query_parameters)) - {"cursor"}
        if method == "get" and "0000" not in path:
            assert set(re.findall(r'id="filter-([^"]+)"', text(operator, path))) == names, path
    page = text(operator, "usage/logs/?status=lost&page_size=7", 422)
    assert "Use one of these: success, failed." in page
    assert 'name="page_size" value="7"' in page


def test_lists_have_a_pager(account: Account, operator: Client) -> None:
    events = [{"event_id": f"e{index}", "account": "acct_42", "provider": "openai"} for index in range(3)]
    assert Api("ingest").post("usage/", {"events": events}).status_code == 200
    first = text(operator, "usage/logs/?page_size=2&status=success")
    (link,) = re.findall(r'href="[^"]+/api/v1/([^"]+)">Next page', first)
    second = text(operator, link.replace("&amp;", "&"))
    assert ("Previous page" in first, "Previous page" in second, "Next page" in second) == (False, True, False)


def test_answers_are_indented(account: Account, operator: Client) -> None:
    assert "{\n    &quot;external_id&quot;: &quot;acct_42&quot;" in text(operator, "accounts/acct_42/")


def test_a_customer_sees_no_form_that_would_refuse_him(customer: Client) -> None:
    assert "data-url" not in text(customer, "usage/", 403)
    assert "data-url" in text(customer, "providers/detect/")


def test_texts_of_a_caller_are_escaped(customer: Client) -> None:
    page = text(customer, "usage/logs/?model=%3Cscript%3E%22")
    assert "<script>&quot;" not in page
    assert "&lt;script&gt;&quot;" in page
