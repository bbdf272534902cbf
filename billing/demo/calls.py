"""The demonstration's calls: who makes which, and at which moments of a month. Pure, and the same for the same dates."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

ACME, ORBIT, SOLO = "demo-acme", "demo-orbit", "demo-solo"

LATE_MODEL = "demo-vision-1"  # its price becomes known after its calls
UNPRICED_MODEL = "demo-preview-1"  # its price is only proposed
CONTRACT_MODEL = "demo-contract-model"  # the caller states its cost
LIVE_SPAN = timedelta(minutes=5)
LIVE_CALLS = 16  # in the last LIVE_SPAN, so that provider health has something to show
MIN_CALLS = 60  # of the current month, even where it is only minutes old
CALLS_A_MONTH = 480
FAILS_EVERY = 33  # calls
SEED = 3  # gives months that look likely
CALLS_OF_THE_FIRST_MONTH = 380
ACCOUNT_WEIGHTS = {ACME: 60, ORBIT: 32, SOLO: 8}
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Template:
    """Calls of one kind; `cached` is a part of the input in per cent. Weights are calls in a hundred of each account."""

    provider: str
    model: str
    endpoint: str
    usage: dict[str, Any]
    weights: tuple[int, int, int]  # acme, orbit, solo


GEMINI = "https://generativelanguage.googleapis.com/v1beta/models"
OPENAI = "https://api.openai.com/v1/chat/completions"
OPENAI_RESPONSES = "https://api.openai.com/v1/responses"
ANTHROPIC = "https://api.anthropic.com/v1/messages"
HUGGING_FACE = "https://router.huggingface.co/v1/chat/completions"
AZURE = "https://demo.openai.azure.com/openai/deployments/gpt-4o/chat/completions"

# Solo has only what the Free plan allows.
TEMPLATES = (
    Template("gemini", "gemini-2.5-flash", GEMINI, {"tokens": 2200}, (22, 10, 28)),
    Template("gemini", "gemini-2.5-pro", GEMINI, {"tokens": 150_000}, (2, 0, 0)),
    Template("openai", "gpt-4o", OPENAI, {"tokens": 1800, "cached": 60}, (14, 2, 0)),
    Template("openai", "gpt-4o-mini", OPENAI, {"tokens": 3000}, (11, 6, 0)),
    Template("openai", "gpt-4o", AZURE, {"tokens": 900}, (3, 0, 0)),
    Template("anthropic", "claude-3.5-sonnet", ANTHROPIC, {"tokens": 1500}, (7, 0, 0)),
    Template("mistral", "openai/gpt-oss-120b:groq", HUGGING_FACE, {"tokens": 1900}, (6, 2, 0)),
    Template("video", "alibaba/wan-2.5/text-to-video", "/video-generation/wavespeed", {"requests": 1}, (5, 0, 0)),
    Template("video", "tencent/HunyuanVideo", "/video-generation/huggingface", {"requests": 1}, (2, 0, 0)),
    Template("video", "", "", {"seconds": "4"}, (1, 0, 0)),
    Template("audio", "minimax/speech-02-hd", "/audio-generation/wavespeed", {"characters": 1400}, (5, 0, 12)),
    Template("stability", "qwen-image", "/image-generation/wavespeed", {"images": 2}, (6, 0, 12)),
    Template("stability", "stable-diffusion-xl", "/image-generation/stability", {"images": 1}, (3, 0, 4)),
    Template("image_edit", "qwen-edit-plus", "/image-edit/wavespeed", {"requests": 1}, (3, 0, 6)),
    Template("tavily", "tavily-search", "https://api.tavily.com/search", {"requests": 1}, (4, 32, 16)),
    Template("serper", "serper-search", "https://google.serper.dev/search", {"requests": 1}, (1, 18, 8)),
    Template("exa", "exa-search", "https://api.exa.ai/search", {"requests": 1}, (1, 12, 8)),
    Template("firecrawl", "firecrawl-extract", "https://api.firecrawl.dev/v1/scrape", {"pages": 3}, (0, 6, 0)),
    Template("openai", LATE_MODEL, OPENAI, {"tokens": 2500, "cached": 40}, (2, 0, 0)),
    Template("openai", UNPRICED_MODEL, OPENAI_RESPONSES, {"tokens": 1600}, (1, 2, 0)),
    Template("openai", CONTRACT_MODEL, OPENAI_RESPONSES, {"cost_usd": "0.125"}, (1, 0, 0)),
)


class Caller:
    """Makes events as callers send them, numbered in the order of the moments that are asked for."""

    def __init__(self) -> None:
        self._chance = random.Random(SEED)  # noqa: S311 - the same demonstration every time, no secret
        self._count = 0

    def events(self, moments: list[datetime]) -> Iterator[dict[str, Any]]:
        """One event of a random account and template for each moment."""
        chance = self._chance
        for moment in moments:
            [(place, account)] = chance.choices(list(enumerate(ACCOUNT_WEIGHTS)), list(ACCOUNT_WEIGHTS.values()))
            [template] = chance.choices(TEMPLATES, [template.weights[place] for template in TEMPLATES])
            event = self._event(account, moment)
            failed = self._count % FAILS_EVERY == 0
            yield {
                **event,
                "provider": template.provider,
                "model": template.model,
                "endpoint": template.endpoint,
                "usage": {} if failed else self._usage(template),
                "cost_usd": None if failed else template.usage.get("cost_usd"),
                "response_time_ms": int(chance.lognormvariate(7, 0.6)),
                "status_code": 503 if failed else 200,
                "error_message": "demo: upstream unavailable" if failed else "",
            }

    def contract_job(self, account: str, moment: datetime, cost_usd: str) -> dict[str, Any]:
        """A job whose cost its caller states."""
        return {
            **self._event(account, moment),
            "provider": "openai",
            "model": CONTRACT_MODEL,
            "endpoint": OPENAI_RESPONSES,
            "cost_usd": cost_usd,
            "response_time_ms": 41_000,
        }

    def moments(self, start: datetime, end: datetime, count: int) -> list[datetime]:
        """So many moments from `start` up to `end`, in order: most in the afternoon (UTC), few at night and on weekends."""
        hours = list(_hours(start, end))
        if not hours:
            return [start] * count
        weights = [_weight(first) * ((last - first) // timedelta(microseconds=1)) for first, last in hours]
        chosen = self._chance.choices(hours, weights, k=count)
        return sorted(first + _whole_ms((last - first) * self._chance.random()) for first, last in chosen)

    def _event(self, account: str, moment: datetime) -> dict[str, Any]:
        self._count += 1
        return {
            "event_id": f"demo-{self._count:04d}",
            "account": account,
            "occurred_at": moment.isoformat(),
            "metadata": {"demo": True},
        }

    def _usage(self, template: Template) -> dict[str, Any]:
        used = template.usage
        if "tokens" not in used:
            return {unit: count for unit, count in used.items() if unit != "cost_usd"}
        tokens_input = int(used["tokens"] * self._chance.uniform(0.3, 2.5))
        return {
            "input_tokens": tokens_input,
            "output_tokens": int(min(used["tokens"], 3000) * self._chance.uniform(0.1, 0.8)),
            "cached_input_tokens": tokens_input * used.get("cached", 0) // 100,
        }


def count_of_current_month(start: datetime, end: datetime, at: datetime) -> int:
    """As many calls as the part of the month that is over, and at least MIN_CALLS."""
    return max(MIN_CALLS, CALLS_A_MONTH * ((at - start) // HOUR) // ((end - start) // HOUR))


def _hours(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The hours from `start` up to `end`; the first and the last may be shorter ones."""
    while start < end:
        following = start.replace(minute=0, second=0, microsecond=0) + HOUR
        yield start, min(following, end)
        start = following


def _weight(hour: datetime) -> int:
    by_day = 9 if 12 <= hour.hour < 19 else 6 if 7 <= hour.hour < 22 else 2
    return by_day if hour.weekday() < 5 else (by_day + 2) // 3


def _whole_ms(span: timedelta) -> timedelta:
    """Rounded down, so that a moment never reaches the end of its hour."""
    return timedelta(milliseconds=span // timedelta(milliseconds=1))
