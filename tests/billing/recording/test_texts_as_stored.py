"""Bounds hold for texts as they are stored: no text in one event spoils the others of its batch, on any database."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from billing.accounts import invitations
from billing.api.usage import parse_event
from billing.errors import Refused
from billing.models import Account, Invitation, UsageLog, UsageModel
from billing.recording import metering
from tests.billing.ledger_rows import NOON, TRUSTED_SOURCE, assert_ledger_consistent
from tests.conftest import Api

pytestmark = pytest.mark.django_db

GROWING = "\u0130"  # two characters in lower case
GOOD = {"account": "a", "provider": "openai", "model": "gpt-4o"}
# Letters whose length changes with their case, combining marks, wide characters, and some that no database stores.
UNUSUAL = st.text(
    st.sampled_from("\u0130\u00df\u0149\u1e9e\ufb03\u0307\u03b0\U0001f600\u212a a.-/\x00\ud800\u2028\u00a0")
)
TEXTS = st.one_of(UNUSUAL, st.text(max_size=300), st.builds(lambda text: (text or "x") * 300, UNUSUAL))
LENGTHS = st.sampled_from([10, 45, 50, 60, 64, 100, 128, 199, 200, 201, 256, 500, 2000])
FIELDS = (
    "event_id",
    "provider",
    "model",
    "endpoint",
    "served_by",
    "method",
    "user_agent",
    "error_message",
    "ip_address",
)


def nested(levels: int) -> dict[str, Any]:
    return {"a": nested(levels - 1)} if levels else {}


@hypothesis_settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(fields=st.dictionaries(st.sampled_from(FIELDS), st.builds(lambda text, size: text[:size], TEXTS, LENGTHS)))
@example(fields={"model": GROWING * 200})
@example(fields={"model": GROWING * 100})
@example(fields={"endpoint": f"https://{GROWING * 190}.example/{GROWING * 1700}"})
@example(fields={"served_by": GROWING * 100})
@example(fields={"metadata": nested(40)})
@example(fields={"metadata": nested(58)})
@example(fields={"variant": {"quality": GROWING * 60}})
def test_one_event_with_unusual_texts_spoils_no_other(fields: dict[str, Any]) -> None:
    batch = [{**GOOD, "event_id": f"e{number}"} for number in range(60)]
    batch[30] |= {"event_id": "unusual", **fields}
    with transaction.atomic():
        results = metering.record([parse_event(raw, depth=2) for raw in batch], source=TRUSTED_SOURCE, at=NOON)
        others = [result.status for index, result in enumerate(results) if index != 30]
        if results[30].refused is None or results[30].refused.code != "event_conflict":
            assert others == ["accepted"] * 59
        assert UsageLog.objects.count() == len({result.log_id for result in results if result.log_id})
        transaction.set_rollback(True)


def test_a_model_that_grows_in_lower_case_is_refused_alone(service: Api) -> None:
    batch = [{**GOOD, "event_id": f"e{number}", "cost_usd": "1"} for number in range(100)]
    batch[7]["model"] = GROWING * 200
    response = service.post("usage/", {"events": batch})

    assert (response.status_code, response.json()["accepted"], response.json()["rejected"]) == (207, 99, 1)
    assert response.json()["results"][7]["errors"] == [
        {
            "code": "max_length",
            "detail": "At most 200 characters, also in lower case.",
            "attr": "events.7.model",
        }
    ]
    assert_ledger_consistent()


def test_a_model_that_fits_in_lower_case_is_stored(service: Api) -> None:
    assert service.post("usage/", {**GOOD, "event_id": "e1", "model": GROWING * 100}).status_code == 201
    assert (UsageLog.objects.get().model_used, len(UsageModel.objects.get().model)) == (GROWING * 100, 200)


def test_an_operation_is_refused_too(service: Api, account: Account) -> None:
    operation = {"provider": "openai", "model": GROWING * 101}
    response = service.post("preflight/", {"account": "acct_42", "operations": [operation]})
    (error,) = response.json()["errors"]
    assert (response.status_code, error["code"], error["attr"]) == (422, "max_length", "operations.0.model")


def test_an_address_that_grows_in_lower_case_is_refused(account: Account) -> None:
    email = f"{GROWING * 60}@{'a' * 60}.{'b' * 20}.example"
    assert len(email) == 150
    with pytest.raises(Refused, match="at most 150"):
        invitations.invite(account, email=email, role="member", by="", at=NOON)
    assert Invitation.objects.count() == 0
