"""Runs the examples of docs/metered-calls.md unchanged, against stub providers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from billing.models import Account, UsageLog, UsageReservation
from tests.billing.plan_limits import set_limits
from tests.conftest import ROOT

pytestmark = pytest.mark.django_db

DOCUMENT = ROOT / "docs" / "metered-calls.md"
TEXT, STREAM, FUNCTION, VIDEO, IMAGE, AUDIO, REFUSAL = re.findall(
    r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL
)


@pytest.fixture(autouse=True)
def _plan(account: Account) -> None:
    set_limits({})


class Wavespeed:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def run(self, model: str, **options: Any) -> dict[str, Any]:
        self.calls.append(model)
        return {"duration": options.get("duration"), "outputs": ["https://cdn.test/1.png"] * options.get("count", 0)}


def chat(**options: Any) -> Any:
    return SimpleNamespace(usage=SimpleNamespace(prompt_tokens=900, completion_tokens=400))


def message(**options: Any) -> Iterator[Any]:
    yield {
        "type": "message_start",
        "message": {"usage": {"input_tokens": 20, "cache_read_input_tokens": 80, "output_tokens": 1}},
    }
    yield {"type": "content_block_delta"}
    yield {"type": "message_delta", "usage": {"output_tokens": 30}}


async def generate(**options: Any) -> Any:
    return SimpleNamespace(
        usage_metadata=SimpleNamespace(prompt_token_count=7, candidates_token_count=40, thoughts_token_count=60)
    )


def run(example: str) -> dict[str, Any]:
    """Executes the example with stub clients. Returns its global names."""
    names: dict[str, Any] = {
        "openai": SimpleNamespace(chat=SimpleNamespace(completions=SimpleNamespace(create=chat))),
        "anthropic": SimpleNamespace(messages=SimpleNamespace(create=message)),
        "google": SimpleNamespace(aio=SimpleNamespace(models=SimpleNamespace(generate_content=generate))),
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


@pytest.mark.parametrize(
    ("example", "expected"),
    [
        (TEXT, ("openai", "text", 1300, {}, 900 * 150 + 400 * 600)),
        (STREAM, ("anthropic", "text", 130, {}, 100 * 3_000 + 30 * 15_000)),
        (VIDEO, ("wavespeed", "video", 0, {"seconds": "5"}, 500_000_000)),
        (IMAGE, ("wavespeed", "image", 0, {"images": 2}, 60_000_000)),
        (AUDIO, ("wavespeed", "audio", 0, {"characters": 37}, 1_850_000)),
    ],
    ids=["text", "stream", "video", "image", "audio"],
)
def test_a_call_is_recorded_with_its_exact_cost(example: str, expected: tuple[Any, ...]) -> None:
    run(example)
    assert recorded_call() == expected


def test_an_async_function_is_recorded_for_its_callers_account(account: Account) -> None:
    answer = run(FUNCTION)["answer"]
    async_to_sync(answer)(SimpleNamespace(account_id="acct_42"), "A ship")
    assert recorded_call() == ("google", "text", 107, {"reasoning_tokens": 60}, 7 * 300 + 100 * 2_500)


def test_a_refusal_has_a_message_and_does_not_call_the_provider() -> None:
    set_limits({"video_calls": 0})
    names = run(REFUSAL)
    assert names["message"] == "Video calls: not allowed, the limit is 0. (not_in_plan)"
    assert names["wavespeed"].calls == []
    assert (UsageLog.objects.count(), UsageReservation.objects.count()) == (0, 0)
