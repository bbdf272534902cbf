"""Two seeded workloads: `mixed` (about 300 accounts by Zipf in 1,000 events, 40 kinds of calls) and `one` (one account)."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any, Literal, NamedTuple

Workload = Literal["mixed", "one"]
Json = dict[str, Any]

ACCOUNTS = 1_000  # 1,000 draws by Zipf contain about 300 of them


class CallKind(NamedTuple):
    """A combination of declared provider, model and endpoint, and the units that such calls use."""

    provider: str
    model: str
    endpoint: str
    units: tuple[str, ...]


TOKENS = ("input_tokens", "output_tokens")
OPENAI = "https://api.openai.com/v1/chat/completions"
GOOGLE = "https://generativelanguage.googleapis.com/v1beta/models/generateContent"
GEMINI = ("gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-1.5-flash", "gemini-1.5-pro")
VIDEO = ("kling-v2.5-turbo-std-5s", "wavespeed-ai/infinitetalk")
ROUTER = "https://router.huggingface.co/v1/chat/completions"
GATEWAY = "https://openrouter.ai/api/v1/chat/completions"
ANTHROPIC = "https://api.anthropic.com/v1/messages"
AZURE = "https://acme.openai.azure.com/openai/deployments/chat"


CALL_FAMILIES: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (  # declared, endpoint, units, models
    ("openai", OPENAI, TOKENS, ("gpt-4o", "gpt-4o-mini", "gpt-4o-2024-08-06", "gpt-4.1", "o3-mini")),
    ("openai", AZURE, TOKENS, ("gpt-4o", "gpt-4o-mini")),
    ("openai", GATEWAY, TOKENS, ("openai/gpt-4o", "openai/gpt-4o-mini")),
    ("gemini", GOOGLE, TOKENS, GEMINI),
    ("gemini", "/llm/generate", TOKENS, GEMINI),
    ("anthropic", ANTHROPIC, TOKENS, ("claude-3.5-sonnet", "claude-3-5-haiku-latest", "claude-sonnet-4")),
    ("mistral", ROUTER, TOKENS, ("openai/gpt-oss-120b:groq", "tencent/HunyuanVideo", "mistralai/Mistral-7B-Instruct")),
    ("video", "/video-generation/wavespeed", ("seconds",), ("alibaba/wan-2.5/text-to-video", *VIDEO)),
    ("stability", "/image-generation/wavespeed", ("images",), ("qwen-image", "ideogram-v3-turbo")),
    ("image_edit", "/image-editing/wavespeed", ("images",), ("qwen-edit", "qwen-edit-plus", "flux-kontext-pro")),
    ("audio", "/audio-generation/wavespeed", ("characters",), ("minimax/speech-02-hd", "minimax/voice-clone")),
    ("tavily", "https://api.tavily.com/search", ("searches",), ("tavily-search",)),
    ("serper", "https://google.serper.dev/search", ("searches",), ("serper-search",)),
    ("exa", "https://api.exa.ai/search", ("searches",), ("exa-search",)),
    ("metaphor", "/search", ("searches",), ("metaphor-search",)),
    ("firecrawl", "https://api.firecrawl.dev/v1/scrape", ("pages",), ("firecrawl-extract",)),
)
CALL_KINDS = tuple(
    CallKind(declared, model, endpoint, units)
    for declared, endpoint, units, models in CALL_FAMILIES
    for model in models
)
ACCOUNT_SHARES = tuple(accumulate(1 / rank for rank in range(1, ACCOUNTS + 1)))


def events(workload: Workload, count: int, *, seed: int, at: datetime | None = None) -> list[Json]:
    """`count` new events as JSON for the API, within the ten minutes before `at` (default: now)."""
    rng = random.Random(seed)
    latest = at or datetime.now(UTC)
    accounts = rng.choices(range(ACCOUNTS), cum_weights=ACCOUNT_SHARES, k=count) if workload == "mixed" else [0] * count
    return [_event(f"{seed}-{number}", account, rng, latest) for number, account in enumerate(accounts)]


def _event(event_id: str, account: int, rng: random.Random, latest: datetime) -> Json:
    call_kind = rng.choice(CALL_KINDS)
    occurred_at = latest - timedelta(microseconds=rng.randrange(600_000_000))
    return {
        "event_id": f"chatcmpl-{event_id}-{rng.getrandbits(64):016x}",
        "account": f"account-{account}",
        "occurred_at": occurred_at.isoformat(),
        "provider": call_kind.provider,
        "model": call_kind.model,
        "endpoint": call_kind.endpoint,
        "usage": {unit: _quantity(unit, rng) for unit in call_kind.units},
        "response_time_ms": rng.randrange(50, 20_000),
        "status_code": 500 if rng.random() < 0.03 else 200,
        "request_bytes": rng.randrange(200, 20_000),
        "response_bytes": rng.randrange(200, 90_000),
        "metadata": {"feature": rng.choice(("story", "chat", "research"))},
    }


def _quantity(unit: str, rng: random.Random) -> int | str:
    if unit == "seconds":
        return str(rng.randint(1, 10))
    return rng.randint(1, 8_000) if unit.endswith("tokens") or unit == "characters" else 1
