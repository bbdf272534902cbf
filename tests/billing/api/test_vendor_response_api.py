"""`POST usage/` with a vendor's response in place of `usage`: what is read, what is stored, repeats and refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.management import call_command

from billing.events.vendor_responses import reading
from billing.models import Account, UsageDay, UsageLog
from tests.conftest import Api

pytestmark = pytest.mark.django_db

CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-4o-2024-08-06",
    "choices": [{"message": {"role": "assistant", "content": "a secret answer"}}],
    "usage": {
        "prompt_tokens": 1000,
        "completion_tokens": 500,
        "total_tokens": 1500,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    },
}
EVENT: dict[str, Any] = {
    "event_id": "r1",
    "provider": "openai",
    "model": "gpt-4o",
    "endpoint": "https://api.openai.com/v1/chat/completions",
    "response": CHAT,
}
START = {
    "type": "message_start",
    "message": {"id": "msg_1", "model": "claude-sonnet-4-5", "usage": {"input_tokens": 1000, "output_tokens": 1}},
}
STREAM = [
    START,
    {"type": "content_block_delta", "delta": {"text": "a secret answer"}},
    {"type": "message_delta", "usage": {"output_tokens": 200}},
]
CLAUDE: dict[str, Any] = {
    **EVENT,
    "event_id": "r2",
    "provider": "anthropic",
    "model": "claude-sonnet-4-5",
    "response": STREAM,
}


def with_usage(**usage: object) -> dict[str, Any]:
    return {**EVENT, "response": {**CHAT, "usage": {**CHAT["usage"], **usage}}}  # type: ignore[dict-item]


def test_a_response_is_read(bound: Api) -> None:
    response = bound.post("usage/", EVENT)

    assert (response.status_code, response.json()["cost_usd"], response.json()["priced"]) == (201, "0.0075", True)
    log = UsageLog.objects.get()
    assert (log.tokens_input, log.tokens_output, log.model_used, log.usage_state) == (1000, 500, "gpt-4o", "complete")


def test_a_stream_is_read_whole(bound: Api) -> None:
    assert bound.post("usage/", CLAUDE).status_code == 201

    log = UsageLog.objects.get()
    assert (log.tokens_input, log.tokens_output) == (1000, 200)


def test_no_contents_are_stored(bound: Api) -> None:
    bound.post("usage/", {"events": [EVENT, CLAUDE]})

    rows = json.dumps(list(UsageLog.objects.values()), default=str)
    assert (UsageLog.objects.count(), "secret" in rows) == (2, False)


def test_the_page_of_the_log_says_what_was_read(bound: Api) -> None:
    id_ = bound.post("usage/", with_usage(cost_in_stars=3)).json()["id"]
    log = bound.get(f"usage/logs/{id_}/").json()

    assert (log["usage_state"], log["cost_source"], log["cost_usd"]) == ("incomplete", "estimate", "0.0075")
    assert log["reading"] == {
        "reader": "openai_chat",
        "model": "gpt-4o-2024-08-06",
        "variant": {},
        "response_id": "chatcmpl-1",
        "cost_usd": None,
        "ignored": ["usage.total_tokens"],
        "ignored_reasons": {"usage.total_tokens": "the sum of other counts"},
        "unread": ["usage.cost_in_stars"],
        "unread_values": {"usage.cost_in_stars": 3},
        "mapped": {},
    }


def test_a_repeat_is_a_duplicate_whatever_a_later_reader_makes_of_it(
    bound: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bound.post("usage/", EVENT).json()
    read = reading.read_pieces
    monkeypatch.setattr(reading, "read_pieces", lambda pieces: read(pieces)._replace(usage={"input_tokens": 7}))
    repeated = bound.post("usage/", json.loads(json.dumps(EVENT, sort_keys=True)))

    assert (repeated.status_code, repeated.json()) == (200, {**first, "status": "duplicate"})
    assert UsageDay.objects.get().calls == 1


@pytest.mark.parametrize(
    "changed",
    [with_usage(prompt_tokens=1001), {**EVENT, "response": [CHAT]}, {**EVENT, "model": "gpt-4o-mini"}],
    ids=["another figure", "a list", "another model"],
)
def test_another_response_with_a_stored_id_is_a_conflict(bound: Api, changed: dict[str, Any]) -> None:
    bound.post("usage/", EVENT)

    assert bound.post("usage/", changed).status_code == 409
    assert UsageLog.objects.get().cost_total == 7_500_000


@pytest.mark.parametrize("usage", [{}, {"input_tokens": 5}, None])
def test_usage_and_response_together_are_refused(bound: Api, usage: object) -> None:
    response = bound.post("usage/", {**EVENT, "usage": usage})

    assert response.status_code == 422
    assert UsageLog.objects.count() == 0


@pytest.mark.parametrize("response", ["text", 5, True])
def test_a_response_is_an_object_or_a_list(bound: Api, response: object) -> None:
    answer = bound.post("usage/", {**EVENT, "response": response})

    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (422, "response")
    assert UsageLog.objects.count() == 0


@pytest.mark.parametrize("response", [{}, [], {"error": {"message": "no"}}, [None, 3, "x"], {"usage": "many"}])
def test_a_response_without_usage_is_an_unknown_cost(bound: Api, response: object) -> None:
    answer = bound.post("usage/", {**EVENT, "response": response})

    assert (answer.status_code, answer.json()["cost_usd"], answer.json()["priced"]) == (201, None, False)
    log = UsageLog.objects.get()
    assert (log.usage_state, log.unpriced_reason) == ("unknown", "usage_unknown")


@pytest.mark.parametrize(
    ("usage", "unread"),
    [
        ({"prompt_tokens": 10**12, "total_tokens": 10**12 + 500}, "usage.prompt_tokens"),
        ({"prompt_tokens_details": {"cached_tokens": 2000}}, "usage.prompt_tokens_details.cached_tokens"),
    ],
)
def test_figures_that_cannot_be_stored_make_the_usage_incomplete(
    bound: Api, usage: dict[str, Any], unread: str
) -> None:
    assert bound.post("usage/", with_usage(**usage)).status_code == 201

    log = UsageLog.objects.get()
    assert (log.usage_state, log.cost_source, unread in (log.reading or {})["unread"]) == (
        "incomplete",
        "estimate",
        True,
    )


@pytest.mark.parametrize("model", ["m" * 201, "gpt\u0000", 5, {"a": 1}])
def test_a_model_that_cannot_be_stored_is_left_out(bound: Api, model: object) -> None:
    assert bound.post("usage/", {**EVENT, "response": {**CHAT, "model": model}}).status_code == 201

    assert UsageLog.objects.get().model_used == "gpt-4o"


def test_a_body_above_five_mebibytes_is_refused(bound: Api) -> None:
    response = bound.post("usage/", {**EVENT, "response": {**CHAT, "choices": "x" * 5 * 2**20}})

    assert (response.status_code, UsageLog.objects.count()) == (413, 0)


def test_more_pieces_than_can_be_read_in_a_second_are_refused(bound: Api) -> None:
    longest = {**EVENT, "response": [{}] * 14_999 + [CHAT]}
    longer = {**EVENT, "response": [{}] * 15_000 + [CHAT]}

    refused = bound.post("usage/", longer)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "max_length")
    assert bound.post("usage/", {"events": [longest, {**EVENT, "event_id": "b", "response": [{}]}]}).status_code == 413
    assert UsageLog.objects.count() == 0
    assert bound.post("usage/", longest).json()["cost_usd"] == "0.0075"


def test_the_served_tier_and_model_are_billed(bound: Api) -> None:
    served = {**CHAT, "model": "gpt-4o-mini", "service_tier": "default"}
    answer = bound.post("usage/", {**EVENT, "variant": {"service_tier": "priority"}, "response": served})

    assert answer.json()["cost_usd"] == "0.00045"
    log = UsageLog.objects.get()
    assert (log.model_used, log.variant, (log.reading or {})["model"]) == (
        "gpt-4o",
        {"service_tier": "priority"},
        "gpt-4o-mini",
    )


def test_verify_ledger_finds_no_difference(bound: Api, account: Account) -> None:
    unread, empty = {**with_usage(stars=2), "event_id": "r3"}, {**EVENT, "event_id": "r4", "response": {}}
    bound.post("usage/", {"events": [EVENT, CLAUDE, unread, empty]})

    call_command("verify_ledger")
