"""A small demonstration data set, labelled as such wherever it shows: made by `seed_demo`, through the door of all usage."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from billing import accounts, events, metering
from billing.metering import Result, Source

DAYS = 45
ACCOUNTS = {"demo-acme": "Demo: Acme Stories", "demo-orbit": "Demo: Orbit Search", "demo-solo": "Demo: Solo Studio"}

# provider, model, endpoint, usage, calls in a hundred
CALLS: tuple[tuple[str, str, str, dict[str, Any], int], ...] = (
    ("gemini", "gemini-2.5-flash", "https://generativelanguage.googleapis.com/v1beta/models", {"tokens": 2200}, 22),
    ("openai", "gpt-4o", "https://api.openai.com/v1/chat/completions", {"tokens": 1800}, 14),
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
    ("video", "", "", {"seconds": "4"}, 1),
)


def seed(at: datetime) -> list[Result]:
    """The demonstration calls of the last 45 days; nothing where a demonstration account is there already."""
    if accounts.find(ACCOUNTS):
        return []
    for external_id, name in ACCOUNTS.items():
        accounts.create(external_id=external_id, at=at, name=name, timezone="UTC", anchor_day=1)
    source = Source(any_age=True, live=False)
    return metering.record([events.parse(one) for one in _calls(at)], source=source, at=at)


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
            "response_time_ms": int(chance.lognormvariate(7, 0.6)),
            "status_code": 503 if failed else 200,
            "error_message": "demo: upstream unavailable" if failed else "",
            "metadata": {"demo": True},
        }


def _usage(used: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    if "tokens" not in used:
        return used
    return {
        "input_tokens": int(used["tokens"] * chance.uniform(0.3, 2.5)),
        "output_tokens": int(used["tokens"] * chance.uniform(0.1, 0.8)),
    }
