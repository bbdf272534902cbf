"""Responses of Google and Amazon Bedrock, as JSON and with the names of their Python clients."""

from __future__ import annotations

from enum import Enum

from tests.billing.events.vendor_responses.samples import sample


class Modality(Enum):
    TEXT = "TEXT"
    AUDIO = "AUDIO"


GOOGLE = [
    sample(
        "gemini",
        {
            "responseId": "r1",
            "modelVersion": "gemini-3-pro",
            "candidates": [
                {
                    "finishReason": "STOP",
                    "groundingMetadata": {
                        "webSearchQueries": ["", "one", "two", "one"],
                        "imageSearchQueries": ["three"],
                        "groundingChunks": [{"web": {"uri": "x"}}],
                    },
                }
            ],
            "usageMetadata": {
                "promptTokenCount": 1000,
                "cachedContentTokenCount": 400,
                "candidatesTokenCount": 100,
                "thoughtsTokenCount": 250,
                "toolUsePromptTokenCount": 60,
                "totalTokenCount": 1410,
                "trafficType": "ON_DEMAND_PRIORITY",
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 600},
                    {"modality": "AUDIO", "tokenCount": 200},
                    {"modality": "IMAGE", "tokenCount": 90},
                    {"modality": "VIDEO", "tokenCount": 70},
                    {"modality": "DOCUMENT", "tokenCount": 40},
                ],
                "toolUsePromptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 50},
                    {"modality": "IMAGE", "tokenCount": 10},
                ],
                "cacheTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 320},
                    {"modality": "AUDIO", "tokenCount": 50},
                    {"modality": "IMAGE", "tokenCount": 30},
                ],
                "candidatesTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 60},
                    {"modality": "AUDIO", "tokenCount": 15},
                    {"modality": "IMAGE", "tokenCount": 25},
                ],
            },
        },
        "gemini",
        {
            "input_tokens": 1060,
            "output_tokens": 350,
            "reasoning_tokens": 250,
            "cached_input_tokens": 400,
            "input_audio_tokens": 200,
            "image_tokens": 100,
            "input_video_tokens": 70,
            "cached_audio_tokens": 50,
            "cached_image_tokens": 30,
            "output_audio_tokens": 15,
            "output_image_tokens": 25,
            "searches": 3,
        },
        variant={"service_tier": "priority"},
        model="gemini-3-pro",
        response_id="r1",
        ignored=(
            "usageMetadata.totalTokenCount",
            "usageMetadata.promptTokensDetails[0].tokenCount",
            "usageMetadata.promptTokensDetails[4].tokenCount",
            "usageMetadata.toolUsePromptTokensDetails[0].tokenCount",
            "usageMetadata.cacheTokensDetails[0].tokenCount",
            "usageMetadata.candidatesTokensDetails[0].tokenCount",
        ),
    ),
    sample(
        "gemini before version 3, in snake case",
        {
            "response_id": "r2",
            "model_version": "gemini-2.5-flash",
            "candidates": [{"grounding_metadata": {"web_search_queries": ["one", "two"]}}],
            "usage_metadata": {
                "prompt_token_count": 20,
                "candidates_token_count": 5,
                "thoughts_token_count": None,
                "total_token_count": 25,
                "prompt_tokens_details": [{"modality": Modality.AUDIO, "token_count": 15}],
                "candidates_tokens_details": [{"modality": Modality.TEXT, "token_count": 5}],
            },
        },
        "gemini",
        {"input_tokens": 20, "output_tokens": 5, "input_audio_tokens": 15, "searches": 1},
        model="gemini-2.5-flash",
        response_id="r2",
        ignored=("usage_metadata.total_token_count", "usage_metadata.candidates_tokens_details[0].token_count"),
    ),
    sample(
        "gemini with grounding that no unit counts",
        {
            "modelVersion": "gemini-2.5-pro",
            "candidates": [
                {"groundingMetadata": {"groundingChunks": [{"maps": {"uri": "x"}}], "retrievalQueries": ["a", "b"]}}
            ],
            "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7},
        },
        "gemini",
        {"input_tokens": 5, "output_tokens": 2},
        model="gemini-2.5-pro",
        ignored=("usageMetadata.totalTokenCount",),
        unread=("groundingMetadata.groundingChunks.maps", "groundingMetadata.retrievalQueries"),
    ),
    sample(
        "gemini live",
        {
            "usage_metadata": {
                "prompt_token_count": 3,
                "response_token_count": 4,
                "thoughts_token_count": None,
                "total_token_count": 7,
                "response_tokens_details": [{"modality": "AUDIO", "token_count": 4}],
            }
        },
        "gemini",
        {"input_tokens": 3, "output_tokens": 4, "output_audio_tokens": 4},
        ignored=("usage_metadata.total_token_count",),
    ),
    sample(
        "vertex batch line",
        {
            "status": "",
            "request": {"contents": []},
            "response": {
                "responseId": "r3",
                "modelVersion": "gemini-2.5-flash@default",
                "usageMetadata": {
                    "promptTokenCount": 6,
                    "candidatesTokenCount": 1,
                    "totalTokenCount": 7,
                    "trafficType": "ON_DEMAND",
                },
            },
        },
        "gemini",
        {"input_tokens": 6, "output_tokens": 1},
        variant={"service_tier": "batch"},
        model="gemini-2.5-flash@default",
        response_id="r3",
        ignored=("usageMetadata.totalTokenCount",),
    ),
    sample(
        "gemini batch line",
        {
            "key": "request-1",
            "response": {
                "modelVersion": "gemini-2.5-flash",
                "usageMetadata": {"promptTokenCount": 6, "candidatesTokenCount": 1, "totalTokenCount": 7},
            },
        },
        "gemini",
        {"input_tokens": 6, "output_tokens": 1},
        variant={"service_tier": "batch"},
        model="gemini-2.5-flash",
        response_id="request-1",
        ignored=("usageMetadata.totalTokenCount",),
    ),
    sample("imagen", {"generated_images": [{"image": {}}, {"image": {}}]}, "images", {"images": 2}),
    sample("imagen as JSON", {"predictions": [{"bytesBase64Encoded": "aGk="}]}, "images", {"images": 1}),
    sample(
        "google embeddings",
        {
            "embeddings": [{"values": [0.1], "statistics": {"tokenCount": 4.0}}, {"statistics": {"tokenCount": 3}}],
            "metadata": {"billableCharacterCount": 22},
        },
        "google_embeddings",
        {"input_tokens": 7, "characters": 22},
    ),
]

BEDROCK = [
    sample(
        "bedrock converse",
        {
            "ResponseMetadata": {"RequestId": "b1", "HTTPStatusCode": 200, "RetryAttempts": 0},
            "output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}},
            "stopReason": "end_turn",
            "usage": {
                "inputTokens": 12,
                "outputTokens": 30,
                "totalTokens": 9042,
                "cacheReadInputTokens": 4000,
                "cacheWriteInputTokens": 5000,
                "cacheDetails": [{"ttl": "1h", "inputTokens": 3000}, {"ttl": "5m", "inputTokens": 2000}],
            },
            "metrics": {"latencyMs": 381},
            "serviceTier": {"type": "flex"},
            "performanceConfig": {"latency": "optimized"},
        },
        "bedrock",
        {
            "input_tokens": 12,
            "output_tokens": 30,
            "cached_input_tokens": 4000,
            "cache_write_tokens": 5000,
            "cache_write_1h_tokens": 3000,
        },
        variant={"service_tier": "flex", "speed": "optimized"},
        response_id="b1",
        excludes_cached=True,
        ignored=("usage.totalTokens", "usage.cacheDetails[1].inputTokens", "metrics.latencyMs"),
    ),
    sample(
        "bedrock converse stream",
        {
            "metadata": {
                "usage": {"inputTokens": 12, "outputTokens": 30, "totalTokens": 42},
                "metrics": {"latencyMs": 381},
            }
        },
        "bedrock",
        {"input_tokens": 12, "output_tokens": 30},
        excludes_cached=True,
        ignored=("usage.totalTokens", "metrics.latencyMs"),
    ),
    sample(
        "bedrock converse with a cache that is only read",
        {"$metadata": {"requestId": "b2"}, "usage": {"inputTokens": 1, "outputTokens": 2, "cacheReadInputTokens": 3}},
        "bedrock",
        {"input_tokens": 1, "output_tokens": 2, "cached_input_tokens": 3},
        response_id="b2",
        excludes_cached=True,
    ),
    sample(
        "bedrock nova",
        {
            "output": {"message": {}},
            "usage": {
                "inputTokens": 12,
                "outputTokens": 30,
                "totalTokens": 42,
                "cacheReadInputTokenCount": 7,
                "cacheWriteInputTokenCount": 8,
            },
        },
        "bedrock",
        {"input_tokens": 12, "output_tokens": 30, "cached_input_tokens": 7, "cache_write_tokens": 8},
        excludes_cached=True,
        ignored=("usage.totalTokens",),
    ),
    sample(
        "bedrock invocation metrics",
        {
            "completion": "Hi",
            "amazon-bedrock-invocationMetrics": {
                "inputTokenCount": 8,
                "outputTokenCount": 4,
                "cacheReadInputTokenCount": 3,
                "cacheWriteInputTokenCount": 2,
                "invocationLatency": 500,
                "firstByteLatency": 300,
            },
        },
        "bedrock",
        {"input_tokens": 8, "output_tokens": 4, "cached_input_tokens": 3, "cache_write_tokens": 2},
        excludes_cached=True,
        ignored=(
            "amazon-bedrock-invocationMetrics.invocationLatency",
            "amazon-bedrock-invocationMetrics.firstByteLatency",
        ),
    ),
    sample(
        "bedrock batch line of claude",
        {
            "recordId": "CALL0000001",
            "modelInput": {"messages": []},
            "modelOutput": {
                "id": "msg_bdrk_1",
                "type": "message",
                "model": "claude-3-haiku-20240307",
                "usage": {"input_tokens": 9, "output_tokens": 3},
            },
        },
        "anthropic_messages",
        {"input_tokens": 9, "output_tokens": 3},
        variant={"service_tier": "batch"},
        model="claude-3-haiku-20240307",
        response_id="msg_bdrk_1",
        excludes_cached=True,
    ),
    sample(
        "bedrock llama",
        {"generation": "Hi", "prompt_token_count": 25, "generation_token_count": 2, "stop_reason": "stop"},
        "bedrock_llama",
        {"input_tokens": 25, "output_tokens": 2},
    ),
    sample(
        "bedrock titan",
        {"inputTextTokenCount": 5, "results": [{"tokenCount": 30, "outputText": "Hi"}, {"tokenCount": 2}]},
        "bedrock_titan",
        {"input_tokens": 5, "output_tokens": 32},
    ),
]
