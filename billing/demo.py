"""A small demonstration data set, labelled as such wherever it shows: made by `seed_demo`, through the door of all usage."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

from billing.accounts import accounts
from billing.corrections import corrections, repricing
from billing.corrections.repricing import Choice
from billing.events import events
from billing.models import Account, UsageAdjustment, UsageLog
from billing.plans import subscriptions
from billing.recording import metering
from billing.recording.metering import Result, Source
from lib import ids
from providers import price_edits
from providers.models import Price, PriceRate, Provider

DAYS = 45
ACCOUNTS = {"demo-acme": "Demo: Acme Stories", "demo-orbit": "Demo: Orbit Search", "demo-solo": "Demo: Solo Studio"}

LATE_MODEL = "demo-vision-1"  # its price becomes known after its calls
ACTOR = "seed_demo"
STEP = 500

# provider, model, endpoint, usage, calls in a hundred; `cached` is a part of the input in per cent
CALLS: tuple[tuple[str, str, str, dict[str, Any], int], ...] = (
    ("gemini", "gemini-2.5-flash", "https://generativelanguage.googleapis.com/v1beta/models", {"tokens": 2200}, 22),
    ("openai", "gpt-4o", "https://api.openai.com/v1/chat/completions", {"tokens": 1800, "cached": 60}, 14),
    ("openai", "gpt-4o-mini", "https://api.openai.com/v1/chat/completions", {"tokens": 3000}, 12),
    ("anthropic", "claude-3.5-sonnet", "https://api.anthropic.com/v1/messages", {"tokens": 1500}, 7),
    ("mistral", "openai/gpt-oss-120b:groq", "https://router.huggingface.co/v1/chat/completions", {"tokens": 1900}, 6),
    (
        "openai",
        "gpt-4o",
        "https://demo.openai.azure.com/openai/deployments/gpt-4o/chat/completions",
        {"tokens": 900},
        3,
    ),
    ("video", "alibaba/wan-2.5/text-to-video", "/video-generation/wavespeed", {"requests": 1}, 4),
    ("video", "tencent/HunyuanVideo", "/video-generation/huggingface", {"requests": 1}, 2),
    ("audio", "minimax/speech-02-hd", "/audio-generation/wavespeed", {"characters": 1400}, 5),
    ("stability", "qwen-image", "/image-generation/wavespeed", {"images": 2}, 6),
    ("stability", "stable-diffusion-xl", "/image-generation/stability", {"images": 1}, 3),
    ("image_edit", "qwen-edit-plus", "/image-edit/wavespeed", {"requests": 1}, 3),
    ("tavily", "tavily-search", "https://api.tavily.com/search", {"requests": 1}, 6),
    ("serper", "serper-search", "https://google.serper.dev/search", {"requests": 1}, 3),
    ("exa", "exa-search", "https://api.exa.ai/search", {"requests": 1}, 2),
    ("firecrawl", "firecrawl-extract", "https://api.firecrawl.dev/v1/scrape", {"pages": 3}, 1),
    ("gemini", "gemini-2.5-pro", "https://generativelanguage.googleapis.com/v1beta/models", {"tokens": 150_000}, 1),
    ("openai", LATE_MODEL, "https://api.openai.com/v1/chat/completions", {"tokens": 2500, "cached": 40}, 2),
    ("openai", "demo-contract-model", "https://api.openai.com/v1/responses", {"cost_usd": "0.125"}, 1),
    ("video", "", "", {"seconds": "4"}, 1),
)


def seed(at: datetime) -> list[Result]:
    """The demonstration calls of the last 45 days, some corrected; nothing where a demonstration account is there already."""
    if accounts.find(ACCOUNTS):
        return []
    for external_id, name in ACCOUNTS.items():
        accounts.create(external_id=external_id, at=at, name=name, timezone="UTC", anchor_day=1)
    source = Source(may_state_cost=True, any_age=True, live=False)
    _subscribe(at)
    results = metering.record([events.parse(one) for one in _calls(at)], source=source, at=at)
    _correct(at)
    return results


def _subscribe(at: datetime) -> None:
    """Two accounts pay, by the month and by the year; the third is on the default plan."""
    for external_id, plan, cycle in (("demo-acme", "pro", "monthly"), ("demo-orbit", "basic", "yearly")):
        account = Account.objects.get(external_key=ids.key_of(external_id))
        subscriptions.subscribe(account, plan=plan, cycle=cycle, actor=ACTOR, at=at)


def _correct(at: datetime) -> None:
    """A model's price that becomes known late, a call that is voided, and another void that is taken back."""
    _set_late_price()
    batch = repricing.start(
        Choice(provider="openai", model=LATE_MODEL), reason="Demo: its price is known now", actor=ACTOR, at=at
    )
    for _ in repricing.go_on(batch, size=STEP, at=at):
        pass
    _void("demo-0899", "Demo: the answer was empty", at)
    undone = _void("demo-0890", "Demo: thought to be sent twice", at)
    corrections.revert_one(undone, reason="Demo: it was sent once", actor=ACTOR, at=at)


def _set_late_price() -> None:
    provider = Provider.objects.get(slug="openai")
    price = Price(
        provider=provider, pattern=LATE_MODEL, valid_from=date(2025, 1, 1), source="demonstration, no real price"
    )
    rates = {"input_tokens": 2_500_000_000, "cached_input_tokens": 300_000_000, "output_tokens": 10_000_000_000}
    price_edits.record(price=price, rates=[PriceRate(unit=unit, nano_per_million=nano) for unit, nano in rates.items()])


def _void(event_id: str, reason: str, at: datetime) -> UsageAdjustment:
    log = UsageLog.objects.get(event_key=ids.key_of(event_id), account__external_id__in=list(ACCOUNTS))
    corrections.void(log, reason=reason, actor=ACTOR, at=at)
    return UsageAdjustment.objects.get(account=log.account_id, log=log.pk)


def _calls(at: datetime) -> Iterator[dict[str, Any]]:
    chance = random.Random(42)  # noqa: S311 - the same demonstration every time, no secret
    start = at - timedelta(days=DAYS)
    for number in range(900):
        moment = start + (at - start) * (number + chance.random()) / 900
        provider, model, endpoint, used, _ = chance.choices(CALLS, [call[-1] for call in CALLS])[0]
        failed = chance.random() < 0.03
        yield {
            "event_id": f"demo-{number:04d}",
            "account": chance.choices(list(ACCOUNTS), [6, 3, 1])[0],
            "occurred_at": moment.isoformat(),
            "provider": provider,
            "model": model,
            "endpoint": endpoint,
            "usage": {} if failed else _usage(used, chance),
            "cost_usd": None if failed else used.get("cost_usd"),
            "response_time_ms": int(chance.lognormvariate(7, 0.6)),
            "status_code": 503 if failed else 200,
            "error_message": "demo: upstream unavailable" if failed else "",
            "metadata": {"demo": True},
        }


def _usage(used: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    if "tokens" not in used:
        return {unit: count for unit, count in used.items() if unit != "cost_usd"}
    sent = int(used["tokens"] * chance.uniform(0.3, 2.5))
    return {
        "input_tokens": sent,
        "output_tokens": int(min(used["tokens"], 3000) * chance.uniform(0.1, 0.8)),
        "cached_input_tokens": sent * used.get("cached", 0) // 100,
    }
