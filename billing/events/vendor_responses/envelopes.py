"""What a response, a stream's piece or a batch line says: ids, model, conditions and numbers, without its contents. Pure.

Sources: OpenAI "Streaming events", "Batch" and "Realtime server events"; Anthropic "Streaming messages" and "Message Batches";
Google "Grounding with Google Search" and "Batch"; Bedrock ConverseStream and batch inference; Cohere "Chat stream".
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from billing.events.vendor_responses.fields import (
    Leaf,
    as_list,
    as_mapping,
    camel_case,
    exact,
    first_text,
    get,
    get_path,
    numbers,
)

Leaves = dict[str, Leaf]
Fields = dict[str, Any]
SPELLINGS = ""  # the key of the roots' spellings among a response's fields

# Where a response stands inside a piece, and where its usage stands inside the response; the first that has numbers.
WRAPPERS = (
    *("message", "result.message", "response", "response.body", "body"),
    *("metadata", "delta", "model_output", "result.response", "result", "data", "meta"),
)
METRICS = "amazon-bedrock-invocationMetrics"
ROOTS = (
    *("total_usage", "usage", "usage_metadata", "usage_info", "meta", "x_groq.usage", METRICS),
    *("response_metadata.token_usage", "response_metadata.usage"),
)
TOP = "top"  # counts at the top level
TOP_COUNTS = (
    *("prompt_eval_count", "eval_count", "input_text_token_count", "total_output_text_token_count"),
    *("prompt_token_count", "generation_token_count"),
)
BESIDE = "beside"  # numbers outside the usage that are billed
BATCH_KEYS = ("custom_id", "key", "record_id")
# Pieces that are a whole response even without an id, not one of many pieces.
WHOLE_KINDS = {
    *("list", "chat.completion", "text_completion", "message", "ai", "speech.audio.done", "transcript.text.done"),
    *("image_generation.completed", "image_edit.completed", "conversation.item.input_audio_transcription.completed"),
}
KIND_PATHS = ("object", "type", "usage.type")
KINDS = {"response.done": "realtime.response", "conversation.item.input_audio_transcription.completed": "tokens"}
MODEL_PATHS = (
    *("model", "model_version", "response.model_id", "model_id"),
    *("response_metadata.model_name", "response_metadata.model", "message.model", "response.model"),
)
ID_PATHS = ("id", "response_id", "response_metadata.RequestId", "$metadata.requestId", "response.id")
VARIANT_PATHS = {
    "service_tier": (
        *("service_tier", "service_tier.type", "usage.service_tier", "usage_metadata.traffic_type"),
        *("usage_metadata.service_tier", "response_metadata.service_tier", "response_metadata.usage.service_tier"),
    ),
    "speed": ("usage.speed", "performance_config.latency", "response_metadata.usage.speed"),
    "inference_geo": ("usage.inference_geo", "response_metadata.usage.inference_geo"),
    "search_context": ("usage.search_context_size",),
}
IMAGE_VARIANT = {"resolution": "size", "quality": "quality"}
OTHER_FIELDS = {
    *("output", "tool_usage", "svg_usage", "metrics", "text", "duration", "status", "seconds", "results", "data"),
    *("predictions", "generated_images", "b64_json", "candidates", "server_content", "embeddings", "metadata"),
    *("provider_metadata", "response_metadata", "request", "size", "quality", "item_id", *TOP_COUNTS, *BATCH_KEYS),
}
PATHS = (
    *WRAPPERS,
    *ROOTS,
    *KIND_PATHS,
    *MODEL_PATHS,
    *ID_PATHS,
    *(path for paths in VARIANT_PATHS.values() for path in paths),
)
NAMES = {path.split(".")[0] for path in PATHS} | OTHER_FIELDS
# The fields of a response that matter, by each spelling.
KNOWN = (
    {camel_case(name): name for name in NAMES}
    | {name: name for name in NAMES}
    | {"ResponseMetadata": "response_metadata"}
)
KNOWN_NAMES = frozenset(KNOWN)
PAY_AS_YOU_GO = "on_demand_"  # Vertex AI's traffic types that have a price of their own follow it
MAX_VARIANT, MAX_MODEL, MAX_ID = 60, 200, 256


class Piece(NamedTuple):
    """The facts of one piece. Queries and containers are hashed: they are counted once across pieces."""

    kinds: frozenset[str]
    response_id: str
    model: str
    variant: dict[str, str]
    leaves: dict[str, Leaves]  # by the root that they stand in
    queries: set[int]
    containers: set[int]
    has_own_key: bool

    @property
    def is_whole(self) -> bool:
        once = {"metrics.latencyMs", "eval_count", "data", "duration"}
        return bool(self.kinds & WHOLE_KINDS or any(once & leaves.keys() for leaves in self.leaves.values()))


def unwrap(piece: object) -> Piece:
    """The facts of a response, a stream's piece or a line of a batch; no exception whatever it is."""
    outer = _known_fields(piece)
    holder, leaves = outer, _leaves(outer)
    if not leaves:
        inner = (_known_fields(get_path(outer, path)) for path in WRAPPERS if path.split(".")[0] in outer)
        found_in = ((fields, _leaves(fields)) for fields in inner)
        holder, leaves = next(((fields, counts) for fields, counts in found_in if counts), (outer, leaves))
    is_batch = holder is not outer and ("request" in outer or _text(outer, BATCH_KEYS, MAX_ID) != "")
    types = {first_text(place, path) for place in (holder, outer) for path in KIND_PATHS}
    grounding = list(_grounding(holder))
    item_id = ["item_id"] if leaves else []  # of a realtime transcription; other events name items of a response
    return Piece(
        frozenset(types | {KINDS[kind] for kind in types & KINDS.keys()}) - {""},
        _text(holder, ID_PATHS, MAX_ID) or _text(outer, (*ID_PATHS, "message.id", *BATCH_KEYS, *item_id), MAX_ID),
        _text(holder, MODEL_PATHS, MAX_MODEL) or _text(outer, MODEL_PATHS, MAX_MODEL),
        _variant(holder, leaves) | ({"service_tier": "batch"} if is_batch else {}),
        leaves,
        {hash(query) for item in grounding for query in _queries(item)},
        {hash(container) for item in _output(holder) if (container := _container(item))},
        get_path(holder, "usage.is_byok") is True,
    )


def _known_fields(holder: object) -> Fields:
    """The fields that matter and are not None, by their names in snake case. Spellings are those of the vendor's JSON."""
    fields = as_mapping(holder, KNOWN_NAMES) or {}
    known = {KNOWN[name]: fields[name] for name in fields.keys() & KNOWN.keys() if fields[name] is not None}
    if spellings := {KNOWN[name]: name for name in fields.keys() & KNOWN.keys() if KNOWN[name] in ROOTS}:
        known[SPELLINGS] = spellings
    return known


def _text(holder: object, paths: tuple[str, ...], max_length: int) -> str:
    text = first_text(holder, *paths)
    return text if len(text) <= max_length and text.isprintable() else ""


def _variant(holder: Fields, leaves: dict[str, Leaves]) -> dict[str, str]:
    paths = {name: paths for name, paths in VARIANT_PATHS.items() if leaves}
    if leaves.get(BESIDE, {}).keys() & {"data", "seconds"}:
        paths |= {name: (path,) for name, path in IMAGE_VARIANT.items()}
    variant = {name: _text(holder, places, MAX_VARIANT) for name, places in paths.items()}
    tier = variant.get("service_tier", "").lower().removeprefix(PAY_AS_YOU_GO)
    variant["service_tier"] = "" if "unspecified" in tier else tier
    return {name: text for name, text in variant.items() if text}


def _leaves(holder: Fields) -> dict[str, Leaves]:
    spellings: dict[str, str] = holder.get(SPELLINGS, {})
    leaves = {}
    for root in ROOTS:
        if (usage := get_path(holder, root)) is not None:
            leaves[root] = numbers(usage, spellings.get(root, root))
    meta = holder.get("meta")
    if get(meta, "billed_units") is None and get(meta, "tokens") is None:
        leaves.pop("meta", None)  # another vendor's
    top = ((name, holder[name]) for name in TOP_COUNTS if name in holder)
    leaves[TOP] = {name: leaf for name, count in top for leaf in numbers(count, name, name).values()}
    if holder.keys() & OTHER_FIELDS:
        leaves[BESIDE] = {path: leaf for path, leaf in _beside(holder) if leaf.value != 0}
    return {root: counts for root, counts in leaves.items() if counts}


def _beside(holder: Fields) -> Iterator[tuple[str, Leaf]]:
    """The numbers that are billed and stand outside the usage."""
    yield from _images(holder)
    for kind in ("web_search_call", "file_search_call", "image_generation_call"):
        calls = [item for item in _output(holder) if first_text(item, "type") == kind and _is_billed(item)]
        yield f"output.{kind}", Leaf(f"output.{kind}", Decimal(len(calls)))
    for name in ("tool_usage", "svg_usage"):
        yield from numbers(get(holder, name), name, name).items()
    yield from numbers(get_path(holder, "metrics.latency_ms"), "metrics.latencyMs", "metrics.latency_ms").items()
    if first_text(holder, "text") and get(holder, "duration") is not None:
        yield "duration", Leaf("duration", exact(get(holder, "duration")))
    if first_text(holder, "object") == "video" and first_text(holder, "status") == "completed":
        yield "seconds", Leaf("seconds", exact(get(holder, "seconds")))
    yield from _google(holder)
    if "usage_metadata" in holder:  # LangChain's, which leaves out the tools of Anthropic
        tools = "response_metadata.usage.server_tool_use"
        yield from numbers(get_path(holder, tools), tools, "server_tool_use").items()
    results = [{"token_count": get(item, "token_count")} for item in as_list(get(holder, "results"))]
    yield from numbers(results, "results", "results").items()
    created = "provider_metadata.anthropic.cache_creation_input_tokens"
    yield from numbers(get_path(holder, created), created, created).items()


def _images(holder: Fields) -> Iterator[tuple[str, Leaf]]:
    images = [item for item in as_list(get(holder, "data")) if _is_image(item)] + [
        item for item in as_list(get(holder, "predictions")) if get(item, "bytes_base64_encoded") is not None
    ]
    event = first_text(holder, "type") in WHOLE_KINDS and get(holder, "b64_json") is not None
    count = len(images) + len(as_list(get(holder, "generated_images"))) + event
    yield "data", Leaf("images", Decimal(count))


def _is_image(item: object) -> bool:
    return get(item, "b64_json") is not None or get(item, "url") is not None


def _output(holder: Fields) -> list[object]:
    return [item for item in as_list(get(holder, "output")) if first_text(item, "type").endswith("_call")]


def _is_billed(item: object) -> bool:
    """Searches are billed; opening a page, finding text in it and failed calls are not."""
    return first_text(item, "action.type") in ("", "search") and first_text(item, "status") != "failed"


def _container(item: object) -> str:
    return first_text(item, "container_id", "environment.container_id")


def _grounding(holder: Fields) -> Iterator[object]:
    for candidate in as_list(get(holder, "candidates")):
        if (metadata := get(candidate, "grounding_metadata")) is not None:
            yield metadata
    if (metadata := get_path(holder, "server_content.grounding_metadata")) is not None:
        yield metadata


def _queries(metadata: object) -> list[str]:
    """The queries of web and image searches; empty ones are not billed."""
    lists = (get(metadata, name) for name in ("web_search_queries", "image_search_queries"))
    return [query for queries in lists for query in as_list(queries) if isinstance(query, str) and query]


def _google(holder: Fields) -> Iterator[tuple[str, Leaf]]:
    """Grounding other than by search, which is billed apart and counted by no unit; tokens and characters of embeddings."""
    for metadata in _grounding(holder):
        maps = [chunk for chunk in as_list(get(metadata, "grounding_chunks")) if get(chunk, "maps") is not None]
        yield "groundingMetadata.groundingChunks.maps", Leaf("grounding.maps", Decimal(len(maps)))
        retrieved = as_list(get(metadata, "retrieval_queries"))
        yield "groundingMetadata.retrievalQueries", Leaf("grounding.retrieval", Decimal(len(retrieved)))
    embeddings = [*as_list(get(holder, "embeddings")), *as_list(get(holder, "predictions"))]
    counts = [
        get_path(item, "statistics.token_count") or get_path(item, "embeddings.statistics.token_count")
        for item in embeddings
    ]
    for path, leaf in numbers([count for count in counts if count is not None], "embeddings").items():
        yield path, leaf._replace(name="embeddings.token_count")
    characters = "metadata.billable_character_count"
    yield from numbers(get_path(holder, characters), characters, characters).items()
