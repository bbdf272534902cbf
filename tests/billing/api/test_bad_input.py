"""R6: every row of the table in bad_input.py is refused with its status, code and field, and stores nothing."""

from __future__ import annotations

import pytest

from billing.models import Account, PlatformDay, UsageDay, UsageLog, UsageModel
from tests.billing.bad_input import BODIES, FIELDS, GOOD, BadBody, BadField
from tests.conftest import Api

pytestmark = pytest.mark.django_db


def _assert_nothing_stored() -> None:
    stored = {model.__name__: model.objects.count() for model in (UsageLog, UsageDay, UsageModel, PlatformDay, Account)}
    assert stored == dict.fromkeys(stored, 0)


@pytest.mark.parametrize("bad", BODIES, ids=lambda bad: bad.name)
def test_a_bad_body_is_refused_whole(service: Api, bad: BadBody) -> None:
    answer = service.client.post("/api/v1/usage/", bad.body, content_type=bad.content_type, headers=bad.headers)

    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"], error["attr"]) == (bad.status, bad.code, bad.attr)
    assert error["detail"]
    _assert_nothing_stored()


@pytest.mark.parametrize("bad", FIELDS, ids=lambda bad: bad.name)
def test_a_bad_field_is_refused(service: Api, bad: BadField) -> None:
    answer = service.post("usage/", GOOD | bad.fields)

    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"], error["attr"]) == (422, bad.code, bad.attr)
    assert error["detail"]
    _assert_nothing_stored()


def test_in_a_batch_every_bad_field_is_refused_under_its_index(service: Api) -> None:
    answer = service.post("usage/", {"events": [GOOD | bad.fields for bad in FIELDS]})

    body = answer.json()
    assert (answer.status_code, body["accepted"], body["duplicates"], body["rejected"]) == (422, 0, 0, len(FIELDS))
    told = [(line["index"], [(error["code"], error["attr"]) for error in line["errors"]]) for line in body["results"]]
    assert told == [(index, [(bad.code, f"events.{index}.{bad.attr}")]) for index, bad in enumerate(FIELDS)]
    _assert_nothing_stored()


def test_the_event_of_the_table_is_good_without_a_bad_field(service: Api) -> None:
    assert service.post("usage/", GOOD).status_code == 201
