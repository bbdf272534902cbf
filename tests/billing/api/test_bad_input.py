"""R6: every request listed in bad_input.py is refused with its status, code and field, and stores nothing."""

from __future__ import annotations

import pytest

from billing.models import Account, PlatformDay, UsageDay, UsageLog, UsageModel
from tests.billing.bad_input import BAD_BODIES, BAD_FIELDS, GOOD_EVENT, BadBody, BadField
from tests.conftest import Api

pytestmark = pytest.mark.django_db


def _assert_nothing_stored() -> None:
    counts = {model.__name__: model.objects.count() for model in (UsageLog, UsageDay, UsageModel, PlatformDay, Account)}
    assert counts == dict.fromkeys(counts, 0)


@pytest.mark.parametrize("bad", BAD_BODIES, ids=lambda bad: bad.name)
def test_a_bad_body_is_refused(service: Api, bad: BadBody) -> None:
    response = service.client.post("/api/v1/usage/", bad.body, content_type=bad.content_type, headers=bad.headers)

    (error,) = response.json()["errors"]
    assert (response.status_code, error["code"], error["attr"]) == (bad.status, bad.code, bad.attr)
    assert error["detail"]
    _assert_nothing_stored()


@pytest.mark.parametrize("bad", BAD_FIELDS, ids=lambda bad: bad.name)
def test_a_bad_field_is_refused(service: Api, bad: BadField) -> None:
    response = service.post("usage/", GOOD_EVENT | bad.fields)

    (error,) = response.json()["errors"]
    assert (response.status_code, error["code"], error["attr"]) == (422, bad.code, bad.attr)
    assert error["detail"]
    _assert_nothing_stored()


def test_in_a_batch_every_bad_field_is_refused_under_its_index(service: Api) -> None:
    response = service.post("usage/", {"events": [GOOD_EVENT | bad.fields for bad in BAD_FIELDS]})

    body = response.json()
    counts = (body["accepted"], body["duplicates"], body["rejected"])
    assert (response.status_code, counts) == (422, (0, 0, len(BAD_FIELDS)))
    errors = [(row["index"], [(error["code"], error["attr"]) for error in row["errors"]]) for row in body["results"]]
    assert errors == [(index, [(bad.code, f"events.{index}.{bad.attr}")]) for index, bad in enumerate(BAD_FIELDS)]
    _assert_nothing_stored()


def test_the_event_without_a_bad_field_is_accepted(service: Api) -> None:
    assert service.post("usage/", GOOD_EVENT).status_code == 201
