"""Which keys of a LiteLLM entry are prices and which are information. Pure.

Every key that holds a number is one or the other, or the price is offered without it. The keys are those of LiteLLM's
file model_prices_and_context_window.json, edition 1.110.2.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import NamedTuple

TOKENS = {
    "input_cost_per_token": "input_tokens",
    "cache_read_input_token_cost": "cached_input_tokens",
    "input_cost_per_token_cache_hit": "cached_input_tokens",
    "cache_creation_input_token_cost": "cache_write_tokens",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h_tokens",
    "input_cost_per_audio_token": "input_audio_tokens",
    "input_cost_per_image_token": "image_tokens",
    "input_cost_per_video_token": "input_video_tokens",
    "cache_read_input_audio_token_cost": "cached_audio_tokens",
    "cache_read_input_image_token_cost": "cached_image_tokens",
    "output_cost_per_token": "output_tokens",
    "output_cost_per_reasoning_token": "reasoning_tokens",
    "output_cost_per_audio_token": "output_audio_tokens",
    "output_cost_per_image_token": "output_image_tokens",
}
MEASURES = {
    "input_cost_per_character": "characters",
    "input_cost_per_image": "images",
    "input_cost_per_pixel": "megapixels",
    "input_cost_per_query": "searches",
    "input_cost_per_second": "seconds",
    "ocr_cost_per_page": "pages",
    "output_cost_per_image": "images",
    "output_cost_per_pixel": "megapixels",
    "output_cost_per_second": "seconds",
    "output_cost_per_video_per_second": "seconds",
}
SEARCHES = "search_context_cost_per_query"
# Billed in addition to tokens, if an event counts it.
ADDITIONAL = {
    "input_cost_per_request": "requests",
    "code_interpreter_cost_per_session": "sessions",
    SEARCHES: "searches",
}
UNITS = TOKENS | MEASURES | ADDITIONAL
DUPLICATE = re.compile(r"(in|out)put_cost_per_(?:audio_per_|video_per_)?(?:second|character|image|pixel)")
# Suffix of a key -> service tier.
SERVICE_TIERS = {tier: tier for tier in ("priority", "flex", "fast", "ultrafast", "balanced")} | {"batches": "batch"}
_SUFFIXES = re.compile(
    r"(.+?)(?:_above_(\d{1,9})k_tokens)?(?:_(\d{3,4}p|\d(?:\.\d)?[kK]))?"
    rf"(?:_({'|'.join(SERVICE_TIERS)}))?"
)

_PRICE_WORDS = re.compile("cost|pric|multiplier|uplift|fee|rate")
_INFORMATIONAL_PREFIXES = {
    "max_": "the largest request",
    "supports_": "an ability of the model",
    "token_count_": "how to count tokens before a call",
}
INFORMATIONAL = {
    "input_dbu_cost_per_token": "the same price in units of Databricks",
    "metadata": "notes, with the price per minute or hour that the vendor states",
    "output_dbu_cost_per_token": "the same price in units of Databricks",
    "output_vector_size": "the size of an embedding",
    "prompt_cache_min_tokens": "the shortest prompt that the vendor caches",
    "provider_specific_entry.realtime_ga_only": "an option of the API",
    "provider_specific_entry.transcription_json_or_text_only": "an option of the API",
    "provider_specific_entry.transcription_usage_duration": "an option of the API",
    "rpm": "a rate limit",
    "tool_use_system_prompt_tokens": "tokens that the vendor adds and counts in its responses",
    "tpm": "a rate limit",
}


class Figure(NamedTuple):
    """A price; `field` is the key without threshold, resolution and service tier."""

    field: str
    variant: str
    above: int
    usd: Decimal


def parse(key: str) -> Figure:
    """Parses the suffixes of a key: the threshold of input tokens, the resolution and the service tier."""
    match = _SUFFIXES.fullmatch(key)
    if match is None:
        return Figure(key, "", 0, Decimal(0))
    field, thousands, resolution, tier = match.groups()
    terms = [f"resolution={resolution.lower()}"] if resolution else []
    terms += [f"service_tier={SERVICE_TIERS[tier]}"] if tier else []
    return Figure(field, ",".join(terms), int(thousands or 0) * 1000, Decimal(0))


def is_price(field: str) -> bool:
    """Tells whether a rate can express the price, or it counts usage a second time that other rates bill."""
    return field in UNITS or bool(DUPLICATE.fullmatch(field))


def is_informational(key: str, value: object) -> bool:
    """Tells whether a key cannot change what a call costs: it holds no number, or its number is no price."""
    if key in INFORMATIONAL or not holds_number(value):
        return True
    return key.startswith(tuple(_INFORMATIONAL_PREFIXES)) and not _PRICE_WORDS.search(key)


def holds_number(value: object) -> bool:
    """Tells whether a JSON value is or contains a number, also as text; True and False are none."""
    if isinstance(value, dict):
        return any(map(holds_number, value.values()))
    if isinstance(value, list):
        return any(map(holds_number, value))
    if isinstance(value, str):
        return bool(re.fullmatch(r"\s*[-+$]?\d[\d.,]*(?:[eE][-+]?\d+)?\s*", value))
    return is_number(value)


def is_number(value: object) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)
