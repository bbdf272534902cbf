"""Every endpoint of the API refuses query parameters that it does not know, and says which; probes take any."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import URLPattern, URLResolver

from billing.api.api_view import ApiView
from billing.models import Account
from config.urls import NotFoundView, api_urls
from lib import query_string
from tests.conftest import Api

ARGUMENTS = {"id": str(UUID(int=7)), "external_id": "acct_42"}
DOCUMENTATION = {"schema", "docs"}  # drf-spectacular's own views
Endpoint = tuple[str, str, type[ApiView]]  # method, path, view


def views(patterns: list[URLPattern | URLResolver]) -> Iterator[tuple[str, type[ApiView]]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from views(pattern.url_patterns)
        elif pattern.name not in DOCUMENTATION:
            path = str(pattern.pattern)
            for name, value in ARGUMENTS.items():
                path = path.replace(f"<uuid:{name}>", value).replace(f"<str:{name}>", value)
            callback: Any = pattern.callback
            yield path, callback.view_class


ENDPOINTS: list[Endpoint] = [
    (method, path, view)
    for path, view in views(api_urls)
    if view is not NotFoundView
    for method in ("get", "post", "put", "patch", "delete")
    if hasattr(view, method)
]
each_endpoint = pytest.mark.parametrize(
    "endpoint", ENDPOINTS, ids=[f"{method} {path}" for method, path, _ in ENDPOINTS]
)


def declared_by(view: type[ApiView]) -> list[str]:
    return list(query_string.schemas(view.query_parameters))


def send(endpoint: Endpoint, query: str) -> Any:
    method, path, _ = endpoint
    client = Api("ingest", "read", "limits", "manage").client
    return client.generic(method.upper(), f"/api/v1/{path}?{query}", b"{}", content_type="application/json")


def errors(response: Any) -> tuple[int, str, list[tuple[str, str]]]:
    body = response.json()
    return response.status_code, body["type"], [(error["code"], error["attr"]) for error in body["errors"]]


def test_all_endpoints_are_tried() -> None:
    assert len(ENDPOINTS) == 28


@each_endpoint
def test_an_unknown_parameter_is_422(account: Account, endpoint: Endpoint) -> None:
    refused = (422, "validation_error", [("unknown_field", "no_such_parameter")])
    assert errors(send(endpoint, "no_such_parameter=1")) == refused
    assert errors(send(endpoint, "no_such_parameter=")) == refused


@pytest.mark.parametrize("name", ["group_by", "dimension.team", "format.x"])
@each_endpoint
def test_a_grouping_by_dimensions_is_422(account: Account, endpoint: Endpoint, name: str) -> None:
    assert errors(send(endpoint, f"{name}=x")) == (422, "validation_error", [("unknown_field", name)])


@each_endpoint
def test_a_repeated_parameter_is_422(account: Account, endpoint: Endpoint) -> None:
    for name in declared_by(endpoint[2]):
        assert errors(send(endpoint, f"{name}=&{name}=")) == (422, "validation_error", [("invalid", name)])


def test_a_summary_by_a_filter_that_it_does_not_know_is_422(account: Account) -> None:
    response = Api("read").get("usage/summary/", account="acct_42", provider="anthropic", group_by="metadata.team")
    assert errors(response) == (422, "validation_error", [("unknown_field", "group_by")])


def test_authentication_comes_first(db: None) -> None:
    assert Client().get("/api/v1/usage/summary/?no_such_parameter=1").status_code == 401
    assert Api("ingest").get("usage/summary/", no_such_parameter="1").status_code == 403
    assert Client().get("/api/v1/plans/?no_such_parameter=1").status_code == 422  # it is public


def test_an_unknown_path_is_404_whatever_its_parameters(db: None) -> None:
    assert Api("read").get("no/such/path/", no_such_parameter="1").status_code == 404


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_take_any_parameter(db: None, path: str) -> None:
    assert Client().get(path, {"no_such_parameter": "1"}).status_code == 200


def test_scrapers_may_send_parameters_of_their_own(db: None) -> None:
    pytest.importorskip("prometheus_client")
    client = Api("read").client
    assert client.get("/metrics", {"collect[]": "usage", "name[]": "x"}).status_code == 200


@pytest.mark.parametrize("endpoint", [endpoint for endpoint in ENDPOINTS if endpoint[0] == "get"], ids=lambda e: e[1])
def test_the_browsable_api_renders_answers_and_refusals(account: Account, endpoint: Endpoint) -> None:
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="billing"))
    client = Client(headers={"accept": "text/html"})
    client.force_login(user)
    path = f"/api/v1/{endpoint[1]}"

    answer, refusal = client.get(path), client.get(path, {"no_such_parameter": "1"})

    assert (answer.status_code, refusal.status_code) == (404 if ARGUMENTS["id"] in path else 200, 422)
    assert {page.headers["Content-Type"] for page in (answer, refusal)} == {"text/html; charset=utf-8"}
    assert "no_such_parameter" in refusal.content.decode()


def test_the_documentation_has_the_parameters_with_types_and_choices(db: None) -> None:
    document = Client().get("/api/v1/schema/", headers={"accept": "application/vnd.oai.openapi+json"}).json()
    logs = {item["name"]: item for item in document["paths"]["/api/v1/usage/logs/"]["get"]["parameters"]}

    assert logs["status"]["schema"] == {"type": "string", "enum": ["success", "failed"]}
    assert logs["priced"]["schema"] == {"type": "boolean"}
    assert logs["page_size"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 500, "default": 50}
    assert logs["from"]["in"] == "query"
    assert not any(parameter.get("required") for parameter in logs.values())
    trends = {item["name"] for item in document["paths"]["/api/v1/usage/trends/"]["get"]["parameters"]}
    assert trends == {"account", "months", "days"}
    for _, path, view in ENDPOINTS:
        template = reduce(lambda text, name: text.replace(ARGUMENTS[name], f"{{{name}}}"), ARGUMENTS, path)
        for operation in document["paths"][f"/api/v1/{template}"].values():
            stated = {item["name"] for item in operation.get("parameters", ()) if item["in"] == "query"}
            assert stated == set(declared_by(view)), path
