"""Responses about pictures, videos, speech and searches, as vendors document them."""

from __future__ import annotations

from tests.billing.events.vendor_responses.samples import TOTAL, sample

MEDIA = [
    sample(
        "alibaba compatible chat with a written cache",
        {
            "id": "al1",
            "object": "chat.completion",
            "model": "qwen3-coder-plus",
            "usage": {
                "prompt_tokens": 3019,
                "completion_tokens": 104,
                "total_tokens": 3123,
                "prompt_tokens_details": {
                    "cached_tokens": 0,
                    "cache_creation": {"ephemeral_5m_input_tokens": 2048},
                    "cache_creation_input_tokens": 2048,
                    "cache_type": "ephemeral",
                    "text_tokens": 3019,
                },
            },
        },
        "openai_chat",
        {"input_tokens": 3019, "output_tokens": 104, "cached_input_tokens": 0, "cache_write_tokens": 2048},
        ignored=(
            "usage.total_tokens",
            "usage.prompt_tokens_details.cache_creation.ephemeral_5m_input_tokens",
            "usage.prompt_tokens_details.text_tokens",
        ),
    ),
    sample(
        "alibaba native text",
        {
            "request_id": "al2",
            "output": {"finish_reason": "stop", "text": "Hi"},
            "usage": {
                "input_tokens": 22,
                "output_tokens": 17,
                "total_tokens": 39,
                "prompt_tokens_details": {"cached_tokens": 4},
            },
        },
        "openai_responses",
        {"input_tokens": 22, "output_tokens": 17, "cached_input_tokens": 4},
        ignored=TOTAL,
    ),
    sample(
        "alibaba native picture input",
        {
            "request_id": "al3",
            "output": {},
            "usage": {
                "input_tokens": 1271,
                "output_tokens": 55,
                "image_tokens": 1247,
                "total_tokens": 1326,
                "input_tokens_details": {"image_tokens": 1247, "text_tokens": 24},
                "output_tokens_details": {"text_tokens": 55},
            },
        },
        "openai_responses",
        {"input_tokens": 1271, "output_tokens": 55, "image_tokens": 1247},
        ignored=(
            "usage.total_tokens",
            "usage.input_tokens_details.text_tokens",
            "usage.output_tokens_details.text_tokens",
        ),
    ),
    sample(
        "alibaba video",
        {
            "request_id": "al4",
            "output": {"task_status": "SUCCEEDED", "video_url": "https://x"},
            "usage": {"video_duration": 5, "video_ratio": "1280*720", "video_count": 1},
        },
        "alibaba_media",
        {"seconds": "5.000000"},
        ignored=("usage.video_count",),
    ),
    sample(
        "alibaba picture",
        {"request_id": "al5", "output": {"task_status": "SUCCEEDED"}, "usage": {"image_count": 2}},
        "alibaba_media",
        {"images": 2},
    ),
    sample(
        "volcengine pictures",
        {
            "model": "doubao-seedream-4-0-250828",
            "created": 1757323224,
            "data": [{"url": "https://x", "size": "1760x2368"}],
            "usage": {"generated_images": 1, "output_tokens": 16280, "total_tokens": 16280},
        },
        "openai_images",
        {"output_tokens": 16280, "output_image_tokens": 16280, "images": 1},
        ignored=TOTAL,
    ),
    sample(
        "volcengine video",
        {
            "id": "cgt-1",
            "model": "doubao-seedance-1-0-pro-250528",
            "status": "succeeded",
            "usage": {"completion_tokens": 246840, "total_tokens": 246840},
        },
        "openai_chat",
        {"output_tokens": 246840},
        ignored=TOTAL,
    ),
    sample(
        "openai picture stream",
        {
            "type": "image_generation.completed",
            "b64_json": "aGk=",
            "size": "1024x1024",
            "quality": "high",
            "usage": {
                "total_tokens": 100,
                "input_tokens": 50,
                "output_tokens": 50,
                "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
            },
        },
        "openai_images",
        {"input_tokens": 50, "output_tokens": 50, "image_tokens": 40, "output_image_tokens": 50, "images": 1},
        variant={"resolution": "1024x1024", "quality": "high"},
        ignored=("usage.total_tokens", "usage.input_tokens_details.text_tokens"),
    ),
    sample(
        "mistral conversation",
        {
            "object": "conversation.response",
            "conversation_id": "conv_1",
            "outputs": [],
            "usage": {
                "prompt_tokens": 188,
                "completion_tokens": 55,
                "total_tokens": 7355,
                "connector_tokens": 7112,
                "connectors": {"web_search": 1},
            },
        },
        "mistral_chat",
        {"input_tokens": 188, "output_tokens": 55, "searches": 1},
        unread=("usage.total_tokens", "usage.connector_tokens"),
    ),
    sample(
        "mistral transcription",
        {
            "model": "voxtral-mini-2507",
            "text": "Hi",
            "language": "en",
            "segments": [],
            "usage": {"prompt_audio_seconds": 203, "prompt_tokens": 4, "total_tokens": 3264, "completion_tokens": 635},
        },
        "mistral_chat",
        {"input_tokens": 4, "output_tokens": 635, "seconds": "203.000000"},
        ignored=TOTAL,
    ),
    sample(
        "groq transcription",
        {"text": "Hi", "x_groq": {"id": "req_1"}, "duration": 12.5},
        "openai_transcription",
        {"seconds": "12.500000"},
    ),
]
