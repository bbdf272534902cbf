"""Shapes of OpenAI's API, and of the vendors whose chat completions follow it. Pure.

Sources: OpenAI API reference (chat completion, response, embedding, image, transcription, realtime and speech objects);
DeepSeek "Context Caching"; Groq "API Reference"; Mistral "Chat Completion API" and "Prompt caching"; OpenRouter "Usage
Accounting"; Perplexity "Chat Completions", "Agent API" and "Pricing"; xAI "REST API Reference" and "Cost Tracking"; LiteLLM
`Usage`.
"""

from __future__ import annotations

from billing.events.vendor_responses.shapes import shape

CHAT = {
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
    "cached_input_tokens": "prompt_tokens_details.cached_tokens | cached_tokens",
    "cache_write_tokens": "prompt_tokens_details.cache_write_tokens | prompt_tokens_details.cache_creation_input_tokens",
    "reasoning_tokens": "completion_tokens_details.reasoning_tokens | reasoning_tokens",
    "input_audio_tokens": "prompt_tokens_details.audio_tokens",
    "image_tokens": "prompt_tokens_details.image_tokens",
    "input_video_tokens": "prompt_tokens_details.video_tokens",
    "cached_audio_tokens": "prompt_tokens_details.cached_tokens_details.audio_tokens",
    "cached_image_tokens": "prompt_tokens_details.cached_tokens_details.image_tokens",
    "output_audio_tokens": "completion_tokens_details.audio_tokens",
    "output_image_tokens": "completion_tokens_details.image_tokens",
    "searches": "searching_model",
}
CHAT_TOTALS = {"total_tokens": "prompt_tokens + completion_tokens"}
CHAT_IGNORED = """
    prompt_tokens_details.text_tokens prompt_tokens_details.cached_tokens_details.text_tokens
    completion_tokens_details.text_tokens completion_tokens_details.accepted_prediction_tokens
    prompt_tokens_details.cache_creation.ephemeral_5m_input_tokens completion_tokens_details.rejected_prediction_tokens
"""

MISTRAL = CHAT | {
    "cached_input_tokens": "num_cached_tokens | prompt_tokens_details.cached_tokens",
    "seconds": "prompt_audio_seconds",
    "searches": "connectors.web_search",
}

TOKENS = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cached_input_tokens": "input_tokens_details.cached_tokens | input_tokens_details.cache_read_input_tokens"
    " | prompt_tokens_details.cached_tokens",
    "cache_write_tokens": "input_tokens_details.cache_write_tokens | input_tokens_details.cache_creation_input_tokens",
    "reasoning_tokens": "output_tokens_details.reasoning_tokens",
    "input_audio_tokens": "input_tokens_details.audio_tokens",
    "image_tokens": "input_tokens_details.image_tokens | image_tokens",
    "cached_audio_tokens": "input_tokens_details.cached_tokens_details.audio_tokens",
    "cached_image_tokens": "input_tokens_details.cached_tokens_details.image_tokens",
    "output_audio_tokens": "output_tokens_details.audio_tokens",
    "output_image_tokens": "output_tokens_details.image_tokens",
    "seconds": "seconds / duration",
    "images": "images | generated_images",
    "searches": "tool_usage.web_search.num_requests / output.web_search_call",
    "sessions": "output.containers",
}
COUNTS_TOTALS = {"total_tokens": "input_tokens + output_tokens"}
COUNTS_IGNORED = """
    input_tokens_details.text_tokens input_tokens_details.cached_tokens_details.text_tokens
    input_tokens_details.cache_write_tokens_details.ttl_30m_tokens output_tokens_details.text_tokens
"""

XAI = {
    "cached_input_tokens": "prompt_tokens_details.cached_tokens | cached_prompt_text_tokens",
    "image_tokens": "prompt_tokens_details.image_tokens | prompt_image_tokens",
    "searches": "num_sources_used + server_side_tool_usage_details.web_search_calls"
    " + server_side_tool_usage_details.x_search_calls / output.web_search_call",
    "sessions": "server_side_tool_usage_details.code_interpreter_calls",
}
# The tools are counted one by one beside their number; MCP calls are free; context_details repeats the last round.
XAI_IGNORED = """
    num_server_side_tools_used server_side_tool_usage_details.mcp_calls context_details.* prompt_text_tokens
"""
XAI_OUTPUT = "completion_tokens + completion_tokens_details.reasoning_tokens + reasoning_tokens"
XAI_MARKS = ("num_sources_used", "cost_in_usd_ticks", "num_server_side_tools_used", "prompt_text_tokens")


def _with_each(marks: tuple[str, ...], name: str) -> str:
    return " ".join(f"{mark}&{name}" for mark in marks)


CHAT_SHAPES = (
    shape(
        "perplexity_chat",
        "citation_tokens num_search_queries prompt_tokens&cost.total_cost prompt_tokens&search_context_size",
        CHAT
        | {
            "input_tokens": "prompt_tokens + citation_tokens",
            "output_tokens": "completion_tokens + reasoning_tokens",
            "searches": "num_search_queries",
        },
        totals=CHAT_TOTALS,  # without citations and reasoning
        ignored=CHAT_IGNORED,
    ),
    shape(
        "openrouter_chat",
        "cost&prompt_tokens",
        CHAT | {"searches": "server_tool_use.web_search_requests | server_tool_use_details.web_search_requests"},
        totals=CHAT_TOTALS,
        ignored=CHAT_IGNORED + "server_tool_use_details.tool_calls_*",
    ),
    # xAI bills its reasoning beside the completion. The total tells, also for others that do the same.
    shape(
        "xai_chat",
        "reasoning_beside&prompt_tokens",
        CHAT | XAI | {"output_tokens": XAI_OUTPUT},
        totals={"total_tokens": f"prompt_tokens + {XAI_OUTPUT}"},
        ignored=CHAT_IGNORED + XAI_IGNORED,
    ),
    shape(
        "xai_chat",
        _with_each(XAI_MARKS, "prompt_tokens"),
        CHAT | XAI,
        totals=CHAT_TOTALS,
        ignored=CHAT_IGNORED + XAI_IGNORED,
    ),
    # LiteLLM's ModelResponse: prompt_tokens is the whole, also where Anthropic's cache fields stand beside it.
    shape(
        "litellm",
        "prompt_tokens&cache_read_input_tokens prompt_tokens&cache_creation_input_tokens"
        " prompt_tokens_details.cache_creation_tokens prompt_tokens_details.web_search_requests",
        CHAT
        | {
            "cached_input_tokens": "prompt_tokens_details.cached_tokens | cache_read_input_tokens | prompt_cache_hit_tokens",
            "cache_write_tokens": "prompt_tokens_details.cache_write_tokens | prompt_tokens_details.cache_creation_tokens"
            " | cache_creation_input_tokens",
            "cache_write_1h_tokens": "prompt_tokens_details.cache_creation_tokens_details.ephemeral_1h_input_tokens"
            " | cache_creation.ephemeral_1h_input_tokens",
            "searches": "server_tool_use.web_search_requests | prompt_tokens_details.web_search_requests",
            "web_fetches": "server_tool_use.web_fetch_requests",
        },
        totals=CHAT_TOTALS,
        ignored=CHAT_IGNORED
        + """
        prompt_tokens_details.cache_creation_tokens_details.ephemeral_5m_input_tokens
        cache_creation.ephemeral_5m_input_tokens prompt_cache_miss_tokens prompt_tokens_details.initial_prompt_tokens
        prompt_tokens_details.tool_use_tokens server_tool_use.tool_search_requests
        """,
    ),
    shape(
        "deepseek_chat",
        "prompt_cache_hit_tokens",
        CHAT | {"cached_input_tokens": "prompt_tokens_details.cached_tokens | prompt_cache_hit_tokens"},
        totals=CHAT_TOTALS | {"prompt_tokens": "prompt_cache_hit_tokens + prompt_cache_miss_tokens"},
        ignored=CHAT_IGNORED,
    ),
    # Of a system of several models, the usage is the sum of what each of them used.
    shape(
        "groq_chat",
        "queue_time total_time root:x_groq.usage",
        CHAT,
        totals=CHAT_TOTALS,
        ignored=CHAT_IGNORED + "usage_breakdown.*",
    ),
    shape(
        "mistral_chat",
        "prompt_audio_seconds",
        MISTRAL,
        ignored=CHAT_IGNORED + "total_tokens",  # with tokens of the audio, which is billed by the second
    ),
    shape(
        "mistral_chat",
        "num_cached_tokens connector_tokens connectors.web_search",
        MISTRAL,
        totals=CHAT_TOTALS,
        ignored=CHAT_IGNORED,
    ),
    shape("openai_chat", "completion_tokens", CHAT, totals=CHAT_TOTALS, ignored=CHAT_IGNORED),
    # Voyage's multimodal embeddings bill text tokens and pixels; the total is their sum in another unit.
    shape(
        "voyage_multimodal",
        "image_pixels video_pixels",
        {"input_tokens": "text_tokens", "megapixels": "image_pixels + video_pixels"},
        ignored="total_tokens",
    ),
    # Embeddings and reranking of OpenAI, vLLM, Voyage and Jina; Jina states the total alone.
    shape("embeddings", "prompt_tokens", CHAT, totals=CHAT_TOTALS, ignored=CHAT_IGNORED),
    shape("embeddings", "total_tokens&no_parts tokens&no_parts", {"input_tokens": "total_tokens | tokens"}),
)

TOKEN_SHAPES = (
    shape(
        "xai_responses",
        _with_each(XAI_MARKS, "input_tokens") + " cost_in_usd_ticks",
        TOKENS | {name: text for name, text in XAI.items() if name in ("searches", "sessions")},
        totals=COUNTS_TOTALS,
        ignored=COUNTS_IGNORED + XAI_IGNORED,
    ),
    shape(
        "perplexity_responses",
        "input_tokens&tool_calls_details.search_web.invocation input_tokens&tool_calls_details.fetch_url.invocation",
        TOKENS
        | {
            "searches": "tool_calls_details.search_web.invocation",
            "web_fetches": "tool_calls_details.fetch_url.invocation",
        },
        totals=COUNTS_TOTALS,
        ignored=COUNTS_IGNORED,
    ),
    # The output of gpt-image and of speech models is pictures or audio where no detail says otherwise.
    shape(
        "openai_images",
        "images&output_tokens kind:image_generation.completed kind:image_edit.completed",
        TOKENS | {"output_image_tokens": "output_tokens_details.image_tokens / output_tokens"},
        totals=COUNTS_TOTALS,
        ignored=COUNTS_IGNORED,
    ),
    shape(
        "openai_speech",
        "kind:speech.audio.done",
        TOKENS | {"output_audio_tokens": "output_tokens_details.audio_tokens / output_tokens"},
        totals=COUNTS_TOTALS,
        ignored=COUNTS_IGNORED,
    ),
    shape(
        "openai_transcription",
        "kind:tokens kind:duration seconds duration",
        TOKENS,
        totals=COUNTS_TOTALS,
        ignored=COUNTS_IGNORED,
    ),
    shape("openai_realtime", "kind:realtime.response", TOKENS, totals=COUNTS_TOTALS, ignored=COUNTS_IGNORED),
    shape(
        "openai_responses",
        "input_tokens output_tokens output.web_search_call output.containers tool_usage.web_search.num_requests",
        TOKENS,
        totals=COUNTS_TOTALS,
        ignored=COUNTS_IGNORED,
    ),
    shape("images", "images", {"images": "images"}),
)
