"""Runs the examples of docs/metered-calls.md and of the README unchanged, after a fresh `migrate`, with stub providers."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import Client

from billing.accounts import access
from billing.models import Account, UsageLog, UsageReservation
from billing.plans import plans
from billing.recording.metered_call import CallRefused
from providers import price_edits
from providers.models import Price, PriceRate
from tests.conftest import ROOT

pytestmark = pytest.mark.django_db

DOCUMENT = ROOT / "docs" / "metered-calls.md"
TEXT, SUBSCRIBE, OPENAI, STREAM, FUNCTION, VIDEO, IMAGE, AUDIO, REFUSAL = re.findall(
    r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL
)


class Wavespeed:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def run(self, model: str, **options: Any) -> dict[str, Any]:
        self.calls.append(model)
        return {"duration": options.get("duration"), "outputs": ["https://cdn.test/1.png"] * options.get("count", 0)}


def chat(**options: Any) -> Any:
    details = SimpleNamespace(cached_tokens=300)
    return SimpleNamespace(
        usage=SimpleNamespace(prompt_tokens=900, completion_tokens=400, prompt_tokens_details=details)
    )


def message(**options: Any) -> Iterator[Any]:
    yield {
        "type": "message_start",
        "message": {"usage": {"input_tokens": 20, "cache_read_input_tokens": 80, "output_tokens": 1}},
    }
    yield {"type": "content_block_delta"}
    yield {"type": "message_delta", "usage": {"output_tokens": 30}}


def generate(**options: Any) -> Any:
    return SimpleNamespace(
        usage_metadata=SimpleNamespace(prompt_token_count=7, candidates_token_count=40, thoughts_token_count=60)
    )


async def generate_async(**options: Any) -> Any:
    return generate(**options)


def run(example: str, on_chat: Any = chat) -> dict[str, Any]:
    """Executes the example with stub clients. Returns its global names."""
    names: dict[str, Any] = {
        "openai": SimpleNamespace(chat=SimpleNamespace(completions=SimpleNamespace(create=on_chat))),
        "anthropic": SimpleNamespace(messages=SimpleNamespace(create=message)),
        "google": SimpleNamespace(
            models=SimpleNamespace(generate_content=generate),
            aio=SimpleNamespace(models=SimpleNamespace(generate_content=generate_async)),
        ),
        "wavespeed": Wavespeed(),
        "messages": [],
        "prompt": "A ship",
    }
    exec("from billing.recording.metered_call import metered_call\n" + example, names)
    return names


def recorded_call() -> tuple[Any, ...]:
    log = UsageLog.objects.get()
    assert list(UsageReservation.objects.values_list("state", "over")) == [("settled", False)]
    return log.actual_provider_name, log.category, log.tokens_total, log.units, log.cost_total


@pytest.fixture
def subscribed(account: Account) -> None:
    run(SUBSCRIBE)


def test_the_first_example_runs_on_a_fresh_installation() -> None:
    run(TEXT)
    assert recorded_call() == ("google", "text", 107, {"reasoning_tokens": 60}, 7 * 300 + 100 * 2_500)


def test_the_default_plan_refuses_the_vendors_that_the_document_names() -> None:
    free = {limit.meter.slug: limit.amount for limit in plans.current().default.limits}
    assert [free[slug] for slug in ("gemini_calls", "openai_calls", "anthropic_calls")] == [50, 0, 0]
    for example in (OPENAI, STREAM):
        with pytest.raises(CallRefused) as refused:
            run(example)
        assert refused.value.code == "not_in_plan"


@pytest.mark.usefixtures("subscribed")
@pytest.mark.parametrize(
    ("example", "expected"),
    [
        (OPENAI, ("openai", "text", 1300, {}, 900 * 150 + 400 * 600)),
        (STREAM, ("anthropic", "text", 130, {}, 100 * 3_000 + 30 * 15_000)),
        (VIDEO, ("wavespeed", "video", 0, {"seconds": "5"}, 500_000_000)),
        (IMAGE, ("wavespeed", "image", 0, {"images": 2}, 60_000_000)),
        (AUDIO, ("wavespeed", "audio", 0, {"characters": 37}, 1_850_000)),
    ],
    ids=["openai", "stream", "video", "image", "audio"],
)
def test_a_call_is_recorded_with_its_exact_cost(example: str, expected: tuple[Any, ...]) -> None:
    run(example)
    assert recorded_call() == expected


@pytest.mark.usefixtures("subscribed")
def test_an_openai_call_records_its_cached_tokens() -> None:
    run(OPENAI)
    log = UsageLog.objects.get()
    assert (log.tokens_input, log.tokens_cached, log.tokens_output) == (900, 300, 400)


def test_an_async_function_is_recorded_for_its_callers_account(account: Account) -> None:
    answer = run(FUNCTION)["answer"]
    async_to_sync(answer)(SimpleNamespace(account_id="acct_42"), "A ship")
    assert recorded_call() == ("google", "text", 107, {"reasoning_tokens": 60}, 7 * 300 + 100 * 2_500)


def test_a_refusal_has_a_message_and_does_not_call_the_provider() -> None:
    calls: list[object] = []
    names = run(REFUSAL, on_chat=calls.append)
    assert names["message"] == "OpenAI calls: not allowed, the limit is 0. (not_in_plan)"
    assert calls == []
    assert (UsageLog.objects.count(), UsageReservation.objects.count()) == (0, 0)


def test_the_readmes_example_records_a_call_with_its_cached_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a price with a rate for cached tokens, leaving them out would bill 900 tokens at the full rate."""
    price = Price.objects.get(pattern="gpt-4o-mini")
    rates = [("input_tokens", 150_000_000), ("cached_input_tokens", 75_000_000), ("output_tokens", 600_000_000)]
    price_edits.add_revision(price=price, rates=[PriceRate(unit=unit, nano_per_million=rate) for unit, rate in rates])
    key = access.create_key(name="my app", scopes=["ingest"], at=datetime(2026, 1, 1, tzinfo=UTC))[1]
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)

    class Response(SimpleNamespace):
        def raise_for_status(self) -> None:
            assert self.response.status_code == 201, self.response.content

    def post(url: str, json: Any, headers: dict[str, str]) -> Response:
        path = url.removeprefix("http://127.0.0.1:8000")
        return Response(response=Client(headers=headers).post(path, json, content_type="application/json"))

    monkeypatch.setitem(sys.modules, "requests", SimpleNamespace(post=post))
    exec(example, {"completion": Completion(), "key": key})
    log = UsageLog.objects.get()
    assert (log.account.external_id, log.event_id, log.actual_provider_name) == ("acct_42", "chatcmpl-1", "openai")
    assert (log.tokens_input, log.tokens_cached, log.tokens_output) == (900, 300, 400)
    assert log.cost_total == 600 * 150 + 300 * 75 + 400 * 600


class Completion:
    """What the OpenAI client returns, as far as the example uses it."""

    id = "chatcmpl-1"

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        assert mode == "json"
        details = {"cached_tokens": 300, "audio_tokens": 0}
        usage = {"prompt_tokens": 900, "completion_tokens": 400, "total_tokens": 1300, "prompt_tokens_details": details}
        return {"id": self.id, "object": "chat.completion", "model": "gpt-4o-mini-2024-07-18", "usage": usage}
