"""The events that the proofs send, their expected totals, and the checks of what is stored afterwards."""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Any

from django.db.models import Sum

from billing.models import PlatformDay, ProviderMinute, UsageDay, UsageLog, UsageModel
from tests.billing.ledger_rows import rollup_differences

ACCOUNTS = ("acct_a", "acct_b", "acct_c")
INPUT_NANO, OUTPUT_NANO = 2_500, 10_000  # nano-USD per token of gpt-4o

Json = dict[str, Any]


def events(count: int, *, prefix: str = "e", first: int = 0) -> list[Json]:
    """`count` different events of three accounts; `cost_nano` gives their cost."""
    return [event(f"{prefix}{number}", number) for number in range(first, first + count)]


def event(event_id: str, number: int) -> Json:
    return {
        "event_id": event_id,
        "account": ACCOUNTS[number % len(ACCOUNTS)],
        "provider": ("openai", "video")[number % 2],  # two declared labels of one actual provider make two rows a day
        "model": "gpt-4o",
        "endpoint": "https://api.openai.com/v1/chat/completions",
        "usage": {"input_tokens": number % 1000, "output_tokens": 1},
    }


def token_count(sent: Collection[Json]) -> int:
    return sum(call["usage"]["input_tokens"] + 1 for call in sent)


def cost_nano(sent: Collection[Json]) -> int:
    return sum(call["usage"]["input_tokens"] * INPUT_NANO + OUTPUT_NANO for call in sent)


def shuffled(sent: Collection[Json], rng: random.Random) -> list[Json]:
    return rng.sample(list(sent), len(sent))


def assert_stored_once(sent: Collection[Json]) -> None:
    """The log contains exactly the sent events, each once, and every rollup has their totals."""
    stored = sorted(UsageLog.objects.values_list("event_id", flat=True))
    assert stored == sorted(call["event_id"] for call in sent)
    expected = (len(sent), token_count(sent), cost_nano(sent))
    assert _totals(UsageDay) == _totals(UsageModel) == _totals(PlatformDay) == expected
    assert ProviderMinute.objects.aggregate(calls=Sum("calls"))["calls"] == len(sent)
    assert rollup_differences() == []


def _totals(rollup: type[UsageDay] | type[UsageModel] | type[PlatformDay]) -> tuple[int, ...]:
    sums = rollup.objects.aggregate(calls=Sum("calls"), tokens=Sum("tokens_total"), cost=Sum("cost_nano"))
    return sums["calls"], sums["tokens"], sums["cost"]
