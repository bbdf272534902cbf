"""Every API view has its policies from its own class: the settings have no `REST_FRAMEWORK`, and nothing is open without it."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import URLPattern, URLResolver
from rest_framework.views import APIView

from billing.api.api_view import ApiView
from billing.api.auth import HasScope
from billing.models import Account
from config.urls import api_urls
from tests.config.test_query_parameters import ENDPOINTS, Endpoint
from tests.conftest import Api

POLICIES = ("authentication_classes", "permission_classes", "throttle_classes", "parser_classes", "renderer_classes")
PUBLIC = {"", "plans/"}
DOCUMENTATION = {"schema", "docs"}  # they take no body, so that DRF's parsers do not matter


def classes(patterns: list[URLPattern | URLResolver]) -> list[tuple[str | None, type[APIView]]]:
    views: list[tuple[str | None, type[APIView]]] = []
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            views += classes(pattern.url_patterns)
        else:
            callback: Any = pattern.callback
            views.append((pattern.name, callback.view_class))
    return views


def test_the_settings_have_no_defaults_of_rest_framework() -> None:
    assert not hasattr(settings, "REST_FRAMEWORK")


@pytest.mark.parametrize(("name", "view"), classes(api_urls), ids=str)
def test_a_view_names_its_own_policies(name: str, view: type[APIView]) -> None:
    stock = vars(APIView)
    unnamed = [policy for policy in POLICIES if getattr(view, policy) is stock[policy]]
    assert unnamed == (["parser_classes"] if name in DOCUMENTATION else [])
    assert view.get_exception_handler is ApiView.get_exception_handler


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: " ".join(endpoint[:2]))
def test_no_endpoint_is_open_or_broken(account: Account, endpoint: Endpoint) -> None:
    method, path, view = endpoint
    anonymous = Client().generic(method.upper(), f"/api/v1/{path}", b"{}", content_type="application/json")
    key_of_no_scope = Api().client.generic(method.upper(), f"/api/v1/{path}", b"{}", content_type="application/json")
    public = path in PUBLIC

    assert (anonymous.status_code, key_of_no_scope.status_code) == ((200, 200) if public else (401, 403))
    if not public:
        assert anonymous.headers["WWW-Authenticate"] == 'Bearer realm="tollgate"'
        assert [error["code"] for error in anonymous.json()["errors"]] == ["not_authenticated"]
    assert HasScope in view.permission_classes


@pytest.mark.parametrize("name", ["schema", "docs"])
def test_the_documentation_is_public_and_limited(db: None, settings: Any, name: str) -> None:
    settings.ANONYMOUS_RATE = "2/hour"
    assert [Client().get(f"/api/v1/{name}/").status_code for _ in range(3)] == [200, 200, 429]


def test_a_view_without_a_scope_cannot_be_defined() -> None:
    with pytest.raises(TypeError, match="ForgottenView needs a required_scope"):
        type("ForgottenView", (ApiView,), {})
