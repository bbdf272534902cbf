"""What each shipped meter counts, and that a new meter takes effect immediately."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from billing.ledger import quantities
from billing.ledger.quantities import Quantity
from billing.limits import limits
from billing.models import Account, Meter
from billing.plans import meters, plans
from tests.billing.usage import record

pytestmark = pytest.mark.django_db

TOKENS = {"usage": {"input_tokens": 70, "output_tokens": 30}, "cost_usd": "0.1"}
EVENTS: list[tuple[dict[str, Any], dict[str, int]]] = [
    (
        {"provider": "gemini", "category": "text"},
        {"ai_text_generation_calls": 1, "gemini_calls": 1, "gemini_tokens": 100},
    ),
    ({"provider": "Google", "category": "image"}, {"stability_calls": 1, "gemini_calls": 1, "gemini_tokens": 100}),
    ({"provider": "openai", "category": "embedding"}, {"openai_calls": 1, "openai_tokens": 100}),
    (
        {"provider": "anthropic", "category": "text"},
        {"ai_text_generation_calls": 1, "anthropic_calls": 1, "anthropic_tokens": 100},
    ),
    (
        {"provider": "mistral", "category": "text"},
        {"ai_text_generation_calls": 1, "mistral_calls": 1, "mistral_tokens": 100},
    ),
    ({"provider": "tavily", "category": "search"}, {"tavily_calls": 1}),
    ({"provider": "serper", "category": "search"}, {"serper_calls": 1}),
    ({"provider": "metaphor", "category": "search"}, {"metaphor_calls": 1}),
    ({"provider": "firecrawl", "category": "crawl"}, {"firecrawl_calls": 1}),
    ({"provider": "exa", "category": "search"}, {"exa_calls": 1}),
    ({"provider": "stability", "category": "image"}, {"stability_calls": 1}),
    ({"provider": "image", "category": "image"}, {"stability_calls": 1}),
    ({"provider": "stability", "category": "image_edit"}, {"image_edit_calls": 1}),
    ({"provider": "video", "category": "video"}, {"video_calls": 1}),
    ({"provider": "audio", "category": "audio"}, {"audio_calls": 1}),
    ({"provider": "wavespeed", "category": "video"}, {"wavespeed_calls": 1, "video_calls": 1}),
    ({"provider": "somebody", "category": "other"}, {}),
    (
        {"provider": "openai", "category": "text", "status_code": 500},
        {"ai_text_generation_calls": 1, "openai_calls": 1, "openai_tokens": 100},
    ),
]


def used(account: Account, at: datetime) -> dict[str, int]:
    return {status.limit.meter.slug: status.used for status in limits.statuses(account, at) if status.used}


@pytest.mark.parametrize(("event", "counted"), EVENTS)
def test_a_call_counts_on_its_meters_and_no_others(
    account: Account, now: datetime, event: dict[str, Any], counted: dict[str, int]
) -> None:
    record(account, now, TOKENS | event)

    assert used(account, now) == counted | {"monthly_cost": 100_000_000}


def test_a_failed_call_without_usage_counts_on_no_meter(account: Account, now: datetime) -> None:
    record(account, now, {"provider": "openai", "category": "text", "status_code": 503})

    assert used(account, now) == {}


def test_many_calls_add_up(account: Account, now: datetime) -> None:
    record(account, now, *(TOKENS | event for event, _ in EVENTS))
    sums: dict[str, int] = {"monthly_cost": 100_000_000 * len(EVENTS)}
    for _, counted in EVENTS:
        for slug, amount in counted.items():
            sums[slug] = sums.get(slug, 0) + amount

    assert used(account, now) == sums
    assert set(sums) == {meter.slug for meter in plans.current().meters}


def test_a_meter_added_by_an_operator_counts_earlier_usage(account: Account, now: datetime) -> None:
    record(account, now, TOKENS | {"provider": "video", "model": "x", "endpoint": "/video-generation/wavespeed"})
    Meter.objects.create(slug="wavespeed_spend", label="WaveSpeed", scope="actual", values=["wavespeed"], unit="cost")
    plans.invalidate()

    assert used(account, now)["wavespeed_spend"] == 100_000_000


def test_an_operation_requests_at_least_one_unit_of_each_quantity() -> None:
    group = ("openai", "openai", "text")
    assert meters.requested_quantity(group, count=3, calls=1, tokens=0, cost_nano=0) == Quantity(*group, 3, 1, 1)
    assert meters.requested_quantity(group, count=3, calls=2, tokens=7, cost_nano=5) == Quantity(*group, 6, 21, 15)


def test_quantities_are_summed_by_group_in_group_order() -> None:
    a, b = ("a", "a", "text"), ("b", "b", "text")
    rows = [Quantity(*b, 1, 2, 3), Quantity(*a, 1, 1, 1), Quantity(*b, 10, 20, 30)]
    assert quantities.sum_by_group(rows) == [Quantity(*a, 1, 1, 1), Quantity(*b, 11, 22, 33)]
