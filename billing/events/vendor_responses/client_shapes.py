"""Shapes of client libraries that have a usage of their own, and all shapes in the order in which they are tried. Pure.

Sources: LangChain `UsageMetadata` (keys of a service tier as langchain-openai writes them, of cache lifetimes as
langchain-anthropic does); Vercel AI SDK `LanguageModelUsage` (5: flat, 6: with details; 3 of the provider interface: nested).
"""

from __future__ import annotations

from billing.events.vendor_responses import openai_shapes, vendor_shapes
from billing.events.vendor_responses.shapes import Shape, shape

_INPUT, _OUTPUT = "input_tokens_details", "output_tokens_details"
TOTALS = {"total_tokens": "input_tokens + output_tokens"}

LANGCHAIN = shape(
    "langchain",
    "root:usage_metadata&input_tokens root:usage_metadata&output_tokens",
    {
        "input_tokens": "input_tokens",
        "output_tokens": "output_tokens",
        "cached_input_tokens": f"{_INPUT}.cache_read | {_INPUT}.priority_cache_read | {_INPUT}.flex_cache_read",
        "cache_write_tokens": f"{_INPUT}.cache_creation"
        f" | {_INPUT}.ephemeral_5m_input_tokens + {_INPUT}.ephemeral_1h_input_tokens",
        "cache_write_1h_tokens": f"{_INPUT}.ephemeral_1h_input_tokens",
        "input_audio_tokens": f"{_INPUT}.audio",
        "image_tokens": f"{_INPUT}.image",
        "input_video_tokens": f"{_INPUT}.video",
        "reasoning_tokens": f"{_OUTPUT}.reasoning | {_OUTPUT}.priority_reasoning | {_OUTPUT}.flex_reasoning",
        "output_audio_tokens": f"{_OUTPUT}.audio",
        "output_image_tokens": f"{_OUTPUT}.image",
        "searches": "server_tool_use.web_search_requests",
        "web_fetches": "server_tool_use.web_fetch_requests",
    },
    totals=TOTALS,
    ignored="server_tool_use.* *_tokens_details.priority *_tokens_details.flex *_tokens_details.text",
)

FLAT = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cached_input_tokens": f"{_INPUT}.cache_read_tokens | cached_input_tokens",
    "cache_write_tokens": f"{_INPUT}.cache_write_tokens",
    "reasoning_tokens": f"{_OUTPUT}.reasoning_tokens | reasoning_tokens",
}
BESIDE = "output_tokens + reasoning_tokens"
FLAT_IGNORED = f"{_INPUT}.no_cache_tokens {_OUTPUT}.text_tokens raw.* cache_creation_input_tokens"

AI_SDK = (
    shape(
        "ai_sdk",
        "input_tokens.total output_tokens.total",
        {
            "input_tokens": "input_tokens.total",
            "output_tokens": "output_tokens.total",
            "cached_input_tokens": "input_tokens.cache_read",
            "cache_write_tokens": "input_tokens.cache_write",
            "reasoning_tokens": "output_tokens.reasoning",
        },
        totals={"total_tokens": "input_tokens.total + output_tokens.total"},
        ignored="input_tokens.no_cache output_tokens.text raw.*",
    ),
    # Version 5 hands on what the vendor counts: Anthropic's cached tokens and the reasoning of xAI and Google are beside.
    shape(
        "ai_sdk",
        "camel&cached_beside",
        FLAT | {"cache_write_tokens": "provider_metadata.anthropic.cache_creation_input_tokens"},
        totals=TOTALS,
        ignored=FLAT_IGNORED,
        excludes_cached=True,
    ),
    shape(
        "ai_sdk",
        "camel&reasoning_beside",
        FLAT | {"output_tokens": BESIDE},
        totals={"total_tokens": "input_tokens + output_tokens + reasoning_tokens"},
        ignored=FLAT_IGNORED,
    ),
    shape("ai_sdk", "camel&input_tokens camel&output_tokens", FLAT, totals=TOTALS, ignored=FLAT_IGNORED),
)

SHAPES: tuple[Shape, ...] = (
    LANGCHAIN,
    *vendor_shapes.BEDROCK_NATIVE,
    vendor_shapes.GOOGLE,
    vendor_shapes.GOOGLE_EMBEDDINGS,
    vendor_shapes.GOOGLE_INTERACTIONS,
    vendor_shapes.OLLAMA,
    *vendor_shapes.COHERE,
    vendor_shapes.MISTRAL_OCR,
    vendor_shapes.ALIBABA_MEDIA,
    vendor_shapes.WATSONX,
    *openai_shapes.CHAT_SHAPES,
    vendor_shapes.BEDROCK,
    *AI_SDK,
    vendor_shapes.ANTHROPIC,
    *openai_shapes.TOKEN_SHAPES,
)
