"""The two seeded workloads: `mixed` (some 300 accounts by Zipf in 1,000 events, 40 kinds of call) and `one` (an account)."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any, Literal, NamedTuple

Workload = Literal["mixed", "one"]
Json = dict[str, Any]

ACCOUNTS = 1_000  # of which 1,000 draws by Zipf meet some 300


class Kind(NamedTuple):
    """One combination of declared provider, model and endpoint, and the units that such a call uses."""

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


FAMILIES: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (  # declared, endpoint, units, models
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
KINDS = tuple(
    Kind(declared, model, endpoint, units) for declared, endpoint, units, models in FAMILIES for model in models
)
SHARES = tuple(accumulate(1 / rank for rank in range(1, ACCOUNTS + 1)))


def events(workload: Workload, count: int, *, seed: int, at: datetime | None = None) -> list[Json]:
    """`count` new events as a caller sends them, all within the ten minutes before `at` (now)."""
    chance = random.Random(seed)
    latest = at or datetime.now(UTC)
    accounts = chance.choices(range(ACCOUNTS), cum_weights=SHARES, k=count) if workload == "mixed" else [0] * count
    return [_event(f"{seed}-{number}", account, chance, latest) for number, account in enumerate(accounts)]


def _event(event_id: str, account: int, chance: random.Random, latest: datetime) -> Json:
    kind = chance.choice(KINDS)
    occurred = latest - timedelta(microseconds=chance.randrange(600_000_000))
    return {
        "event_id": f"chatcmpl-{event_id}-{chance.getrandbits(64):016x}",
        "account": f"account-{account}",
        "occurred_at": occurred.isoformat(),
        "provider": kind.provider,
        "model": kind.model,
        "endpoint": kind.endpoint,
        "usage": {unit: _quantity(unit, chance) for unit in kind.units},
        "response_time_ms": chance.randrange(50, 20_000),
        "status_code": 500 if chance.random() < 0.03 else 200,
        "request_bytes": chance.randrange(200, 20_000),
        "response_bytes": chance.randrange(200, 90_000),
        "metadata": {"feature": chance.choice(("story", "chat", "research"))},
    }


def _quantity(unit: str, chance: random.Random) -> int | str:
    if unit == "seconds":
        return str(chance.randint(1, 10))
    return chance.randint(1, 8_000) if unit.endswith("tokens") or unit == "characters" else 1
