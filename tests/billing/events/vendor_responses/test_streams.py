"""Pieces of one stream replace each other; several responses add up."""

from __future__ import annotations

from typing import Any

import pytest

from billing.events.vendor_responses import reading
from billing.events.vendor_responses.reading import Reader, Reading, read_pieces


def chat(response_id: str | None, tokens: int, **fields: Any) -> dict[str, Any]:
    response = {
        "object": "chat.completion",
        "model": "gpt-4o",
        "usage": {"prompt_tokens": tokens, "completion_tokens": 1},
    }
    return {**response, **({"id": response_id} if response_id else {}), **fields}


def facts(result: Reading) -> tuple[dict[str, int | str], str, str]:
    return result.usage, result.model, result.response_id


def test_no_piece_at_all() -> None:
    assert read_pieces([]) == Reading({}, {}, "", "", None, False, "", (), ())


def test_an_openai_stream_has_its_usage_at_the_end() -> None:
    chunk: dict[str, Any] = {
        "id": "c1",
        "object": "chat.completion.chunk",
        "model": "gpt-4o",
        "choices": [],
        "usage": None,
    }
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    first = {**chunk, "id": "", "model": ""}
    assert facts(read_pieces([first, chunk, chunk, {**chunk, "usage": usage}])) == (
        {"input_tokens": 3, "output_tokens": 2},
        "gpt-4o",
        "c1",
    )


def test_a_stream_that_ends_early_has_a_model_and_no_usage() -> None:
    chunk: dict[str, Any] = {
        "id": "c1",
        "object": "chat.completion.chunk",
        "model": "gpt-4o",
        "choices": [],
        "usage": None,
    }
    assert read_pieces([chunk, chunk]) == Reading({}, {}, "gpt-4o", "c1", None, False, "", (), ())


def test_an_openai_response_stream() -> None:
    response = {"id": "resp_1", "object": "response", "model": "gpt-5", "service_tier": "auto", "output": []}
    done = {**response, "service_tier": "default", "usage": {"input_tokens": 9, "output_tokens": 4}}
    events = [
        {"type": "response.created", "response": {**response, "usage": None}},
        {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "Hi"},
        {"type": "response.completed", "response": done},
    ]
    result = read_pieces(events)
    assert facts(result) == ({"input_tokens": 9, "output_tokens": 4}, "gpt-5", "resp_1")
    assert (result.variant, result.unread) == ({"service_tier": "default"}, ())


def test_an_anthropic_stream_states_the_input_first_and_the_output_last() -> None:
    usage = {"input_tokens": 10, "cache_read_input_tokens": 900, "cache_creation_input_tokens": 0, "output_tokens": 1}
    start = {"id": "msg_1", "type": "message", "model": "claude-sonnet-4-5", "usage": usage}
    delta = {"type": "message_delta", "usage": {"output_tokens": 40, "output_tokens_details": {"thinking_tokens": 9}}}
    events = [
        {"type": "message_start", "message": start},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "message_delta", "usage": {"output_tokens": 20}},
        delta,
        {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 10, "outputTokenCount": 40}},
    ]
    result = read_pieces(events)
    assert facts(result) == (
        {
            "input_tokens": 10,
            "output_tokens": 40,
            "cached_input_tokens": 900,
            "cache_write_tokens": 0,
            "reasoning_tokens": 9,
        },
        "claude-sonnet-4-5",
        "msg_1",
    )
    assert (result.reader, result.excludes_cached, result.unread) == ("anthropic_messages", True, ())


def test_a_gemini_stream_counts_cumulatively_and_searches_once_per_query() -> None:
    def chunk(output: int, *queries: str) -> dict[str, Any]:
        return {
            "responseId": "r1",
            "modelVersion": "gemini-3-flash",
            "candidates": [{"groundingMetadata": {"webSearchQueries": list(queries)}}],
            "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": output, "totalTokenCount": 5 + output},
        }

    result = read_pieces([chunk(1), chunk(4, "one"), chunk(9, "one", "two"), chunk(12)])
    assert result.usage == {"input_tokens": 5, "output_tokens": 12, "searches": 2}
    assert result.unread == ()


def turn(prompt: int, output: int) -> dict[str, Any]:
    return {
        "usageMetadata": {
            "promptTokenCount": prompt,
            "responseTokenCount": output,
            "totalTokenCount": prompt + output,
            "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": output}],
        }
    }


END_OF_TURN = {"serverContent": {"turnComplete": True}}


@pytest.mark.parametrize(
    "pieces",
    [
        [turn(143, 19), END_OF_TURN, turn(181, 24), END_OF_TURN, turn(224, 24), END_OF_TURN],
        [END_OF_TURN, turn(143, 19), END_OF_TURN, turn(181, 24), END_OF_TURN, turn(224, 24)],
        [turn(143, 19) | END_OF_TURN, turn(181, 24) | END_OF_TURN, turn(224, 24) | END_OF_TURN],
    ],
    ids=["counts before the end of a turn", "after it", "with it"],
)
def test_turns_of_a_live_session_add_up(pieces: list[dict[str, Any]]) -> None:
    result = read_pieces(pieces)
    assert (result.usage, result.unread) == (
        {"input_tokens": 548, "output_tokens": 67, "output_audio_tokens": 67},
        (),
    )


def test_counts_of_a_live_session_without_an_end_of_turn_between_them_are_not_told_apart() -> None:
    assert read_pieces([turn(5, 2)]).unread == ()
    result = read_pieces([turn(5, 2), turn(9, 2), END_OF_TURN])
    assert (result.usage["input_tokens"], result.unread) == (9, ("usageMetadata",))


@pytest.mark.parametrize(
    "place",
    [
        lambda items: {
            "name": "batches/1",
            "done": True,
            "response": {"inlinedResponses": {"inlinedResponses": items}},
        },
        lambda items: {"name": "batches/1", "metadata": {"output": {"inlinedResponses": {"inlinedResponses": items}}}},
        lambda items: {"name": "batches/1", "dest": {"inlined_responses": items}},
        lambda items: {"inlinedResponses": items},
    ],
)
def test_the_inlined_responses_of_a_gemini_batch_add_up(place: Any) -> None:
    def answer(prompt: int, output: int) -> dict[str, Any]:
        usage = {"promptTokenCount": prompt, "candidatesTokenCount": output, "totalTokenCount": prompt + output}
        return {
            "metadata": {"key": "a"},
            "response": {"modelVersion": "gemini-2.5-flash", "candidates": [], "usageMetadata": usage},
        }

    failed = {"metadata": {"key": "b"}, "error": {"code": 3, "message": "x"}}
    result = read_pieces([place([answer(6, 1), failed, answer(8, 2), answer(8, 2)])])
    assert facts(result) == ({"input_tokens": 22, "output_tokens": 5}, "gemini-2.5-flash", "")
    assert (result.variant, result.unread) == ({"service_tier": "batch"}, ())


def test_a_headers_count_that_is_none_is_unread() -> None:
    headers = {"x-amzn-bedrock-input-token-count": "many", "x-amzn-bedrock-output-token-count": "3"}
    result = read_pieces([{"ResponseMetadata": {"HTTPHeaders": headers}, "body": {}}])
    assert (result.usage, result.unread) == (
        {"output_tokens": 3},
        ("ResponseMetadata.HTTPHeaders.x-amzn-bedrock-input-token-count",),
    )


def test_queries_of_an_unknown_gemini_are_counted_once_and_unread() -> None:
    response = {
        "candidates": [{"groundingMetadata": {"webSearchQueries": ["one", "two"]}}],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2},
    }
    result = read_pieces([response])
    assert (result.usage["searches"], result.unread) == (1, ("groundingMetadata.webSearchQueries",))


def test_a_cohere_stream() -> None:
    events = [
        {"type": "message-start", "id": "c1", "delta": {"message": {"role": "assistant"}}},
        {"type": "message-end", "delta": {"usage": {"billed_units": {"input_tokens": 3, "output_tokens": 2}}}},
    ]
    assert facts(read_pieces(events)) == ({"input_tokens": 3, "output_tokens": 2}, "", "c1")


def test_bedrock_streams_end_with_their_metadata() -> None:
    usage = {"inputTokens": 12, "outputTokens": 30, "totalTokens": 42}
    end = {"metadata": {"usage": usage, "metrics": {"latencyMs": 381}}}
    events = [{"messageStart": {"role": "assistant"}}, {"contentBlockDelta": {"delta": {"text": "Hi"}}}, end]
    assert read_pieces(events).usage == {"input_tokens": 12, "output_tokens": 30}
    assert read_pieces([*events, *events]).usage == {"input_tokens": 24, "output_tokens": 60}


def test_an_ollama_stream_ends_with_its_counts() -> None:
    chunk = {"model": "llama3.2", "message": {"content": "Hi"}, "done": False}
    end = {**chunk, "done": True, "prompt_eval_count": 5, "eval_count": 7}
    assert facts(read_pieces([chunk, chunk, end])) == ({"input_tokens": 5, "output_tokens": 7}, "llama3.2", "")


def test_chunks_of_langchain_add_up() -> None:
    def chunk(inputs: int, outputs: int) -> dict[str, Any]:
        usage = {"input_tokens": inputs, "output_tokens": outputs, "total_tokens": inputs + outputs}
        return {"type": "AIMessageChunk", "id": "run--1", "usage_metadata": usage}

    result = read_pieces([chunk(7, 0), {"type": "AIMessageChunk", "id": "run--1", "usage_metadata": None}, chunk(0, 5)])
    assert (result.usage, result.unread) == ({"input_tokens": 7, "output_tokens": 5}, ())


def test_the_ai_sdk_s_sum_replaces_its_steps() -> None:
    def step(number: int) -> dict[str, Any]:
        usage = {"inputTokens": 5, "outputTokens": number, "totalTokens": 5 + number}
        return {"type": "finish-step", "usage": usage, "response": {"id": f"r{number}", "modelId": "gpt-5"}}

    total = {"inputTokens": 10, "outputTokens": 3, "totalTokens": 13}
    result = read_pieces([step(1), step(2), {"type": "finish", "totalUsage": total}])
    assert (result.usage, result.unread) == ({"input_tokens": 10, "output_tokens": 3}, ())


def test_responses_with_different_ids_add_up() -> None:
    result = read_pieces([chat("r1", 10), chat("r2", 20, service_tier="default")])
    assert facts(result) == ({"input_tokens": 30, "output_tokens": 2}, "gpt-4o", "r2")
    assert (result.variant, result.unread) == ({"service_tier": "default"}, ())


def test_a_response_that_is_repeated_counts_once() -> None:
    assert read_pieces([chat("r1", 10), chat("r2", 20), chat("r1", 10)]).usage == {
        "input_tokens": 30,
        "output_tokens": 2,
    }


def test_whole_responses_without_ids_add_up() -> None:
    embedding = {"object": "list", "data": [], "model": "e", "usage": {"prompt_tokens": 4, "total_tokens": 4}}
    assert read_pieces([embedding, embedding]).usage == {"input_tokens": 8}
    picture = {"created": 1, "data": [{"url": "https://example.test/1.png"}]}
    assert read_pieces([picture, picture, picture]).usage == {"images": 3}


def test_seconds_and_costs_add_up_exactly() -> None:
    transcript = {"text": "Hi", "usage": {"type": "duration", "seconds": 0.1}, "duration": 0.1}
    assert read_pieces([transcript] * 3).usage == {"seconds": "0.300000"}
    parts = [{"id": name, "usage": {"prompt_tokens": 1, "completion_tokens": 0, "cost": 0.1}} for name in "abc"]
    assert read_pieces(parts).cost_usd == "0.3"


def test_a_cost_that_some_response_does_not_state_is_unknown() -> None:
    priced = {"id": "a", "usage": {"prompt_tokens": 1, "completion_tokens": 0, "cost": 0.1}}
    other = {"id": "b", "usage": {"prompt_tokens": 1, "completion_tokens": 0, "queue_time": 0.5}}
    assert read_pieces([priced, other]).cost_usd is None


def test_different_models_and_tiers_are_no_single_price() -> None:
    result = read_pieces([chat("r1", 10, service_tier="flex"), chat("r2", 20, model="gpt-5", service_tier="default")])
    assert facts(result) == ({"input_tokens": 30, "output_tokens": 2}, "gpt-5", "r2")
    assert result.unread == ("model", "variant.service_tier")


def test_the_transcription_beside_a_realtime_response_is_another_model() -> None:
    done = {"type": "response.done", "response": {"id": "r1", "usage": {"input_tokens": 9, "output_tokens": 4}}}
    heard = {
        "type": "conversation.item.input_audio_transcription.completed",
        "item_id": "item_1",
        "usage": {"type": "tokens", "input_tokens": 5, "output_tokens": 1},
    }
    result = read_pieces([heard, done])
    assert (result.usage, result.unread) == ({"input_tokens": 14, "output_tokens": 5}, ("model",))
    assert (read_pieces([heard]).reader, read_pieces([heard]).unread) == ("openai_transcription", ())


def test_cached_tokens_of_several_vendors_are_made_a_part_of_the_input() -> None:
    message = {
        "id": "msg_1",
        "type": "message",
        "model": "gpt-4o",
        "usage": {
            "input_tokens": 1,
            "cache_read_input_tokens": 5,
            "cache_creation_input_tokens": 3,
            "output_tokens": 2,
        },
    }
    result = read_pieces([message, chat("r1", 10)])
    assert (result.usage, result.excludes_cached) == (
        {"input_tokens": 19, "output_tokens": 3, "cached_input_tokens": 5, "cache_write_tokens": 3},
        False,
    )


def test_a_container_that_responses_share_is_one_session() -> None:
    def response(name: str, container: str) -> dict[str, Any]:
        call = {"type": "code_interpreter_call", "container_id": container}
        return {"id": name, "model": "gpt-5", "output": [call], "usage": {"input_tokens": 1, "output_tokens": 1}}

    result = read_pieces([response("a", "cntr_1"), response("b", "cntr_1"), response("c", "cntr_2")])
    assert result.usage == {"input_tokens": 3, "output_tokens": 3, "sessions": 2}


def test_more_responses_than_the_limit_are_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_RESPONSES", 2)
    result = read_pieces([chat("a", 1), chat("b", 1), chat("c", 1), chat("a", 1)])
    assert (result.usage["input_tokens"], result.unread) == (2, ("responses",))


def test_a_sum_above_the_limit_of_a_count_is_cut_and_unread() -> None:
    result = read_pieces([chat("a", 10**9), chat("b", 10**9)])
    assert (result.usage, result.unread) == ({"input_tokens": 10**9, "output_tokens": 2}, ("input_tokens",))


def test_a_reader_can_be_read_between_pieces() -> None:
    reader = Reader()
    reader.add(chat("a", 1))
    before = reader.reading()
    reader.add(chat("b", 2))
    assert (before.usage["input_tokens"], reader.reading().usage["input_tokens"]) == (1, 3)
    assert reader.reading() == reader.reading()
