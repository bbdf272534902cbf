"""The events that the proofs send, with totals known beforehand, and what must hold of them afterwards."""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Any

from django.db.models import Sum

from billing.models import PlatformDay, ProviderMinute, UsageDay, UsageLog, UsageModel
from billing.verification import rollup_check

ACCOUNTS = ("acct_a", "acct_b", "acct_c")
IN, OUT = 2_500, 10_000  # nano-USD a token of gpt-4o

Json = dict[str, Any]


def events(count: int, *, prefix: str = "e", first: int = 0) -> list[Json]:
    """`count` events of three accounts; each differs from every other, and costs what `cost` says."""
    return [event(f"{prefix}{number}", number) for number in range(first, first + count)]


def event(event_id: str, number: int) -> Json:
    return {
        "event_id": event_id,
        "account": ACCOUNTS[number % len(ACCOUNTS)],
        "provider": ("openai", "video")[number % 2],  # two declared labels of one actual provider: two rows a day
        "model": "gpt-4o",
        "endpoint": "https://api.openai.com/v1/chat/completions",
        "usage": {"input_tokens": number % 1000, "output_tokens": 1},
    }


def tokens(sent: Collection[Json]) -> int:
    return sum(one["usage"]["input_tokens"] + 1 for one in sent)


def cost(sent: Collection[Json]) -> int:
    return sum(one["usage"]["input_tokens"] * IN + OUT for one in sent)


def shuffled(sent: Collection[Json], chance: random.Random) -> list[Json]:
    return chance.sample(list(sent), len(sent))


def assert_stored_once(sent: Collection[Json]) -> None:
    """The log holds exactly what was sent, each event once, and every total says the same."""
    stored = sorted(UsageLog.objects.values_list("event_id", flat=True))
    assert stored == sorted(one["event_id"] for one in sent)
    exact = (len(sent), tokens(sent), cost(sent))
    assert _totals(UsageDay) == _totals(UsageModel) == _totals(PlatformDay) == exact
    assert ProviderMinute.objects.aggregate(calls=Sum("calls"))["calls"] == len(sent)
    with rollup_check.snapshot():
        assert [str(one) for part in rollup_check.check() for one in part.differences] == []


def _totals(rollup: type[UsageDay] | type[UsageModel] | type[PlatformDay]) -> tuple[int, ...]:
    sums = rollup.objects.aggregate(calls=Sum("calls"), tokens=Sum("tokens_total"), cost=Sum("cost_nano"))
    return sums["calls"], sums["tokens"], sums["cost"]
