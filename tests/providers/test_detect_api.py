"""`GET providers/` and `POST providers/detect/`."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from providers import rulebook
from providers.models import DetectionRule, Provider
from tests.conftest import Api

pytestmark = pytest.mark.django_db

WAVESPEED_DETECTION = {
    "actual_provider": "wavespeed",
    "label": "WaveSpeed",
    "confidence": "strong",
    "category": "video",
    "rule": "path-wavespeed",
    "evidence": "path wavespeed",
}


def test_the_response_has_the_provider_and_the_evidence_for_it(service: Api) -> None:
    response = service.post(
        "providers/detect/", {"provider": "video", "model": "x", "endpoint": "/video-generation/wavespeed"}
    )
    assert (response.status_code, response.json()) == (200, WAVESPEED_DETECTION)


def test_only_the_declared_provider_is_required_and_null_counts_as_missing(service: Api) -> None:
    response = service.post(
        "providers/detect/", {"provider": "video", "model": None, "endpoint": None, "served_by": None}
    )
    assert response.json()["actual_provider"] == "unknown"
    assert service.post("providers/detect/", {"provider": "Gemini"}).json()["label"] == "Google"


def test_served_by_wins_and_an_unknown_name_becomes_its_own_slug(service: Api) -> None:
    response = service.post("providers/detect/", {"provider": "openai", "served_by": "Acme Cloud"}).json()
    assert (response["actual_provider"], response["label"], response["confidence"]) == (
        "acme-cloud",
        "acme-cloud",
        "exact",
    )


def test_a_key_bound_to_an_account_may_detect(bound: Api) -> None:
    assert bound.post("providers/detect/", {"provider": "openai"}).status_code == 200


@pytest.mark.parametrize(
    ("body", "attr", "code"),
    [
        ({}, "provider", "required"),
        ({"provider": None}, "provider", "null"),
        ({"provider": ""}, "provider", "blank"),
        ({"provider": 7.5, "model": ["x"]}, "model", "invalid"),
        ({"provider": "x" * 51}, "provider", "max_length"),
        ({"provider": "x", "model": "x" * 201}, "model", "max_length"),
        ({"provider": "x", "endpoint": "x" * 2001}, "endpoint", "max_length"),
        ({"provider": "x", "served_by": "x" * 101}, "served_by", "max_length"),
        ({"provider": "x", "model": "a\u0007b"}, "model", "control_character"),
        ({"provider": "x", "extra": "a"}, "extra", "unknown_field"),
    ],
)
def test_an_invalid_body_is_refused_and_nothing_changes(
    service: Api, body: dict[str, Any], attr: str, code: str
) -> None:
    before = list(DetectionRule.objects.values()), list(Provider.objects.values()), rulebook.read_version()
    response = service.post("providers/detect/", body)
    assert response.status_code == 422
    assert [(error["attr"], error["code"]) for error in response.json()["errors"]] == [(attr, code)]
    assert (list(DetectionRule.objects.values()), list(Provider.objects.values()), rulebook.read_version()) == before


def test_detecting_writes_nothing_and_queries_only_the_key_and_the_version(
    service: Api, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    service.post("providers/detect/", {"provider": "video"})
    with django_assert_max_num_queries(2):  # the API key and the version of the rule book
        service.post("providers/detect/", {"provider": "audio", "model": "tts-1"})


def test_the_list_has_every_provider_with_its_aliases(service: Api) -> None:
    response = service.get("providers/")
    assert response.status_code == 200
    results = response.json()["results"]
    assert [row["provider"] for row in results] == sorted(Provider.objects.values_list("slug", flat=True))
    assert results[0].keys() == {"provider", "label", "aliases", "is_gateway"}
    assert {row["provider"]: row for row in results}["exa"] == {
        "provider": "exa",
        "label": "Exa",
        "aliases": ["metaphor", "exa ai"],
        "is_gateway": False,
    }


@pytest.mark.parametrize(("method", "path"), [("get", "providers/"), ("post", "providers/detect/")])
def test_both_endpoints_need_a_key_with_the_read_scope(method: str, path: str) -> None:
    assert getattr(Client(), method)(f"/api/v1/{path}").status_code == 401
    assert getattr(Api("ingest").client, method)(f"/api/v1/{path}", content_type="application/json").status_code == 403
