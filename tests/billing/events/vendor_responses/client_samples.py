"""Responses of client libraries."""

from __future__ import annotations

from tests.billing.events.vendor_responses.samples import sample

CLIENTS = [
    sample(
        "litellm",
        {
            "id": "l1",
            "model": "claude-opus-4-5",
            "usage": {
                "prompt_tokens": 98805,
                "completion_tokens": 5120,
                "total_tokens": 103925,
                "prompt_tokens_details": {
                    "cached_tokens": 66360,
                    "cache_creation_tokens": 32435,
                    "cache_creation_token_details": {
                        "ephemeral_5m_input_tokens": 400,
                        "ephemeral_1h_input_tokens": 32035,
                    },
                },
                "cache_read_input_tokens": 66360,
                "cache_creation_input_tokens": 32435,
                "server_tool_use": {"web_search_requests": 2, "tool_search_requests": 1},
            },
        },
        "litellm",
        {
            "input_tokens": 98805,
            "output_tokens": 5120,
            "cached_input_tokens": 66360,
            "cache_write_tokens": 32435,
            "cache_write_1h_tokens": 32035,
            "searches": 2,
        },
        ignored=(
            "usage.total_tokens",
            "usage.prompt_tokens_details.cache_creation_token_details.ephemeral_5m_input_tokens",
            "usage.server_tool_use.tool_search_requests",
        ),
    ),
    sample(
        "langchain",
        {
            "id": "run--1",
            "type": "ai",
            "response_metadata": {
                "model_name": "claude-sonnet-4-5",
                "service_tier": "standard",
                "usage": {"input_tokens": 200, "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1}},
            },
            "usage_metadata": {
                "input_tokens": 350,
                "output_tokens": 240,
                "total_tokens": 590,
                "input_token_details": {
                    "audio": 10,
                    "cache_read": 100,
                    "cache_creation": 0,
                    "ephemeral_5m_input_tokens": 20,
                    "ephemeral_1h_input_tokens": 30,
                },
                "output_token_details": {"audio": 11, "reasoning": 200},
            },
        },
        "langchain",
        {
            "input_tokens": 350,
            "output_tokens": 240,
            "cached_input_tokens": 100,
            "cache_write_tokens": 50,
            "cache_write_1h_tokens": 30,
            "input_audio_tokens": 10,
            "reasoning_tokens": 200,
            "output_audio_tokens": 11,
            "searches": 2,
            "web_fetches": 1,
        },
        variant={"service_tier": "standard"},
        model="claude-sonnet-4-5",
        ignored=("usage_metadata.total_tokens",),
    ),
    sample(
        "langchain without usage metadata",
        {
            "id": "run--2",
            "response_metadata": {
                "model_name": "kimi-k2",
                "token_usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11, "cached_tokens": 4},
            },
            "usage_metadata": None,
        },
        "openai_chat",
        {"input_tokens": 9, "output_tokens": 2, "cached_input_tokens": 4},
        model="kimi-k2",
        ignored=("response_metadata.token_usage.total_tokens",),
    ),
    sample(
        "langchain with a service tier",
        {
            "response_metadata": {"model_name": "gpt-5", "service_tier": "flex"},
            "usage_metadata": {
                "input_tokens": 35,
                "output_tokens": 24,
                "total_tokens": 59,
                "input_token_details": {"flex": 25, "flex_cache_read": 10},
                "output_token_details": {"flex": 20, "flex_reasoning": 4},
            },
        },
        "langchain",
        {"input_tokens": 35, "output_tokens": 24, "cached_input_tokens": 10, "reasoning_tokens": 4},
        variant={"service_tier": "flex"},
        model="gpt-5",
        ignored=(
            "usage_metadata.total_tokens",
            "usage_metadata.input_token_details.flex",
            "usage_metadata.output_token_details.flex",
        ),
    ),
    sample(
        "ai sdk 6",
        {
            "text": "Hi",
            "response": {"id": "resp_3", "modelId": "gpt-5"},
            "usage": {
                "inputTokens": 500,
                "inputTokenDetails": {"noCacheTokens": 300, "cacheReadTokens": 150, "cacheWriteTokens": 50},
                "outputTokens": 60,
                "outputTokenDetails": {"textTokens": 20, "reasoningTokens": 40},
                "totalTokens": 560,
                "reasoningTokens": 40,
                "cachedInputTokens": 150,
                "raw": {"input_tokens": 500, "output_tokens_details": {"reasoning_tokens": 40}},
            },
        },
        "ai_sdk",
        {
            "input_tokens": 500,
            "output_tokens": 60,
            "cached_input_tokens": 150,
            "cache_write_tokens": 50,
            "reasoning_tokens": 40,
        },
        model="gpt-5",
        response_id="resp_3",
        ignored=(
            "usage.totalTokens",
            "usage.inputTokenDetails.noCacheTokens",
            "usage.outputTokenDetails.textTokens",
            "usage.raw.input_tokens",
            "usage.raw.output_tokens_details.reasoning_tokens",
        ),
    ),
    sample(
        "ai sdk, provider interface",
        {
            "usage": {
                "inputTokens": {"total": 500, "noCache": 300, "cacheRead": 150, "cacheWrite": 50},
                "outputTokens": {"total": 60, "text": 20, "reasoning": 40},
            },
        },
        "ai_sdk",
        {
            "input_tokens": 500,
            "output_tokens": 60,
            "cached_input_tokens": 150,
            "cache_write_tokens": 50,
            "reasoning_tokens": 40,
        },
        ignored=("usage.inputTokens.noCache", "usage.outputTokens.text"),
    ),
    sample(
        "ai sdk 5 with claude",
        {
            "totalUsage": {"inputTokens": 4532, "outputTokens": 222, "totalTokens": 4754, "cachedInputTokens": 5439},
            "usage": {"inputTokens": 32, "outputTokens": 22, "totalTokens": 54},
            "providerMetadata": {"anthropic": {"cacheCreationInputTokens": 700}},
            "response": {"id": "msg_4", "modelId": "claude-sonnet-4-5"},
        },
        "ai_sdk",
        {"input_tokens": 4532, "output_tokens": 222, "cached_input_tokens": 5439, "cache_write_tokens": 700},
        model="claude-sonnet-4-5",
        response_id="msg_4",
        excludes_cached=True,
        ignored=("totalUsage.totalTokens",),
    ),
    sample(
        "ai sdk 5 with grok",
        {
            "usage": {
                "inputTokens": 555,
                "outputTokens": 190,
                "totalTokens": 1802,
                "reasoningTokens": 1057,
                "cachedInputTokens": 316,
            }
        },
        "ai_sdk",
        {"input_tokens": 555, "output_tokens": 1247, "cached_input_tokens": 316, "reasoning_tokens": 1057},
        ignored=("usage.totalTokens",),
    ),
]
