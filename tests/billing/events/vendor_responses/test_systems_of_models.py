"""Groq's systems of several models: the usage is the sum of what each of them used, and each has a price of its own."""

from __future__ import annotations

from typing import Any

from billing.events.vendor_responses.reading import Reading, read_pieces

TIMES = {"queue_time": 0.2, "prompt_time": 0.3, "completion_time": 1.0, "total_time": 1.3}


def tokens(prompt: int, completion: int) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion, **TIMES}


def read_system(*parts: tuple[str, int, int], tools: int = 0) -> Reading:
    """The reading of a system's answer, in which each of these models used so many tokens."""
    message = {"role": "assistant", "executed_tools": [{"index": index, "type": "search"} for index in range(tools)]}
    return read_pieces(
        [
            {
                "id": "g1",
                "object": "chat.completion",
                "model": "groq/compound",
                "choices": [{"index": 0, "message": message}],
                "usage": tokens(sum(part[1] for part in parts), sum(part[2] for part in parts)),
                "usage_breakdown": {"models": [{"model": part[0], "usage": tokens(*part[1:])} for part in parts]},
            }
        ]
    )


def test_the_only_model_of_a_system_is_the_one_that_served() -> None:
    reading = read_system(("llama-3.3-70b-versatile", 138, 4), ("llama-3.3-70b-versatile", 495, 106))
    assert (reading.reader, reading.usage) == ("groq_chat", {"input_tokens": 633, "output_tokens": 110})
    assert (reading.model, reading.unread) == ("llama-3.3-70b-versatile", ())
    assert "usage_breakdown.models[1].usage.prompt_tokens" in reading.ignored
    assert "usage.queue_time" in reading.ignored


def test_several_models_cannot_be_priced_as_one() -> None:
    reading = read_system(("llama-3.3-70b-versatile", 138, 4), ("openai/gpt-oss-120b", 495, 106))
    assert reading.usage == {"input_tokens": 633, "output_tokens": 110}
    assert (reading.model, reading.unread) == ("groq/compound", ("model",))


def test_tools_that_a_system_ran_are_billed_apart_and_unread() -> None:
    reading = read_system(("llama-3.3-70b-versatile", 138, 4), tools=2)
    assert (reading.unread, reading.unread_values) == (
        ("choices.message.executed_tools",),
        {"choices.message.executed_tools": 2},
    )


def test_an_answer_of_one_model_has_an_empty_breakdown() -> None:
    response = {"id": "g2", "model": "llama-3.3-70b-versatile", "usage": tokens(48, 8)}
    for breakdown in (None, {"models": None}):
        reading = read_pieces([response | {"usage_breakdown": breakdown}])
        assert (reading.model, reading.unread) == ("llama-3.3-70b-versatile", ())
