"""The demonstration's calls: account, model and time. Pure, and always the same for the same dates."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

ACME, ORBIT, SOLO = "demo-acme", "demo-orbit", "demo-solo"

LATE_MODEL = "demo-vision-1"  # priced after its first calls
UNPRICED_MODEL = "demo-preview-1"  # has only a price proposal
CONTRACT_MODEL = "demo-contract-model"  # its cost is stated by the caller
LIVE_SPAN = timedelta(minutes=5)
LIVE_CALLS = 16  # in the last LIVE_SPAN, so that provider health has data
MIN_CALLS = 60  # of the current month, even if it is only minutes old
CALLS_PER_MONTH = 480
CALLS_PER_FAILURE = 33
SEED = 3  # gives realistic months
FIRST_MONTH_CALLS = 380
ACCOUNT_WEIGHTS = {ACME: 60, ORBIT: 32, SOLO: 8}
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class CallTemplate:
    """Calls with the same provider, model and usage. `cached` is in percent of the input; weights are calls per hundred."""

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
CALL_TEMPLATES = (
    CallTemplate("gemini", "gemini-2.5-flash", GEMINI, {"tokens": 2200}, (22, 10, 28)),
    CallTemplate("gemini", "gemini-2.5-pro", GEMINI, {"tokens": 150_000}, (2, 0, 0)),
    CallTemplate("openai", "gpt-4o", OPENAI, {"tokens": 1800, "cached": 60}, (14, 2, 0)),
    CallTemplate("openai", "gpt-4o-mini", OPENAI, {"tokens": 3000}, (11, 6, 0)),
    CallTemplate("openai", "gpt-4o", AZURE, {"tokens": 900}, (3, 0, 0)),
    CallTemplate("anthropic", "claude-3.5-sonnet", ANTHROPIC, {"tokens": 1500}, (7, 0, 0)),
    CallTemplate("mistral", "openai/gpt-oss-120b:groq", HUGGING_FACE, {"tokens": 1900}, (6, 2, 0)),
    CallTemplate("video", "alibaba/wan-2.5/text-to-video", "/video-generation/wavespeed", {"requests": 1}, (5, 0, 0)),
    CallTemplate("video", "tencent/HunyuanVideo", "/video-generation/huggingface", {"requests": 1}, (2, 0, 0)),
    CallTemplate("video", "", "", {"seconds": "4"}, (1, 0, 0)),
    CallTemplate("audio", "minimax/speech-02-hd", "/audio-generation/wavespeed", {"characters": 1400}, (5, 0, 12)),
    CallTemplate("stability", "qwen-image", "/image-generation/wavespeed", {"images": 2}, (6, 0, 12)),
    CallTemplate("stability", "stable-diffusion-xl", "/image-generation/stability", {"images": 1}, (3, 0, 4)),
    CallTemplate("image_edit", "qwen-edit-plus", "/image-edit/wavespeed", {"requests": 1}, (3, 0, 6)),
    CallTemplate("tavily", "tavily-search", "https://api.tavily.com/search", {"requests": 1}, (4, 32, 16)),
    CallTemplate("serper", "serper-search", "https://google.serper.dev/search", {"requests": 1}, (1, 18, 8)),
    CallTemplate("exa", "exa-search", "https://api.exa.ai/search", {"requests": 1}, (1, 12, 8)),
    CallTemplate("firecrawl", "firecrawl-extract", "https://api.firecrawl.dev/v1/scrape", {"pages": 3}, (0, 6, 0)),
    CallTemplate("openai", LATE_MODEL, OPENAI, {"tokens": 2500, "cached": 40}, (2, 0, 0)),
    CallTemplate("openai", UNPRICED_MODEL, OPENAI_RESPONSES, {"tokens": 1600}, (1, 2, 0)),
    CallTemplate("openai", CONTRACT_MODEL, OPENAI_RESPONSES, {"cost_usd": "0.125"}, (1, 0, 0)),
)


class Caller:
    """Creates events as callers send them, numbered in the order of creation."""

    def __init__(self) -> None:
        self._random = random.Random(SEED)  # noqa: S311 - reproducible, not secret
        self._count = 0

    def events(self, moments: list[datetime]) -> Iterator[dict[str, Any]]:
        """One event of a random account and template for each moment."""
        choices = self._random.choices
        for moment in moments:
            [(index, account)] = choices(list(enumerate(ACCOUNT_WEIGHTS)), list(ACCOUNT_WEIGHTS.values()))
            [template] = choices(CALL_TEMPLATES, [template.weights[index] for template in CALL_TEMPLATES])
            event = self._event(account, moment)
            failed = self._count % CALLS_PER_FAILURE == 0
            yield {
                **event,
                "provider": template.provider,
                "model": template.model,
                "endpoint": template.endpoint,
                "usage": {} if failed else self._usage(template),
                "cost_usd": None if failed else template.usage.get("cost_usd"),
                "response_time_ms": int(self._random.lognormvariate(7, 0.6)),
                "status_code": 503 if failed else 200,
                "error_message": "demo: upstream unavailable" if failed else "",
            }

    def contract_job(self, account: str, moment: datetime, cost_usd: str) -> dict[str, Any]:
        """A job with a cost stated by the caller."""
        return {
            **self._event(account, moment),
            "provider": "openai",
            "model": CONTRACT_MODEL,
            "endpoint": OPENAI_RESPONSES,
            "cost_usd": cost_usd,
            "response_time_ms": 41_000,
        }

    def moments(self, start: datetime, end: datetime, count: int) -> list[datetime]:
        """`count` sorted moments between `start` and `end`: most in the afternoon (UTC), few at night and on weekends."""
        hours = list(_hours(start, end))
        if not hours:
            return [start] * count
        weights = [_weight(first) * ((last - first) // timedelta(microseconds=1)) for first, last in hours]
        chosen = self._random.choices(hours, weights, k=count)
        return sorted(first + _whole_ms((last - first) * self._random.random()) for first, last in chosen)

    def _event(self, account: str, moment: datetime) -> dict[str, Any]:
        self._count += 1
        return {
            "event_id": f"demo-{self._count:04d}",
            "account": account,
            "occurred_at": moment.isoformat(),
            "metadata": {"demo": True},
        }

    def _usage(self, template: CallTemplate) -> dict[str, Any]:
        usage = template.usage
        if "tokens" not in usage:
            return {unit: count for unit, count in usage.items() if unit != "cost_usd"}
        tokens_input = int(usage["tokens"] * self._random.uniform(0.3, 2.5))
        return {
            "input_tokens": tokens_input,
            "output_tokens": int(min(usage["tokens"], 3000) * self._random.uniform(0.1, 0.8)),
            "cached_input_tokens": tokens_input * usage.get("cached", 0) // 100,
        }


def current_month_calls(start: datetime, end: datetime, at: datetime) -> int:
    """The number of calls in proportion to the elapsed part of the month, at least MIN_CALLS."""
    return max(MIN_CALLS, CALLS_PER_MONTH * ((at - start) // HOUR) // ((end - start) // HOUR))


def _hours(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The hours from `start` to `end`; the first and the last may be shorter."""
    while start < end:
        following = start.replace(minute=0, second=0, microsecond=0) + HOUR
        yield start, min(following, end)
        start = following


def _weight(hour: datetime) -> int:
    by_day = 9 if 12 <= hour.hour < 19 else 6 if 7 <= hour.hour < 22 else 2
    return by_day if hour.weekday() < 5 else (by_day + 2) // 3


def _whole_ms(span: timedelta) -> timedelta:
    """Rounds down, so that a moment never reaches the end of its hour."""
    return timedelta(milliseconds=span // timedelta(milliseconds=1))
