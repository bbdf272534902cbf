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

WAVESPEED = {
    "actual_provider": "wavespeed",
    "label": "WaveSpeed",
    "confidence": "strong",
    "category": "video",
    "rule": "path-wavespeed",
    "evidence": "path wavespeed",
}


def test_it_names_the_provider_and_why(service: Api) -> None:
    answer = service.post(
        "providers/detect/", {"provider": "video", "model": "x", "endpoint": "/video-generation/wavespeed"}
    )
    assert (answer.status_code, answer.json()) == (200, WAVESPEED)


def test_only_the_declared_provider_is_needed_and_null_says_nothing(service: Api) -> None:
    answer = service.post(
        "providers/detect/", {"provider": "video", "model": None, "endpoint": None, "served_by": None}
    )
    assert answer.json()["actual_provider"] == "unknown"
    assert service.post("providers/detect/", {"provider": "Gemini"}).json()["label"] == "Google"


def test_the_callers_own_statement_wins_and_an_unknown_one_is_shown_as_sent(service: Api) -> None:
    answer = service.post("providers/detect/", {"provider": "openai", "served_by": "Acme Cloud"}).json()
    assert (answer["actual_provider"], answer["label"], answer["confidence"]) == ("acme-cloud", "acme-cloud", "exact")


def test_a_bound_key_may_ask_too(bound: Api) -> None:
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
def test_a_bad_question_is_refused_and_nothing_changes(
    service: Api, body: dict[str, Any], attr: str, code: str
) -> None:
    before = list(DetectionRule.objects.values()), list(Provider.objects.values()), rulebook.read_version()
    answer = service.post("providers/detect/", body)
    assert answer.status_code == 422
    assert [(error["attr"], error["code"]) for error in answer.json()["errors"]] == [(attr, code)]
    assert (list(DetectionRule.objects.values()), list(Provider.objects.values()), rulebook.read_version()) == before


def test_detecting_writes_nothing_and_asks_the_database_for_the_version_only(
    service: Api, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    service.post("providers/detect/", {"provider": "video"})
    with django_assert_max_num_queries(2):  # the key, and the version of the book
        service.post("providers/detect/", {"provider": "audio", "model": "tts-1"})


def test_the_list_has_every_provider_with_its_names(service: Api) -> None:
    answer = service.get("providers/")
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [one["provider"] for one in results] == sorted(Provider.objects.values_list("slug", flat=True))
    assert results[0].keys() == {"provider", "label", "aliases", "is_gateway"}
    assert {one["provider"]: one for one in results}["exa"] == {
        "provider": "exa",
        "label": "Exa",
        "aliases": ["metaphor", "exa ai"],
        "is_gateway": False,
    }


@pytest.mark.parametrize(("method", "path"), [("get", "providers/"), ("post", "providers/detect/")])
def test_it_needs_a_key_with_the_scope_read(method: str, path: str) -> None:
    assert getattr(Client(), method)(f"/api/v1/{path}").status_code == 401
    assert getattr(Api("ingest").client, method)(f"/api/v1/{path}", content_type="application/json").status_code == 403
