"""Responses of Anthropic's API."""

from __future__ import annotations

from tests.billing.events.vendor_responses.samples import sample

ANTHROPIC = [
    sample(
        "anthropic message",
        {
            "id": "msg_1",
            "type": "message",
            "model": "claude-opus-4-8",
            "content": [{"type": "text", "text": "Hi"}],
            "usage": {
                "input_tokens": 10,
                "cache_creation_input_tokens": 50,
                "cache_read_input_tokens": 900,
                "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30},
                "output_tokens": 40,
                "output_tokens_details": {"thinking_tokens": 25},
                "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 3, "code_execution_requests": 1},
                "service_tier": "standard",
                "speed": "fast",
                "inference_geo": "us",
            },
        },
        "anthropic_messages",
        {
            "input_tokens": 10,
            "output_tokens": 40,
            "cached_input_tokens": 900,
            "cache_write_tokens": 50,
            "cache_write_1h_tokens": 30,
            "reasoning_tokens": 25,
            "searches": 2,
            "web_fetches": 3,
        },
        variant={"service_tier": "standard", "speed": "fast", "inference_geo": "us"},
        excludes_cached=True,
        ignored=("usage.cache_creation.ephemeral_5m_input_tokens", "usage.server_tool_use.code_execution_requests"),
    ),
    sample(
        "anthropic message with iterations",
        {
            "id": "msg_2",
            "type": "message",
            "model": "claude-opus-4-8",
            "usage": {
                "input_tokens": 23000,
                "output_tokens": 1000,
                "cache_read_input_tokens": 70,
                "cache_creation_input_tokens": 0,
                "iterations": [
                    {
                        "type": "compaction",
                        "input_tokens": 180000,
                        "output_tokens": 3500,
                        "cache_creation_input_tokens": 9,
                        "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5},
                    },
                    {"type": "message", "model": "claude-opus-4-8", "input_tokens": 20000, "output_tokens": 900},
                    {
                        "type": "message",
                        "model": "claude-opus-4-8",
                        "input_tokens": 3000,
                        "output_tokens": 100,
                        "cache_read_input_tokens": 70,
                    },
                    {"type": "advisor_message", "model": "claude-fable-5", "input_tokens": 800, "output_tokens": 60},
                    {"type": "message", "model": "claude-fable-5", "input_tokens": 106, "output_tokens": 1},
                ],
            },
        },
        "anthropic_messages",
        {
            "input_tokens": 203000,
            "output_tokens": 4500,
            "cached_input_tokens": 70,
            "cache_write_tokens": 9,
            "cache_write_1h_tokens": 5,
        },
        excludes_cached=True,
        ignored=(
            "usage.iterations[0].cache_creation.ephemeral_5m_input_tokens",
            "usage.iterations[1].input_tokens",
            "usage.iterations[1].output_tokens",
            "usage.iterations[2].input_tokens",
            "usage.iterations[2].output_tokens",
            "usage.iterations[2].cache_read_input_tokens",
        ),
        unread=(
            "usage.iterations[3].input_tokens",
            "usage.iterations[3].output_tokens",
            "usage.iterations[4].input_tokens",
            "usage.iterations[4].output_tokens",
        ),
    ),
    sample(
        "anthropic batch line",
        {
            "custom_id": "first",
            "result": {
                "type": "succeeded",
                "message": {
                    "id": "msg_3",
                    "type": "message",
                    "model": "claude-sonnet-4-5",
                    "usage": {"input_tokens": 11, "output_tokens": 36, "service_tier": "batch"},
                },
            },
        },
        "anthropic_messages",
        {"input_tokens": 11, "output_tokens": 36},
        variant={"service_tier": "batch"},
        model="claude-sonnet-4-5",
        response_id="msg_3",
        excludes_cached=True,
    ),
]
