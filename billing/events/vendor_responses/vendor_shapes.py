"""Shapes of Anthropic, Google, Amazon Bedrock, Cohere, Mistral OCR, Ollama, Alibaba's media and IBM watsonx. Pure.

Sources: Anthropic "Messages" (Usage), "Compaction", "Prompt caching", "Fast mode" and "Pricing" (web fetches cost tokens
alone; code execution is billed by container hours, which no response states); Google `UsageMetadata` of generateContent,
Live API and embedContent, and `Usage` of interactions; Bedrock `TokenUsage`, `CacheDetail`, and bodies and headers of
InvokeModel; Cohere `ApiMeta` and `Usage`; Mistral "OCR" (usage_info); Ollama "Generate a chat completion";
Alibaba Model Studio "Wan"; watsonx "Text generation".
"""

from __future__ import annotations

from billing.events.vendor_responses.shapes import shape

# The top-level counts sum up the iterations but compaction. What another model did stands in its own entries, unread.
MESSAGES, COMPACTION = ("iterations:message", "iterations:fallback_message"), "iterations:compaction"
WRITTEN_5M, WRITTEN_1H = "cache_creation.ephemeral_5m_input_tokens", "cache_creation.ephemeral_1h_input_tokens"
COUNTS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


def _with_compaction(name: str) -> str:
    return f"{name} + {COMPACTION}.{name}"


def _messages(name: str) -> str:
    return " + ".join(f"{entry}.{name}" for entry in MESSAGES)


def _modality(modality: str, *lists: str) -> str:
    return " + ".join(f"{name}:{modality}.token_count" for name in lists)


def _in_modality(modality: str, *lists: str) -> str:
    return " + ".join(f"{name}:{modality}.tokens" for name in lists)


GOOGLE_INPUTS = ("prompt_tokens_details", "tool_use_prompt_tokens_details")
GOOGLE_OUTPUTS = ("candidates_tokens_details", "response_tokens_details")

GOOGLE = shape(
    "gemini",
    """
    prompt_token_count&root:usage_metadata candidates_token_count response_token_count total_token_count
    thoughts_token_count cached_content_token_count tool_use_prompt_token_count grounding.queries
    """,
    {
        "input_tokens": "prompt_token_count + tool_use_prompt_token_count",
        "output_tokens": "candidates_token_count + response_token_count + thoughts_token_count",
        "reasoning_tokens": "thoughts_token_count",
        "cached_input_tokens": "cached_content_token_count",
        "input_audio_tokens": _modality("AUDIO", *GOOGLE_INPUTS),
        "image_tokens": _modality("IMAGE", *GOOGLE_INPUTS),
        "input_video_tokens": _modality("VIDEO", *GOOGLE_INPUTS),
        "cached_audio_tokens": _modality("AUDIO", "cache_tokens_details"),
        "cached_image_tokens": _modality("IMAGE", "cache_tokens_details"),
        "output_audio_tokens": _modality("AUDIO", *GOOGLE_OUTPUTS),
        "output_image_tokens": _modality("IMAGE", *GOOGLE_OUTPUTS),
        "searches": "grounding.queries",
        "images": "images",
    },
    totals={
        "total_token_count": "prompt_token_count + tool_use_prompt_token_count + candidates_token_count"
        " + response_token_count + thoughts_token_count"
    },
    # Cached video has no unit of its own: it is a part of the cached tokens.
    ignored="*_details:TEXT.token_count *_details:DOCUMENT.token_count cache_tokens_details:VIDEO.token_count",
)

ANTHROPIC = shape(
    "anthropic_messages",
    """
    cache_creation_input_tokens cache_read_input_tokens cache_creation.ephemeral_5m_input_tokens
    cache_creation.ephemeral_1h_input_tokens server_tool_use.web_search_requests kind:message kind:message_delta
    iterations:message.input_tokens iterations:compaction.input_tokens
    """,
    {
        "input_tokens": _with_compaction("input_tokens"),
        "output_tokens": _with_compaction("output_tokens"),
        "cached_input_tokens": _with_compaction("cache_read_input_tokens"),
        "cache_write_tokens": _with_compaction("cache_creation_input_tokens") + f" / {WRITTEN_5M} + {WRITTEN_1H}",
        "cache_write_1h_tokens": f"{_messages(WRITTEN_1H)} + {COMPACTION}.{WRITTEN_1H} / {WRITTEN_1H}",
        "reasoning_tokens": "output_tokens_details.thinking_tokens",
        "searches": "server_tool_use.web_search_requests",
        "web_fetches": "server_tool_use.web_fetch_requests",
    },
    totals={name: _messages(name) for name in COUNTS},
    ignored="""
    *cache_creation.ephemeral_5m_input_tokens server_tool_use.code_execution_requests
    server_tool_use.tool_search_requests
    """,
    excludes_cached=True,
)

BEDROCK = shape(
    "bedrock",
    """
    cache_write_input_tokens cache_read_input_token_count cache_write_input_token_count input_token_count
    output_token_count metrics.latency_ms&input_tokens cache_read_input_tokens&total_tokens
    cache_read_input_tokens&camel
    """,
    {
        "input_tokens": "input_tokens | input_token_count",
        "output_tokens": "output_tokens | output_token_count",
        "cached_input_tokens": "cache_read_input_tokens | cache_read_input_token_count",
        "cache_write_tokens": "cache_write_input_tokens | cache_write_input_token_count",
        "cache_write_1h_tokens": "cache_details:1h.input_tokens",
    },
    totals={
        "total_tokens": "input_tokens + output_tokens + cache_read_input_tokens + cache_write_input_tokens"
        " | input_tokens + output_tokens + cache_read_input_token_count + cache_write_input_token_count"
        " | input_tokens + output_tokens"
    },
    ignored="cache_details:5m.input_tokens",
    excludes_cached=True,
)

BEDROCK_NATIVE = (
    shape(
        "bedrock_llama",
        "generation_token_count",
        {"input_tokens": "prompt_token_count", "output_tokens": "generation_token_count"},
    ),
    shape(
        "bedrock_titan",
        "input_text_token_count",
        {
            "input_tokens": "input_text_token_count",
            "output_tokens": "total_output_text_token_count | results.token_count",
        },
    ),
)

OLLAMA = shape(
    "ollama", "prompt_eval_count eval_count", {"input_tokens": "prompt_eval_count", "output_tokens": "eval_count"}
)

COHERE_UNITS = {
    "searches": "billed_units.search_units",
    "images": "billed_units.images",
    "pages": "billed_units.pages",
}
COHERE = (
    # What is billed differs from what was processed, where both are stated; cached tokens are a part of what was processed.
    shape(
        "cohere",
        "billed_units.input_tokens billed_units.output_tokens billed_units.search_units billed_units.images billed_units.pages",
        COHERE_UNITS | {"input_tokens": "billed_units.input_tokens", "output_tokens": "billed_units.output_tokens"},
        ignored="tokens.input_tokens tokens.output_tokens billed_units.text_tokens cached_tokens",
    ),
    shape(
        "cohere",
        "tokens.input_tokens tokens.output_tokens",
        COHERE_UNITS
        | {
            "input_tokens": "tokens.input_tokens",
            "output_tokens": "tokens.output_tokens",
            "cached_input_tokens": "cached_tokens",
        },
    ),
)

MISTRAL_OCR = shape("mistral_ocr", "pages_processed", {"pages": "pages_processed"}, ignored="doc_size_bytes")

MODALITIES = ("input_tokens_by_modality", "tool_use_tokens_by_modality")

GOOGLE_INTERACTIONS = shape(
    "gemini_interactions",
    "total_input_tokens total_output_tokens",
    {
        "input_tokens": "total_input_tokens + total_tool_use_tokens",
        "output_tokens": "total_output_tokens + total_thought_tokens",
        "reasoning_tokens": "total_thought_tokens",
        "cached_input_tokens": "total_cached_tokens",
        "input_audio_tokens": _in_modality("audio", *MODALITIES),
        "image_tokens": _in_modality("image", *MODALITIES),
        "input_video_tokens": _in_modality("video", *MODALITIES),
        "cached_audio_tokens": _in_modality("audio", "cached_tokens_by_modality"),
        "cached_image_tokens": _in_modality("image", "cached_tokens_by_modality"),
        "output_audio_tokens": _in_modality("audio", "output_tokens_by_modality"),
        "output_image_tokens": _in_modality("image", "output_tokens_by_modality"),
        "searches": "grounding_tool_count:google_search.count",
    },
    totals={"total_tokens": "total_input_tokens + total_tool_use_tokens + total_output_tokens + total_thought_tokens"},
    ignored="*_by_modality:text.tokens *_by_modality:document.tokens cached_tokens_by_modality:video.tokens",
)

ALIBABA_MEDIA = shape(
    "alibaba_media",
    "video_duration image_count",
    {"seconds": "video_duration", "images": "image_count"},
    ignored="video_count",
)

WATSONX = shape(
    "watsonx",
    "results.generated_token_count",
    {"input_tokens": "results.input_token_count", "output_tokens": "results.generated_token_count"},
)

GOOGLE_EMBEDDINGS = shape(
    "google_embeddings",
    "embeddings.token_count metadata.billable_character_count",
    {"input_tokens": "embeddings.token_count", "characters": "metadata.billable_character_count"},
)
