"""What a response, a stream's piece or a batch line says: ids, model, conditions and numbers, without its contents. Pure.

Sources: OpenAI "Streaming events", "Batch" and "Realtime server events"; Anthropic "Streaming messages" and "Message Batches";
Google "Batch" (a file's lines, or inlined responses) and "Live API"; Bedrock ConverseStream, batch inference and the headers
of InvokeModel; Cohere "Chat stream".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from billing.events.vendor_responses import beside_usage
from billing.events.vendor_responses.beside_usage import Fields
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
HEADERS = "headers"  # counts in HTTP headers, where the body has none
HEADERS_PATH = "response_metadata.HTTPHeaders"
HEADER = "x-amzn-bedrock-"
# header -> name of its number in other answers of Bedrock
HEADER_COUNTS = {
    f"{HEADER}input-token-count": "input_token_count",
    f"{HEADER}output-token-count": "output_token_count",
    f"{HEADER}cache-read-input-token-count": "cache_read_input_token_count",
    f"{HEADER}cache-write-input-token-count": "cache_write_input_token_count",
    f"{HEADER}invocation-latency": "invocation_latency",
}
# Where a finished batch of Google's has its responses, without an id of their own.
INLINED = tuple(
    f"{place}{name}"
    for place in ("", "response.", "dest.", "metadata.output.")
    for name in ("inlined_responses.inlined_responses", "inlined_responses")
)
INLINED_NAMES = tuple(dict.fromkeys(path.split(".")[0] for path in INLINED))
BATCH_KEYS = ("custom_id", "key", "record_id")
# Pieces that are a whole response even without an id, not one of many pieces.
INLINED_RESPONSE = "inlined_response"
WHOLE_KINDS = {
    INLINED_RESPONSE,
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
        f"{HEADERS_PATH}.{HEADER}service-tier",
    ),
    "speed": ("usage.speed", "performance_config.latency", "response_metadata.usage.speed"),
    "inference_geo": ("usage.inference_geo", "response_metadata.usage.inference_geo"),
    "search_context": ("usage.search_context_size",),
}
IMAGE_VARIANT = {"resolution": "size", "quality": "quality"}
NUMBER_FIELDS = {*(root.split(".")[0] for root in ROOTS), *TOP_COUNTS, *beside_usage.FIELDS} - {
    "text",
    "status",
    "choices",
}
OTHER_FIELDS = {*beside_usage.FIELDS, *TOP_COUNTS, *BATCH_KEYS, *IMAGE_VARIANT.values(), "request", "item_id"}
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
    """The facts of one piece. Queries and containers are hashed: they are counted once across pieces.

    `unusable` names the texts that no event may hold.
    """

    kinds: frozenset[str]
    response_id: str
    model: str
    variant: dict[str, str]
    leaves: dict[str, Leaves]  # by the root that they stand in
    queries: set[int]
    containers: set[int]
    has_own_key: bool
    unusable: list[str]
    ends_turn: bool = False  # of a live session

    @property
    def is_whole(self) -> bool:
        once = {"metrics.latencyMs", "eval_count", "data", "duration"}
        return bool(self.kinds & WHOLE_KINDS or any(once & leaves.keys() for leaves in self.leaves.values()))


def unwrap_all(piece: object) -> list[Piece]:
    """The facts of a piece, or of each response of a finished batch."""
    lists: tuple[Sequence[object], ...] = ()
    if any(get(piece, name) is not None for name in INLINED_NAMES):
        lists = tuple(items for path in INLINED if (items := as_list(get_path(piece, path))))
    return [_in_batch(unwrap(item)) for item in lists[0]] if lists else [unwrap(piece)]


def _in_batch(piece: Piece) -> Piece:
    variant = piece.variant | {"service_tier": "batch"} if piece.leaves else piece.variant
    return piece._replace(kinds=piece.kinds | {INLINED_RESPONSE}, variant=variant)


def unwrap(piece: object) -> Piece:
    """The facts of a response, a stream's piece or a line of a batch; no exception whatever it is."""
    outer = _known_fields(piece)
    holder, leaves = outer, _leaves(outer)
    if not leaves:
        inner = (_known_fields(get_path(outer, path)) for path in WRAPPERS if path.split(".")[0] in outer)
        found_in = ((fields, _leaves(fields)) for fields in inner)
        holder, leaves = next(((fields, counts) for fields, counts in found_in if counts), (outer, leaves))
    if not leaves.keys() - {BESIDE} and (headers := _header_counts(outer)):
        leaves = leaves | {HEADERS: headers}
    if not leaves and not outer.keys() & beside_usage.LISTS_OF_TOOLS:
        return _without_numbers(outer)
    is_batch = holder is not outer and ("request" in outer or _text(outer, BATCH_KEYS, MAX_ID) != "")
    types = {first_text(place, path) for place in (holder, outer) for path in KIND_PATHS}
    item_id = ["item_id"] if leaves else []  # of a realtime transcription; other events name items of a response
    models = beside_usage.breakdown_models(holder)
    model = next(iter(models), "") if len(models) == 1 else ""
    model = model or first_text(holder, *MODEL_PATHS) or first_text(outer, *MODEL_PATHS)
    variant = _variant(holder, leaves) | ({"service_tier": "batch"} if is_batch else {})
    return Piece(
        frozenset(types | {KINDS[kind] for kind in types & KINDS.keys()}) - {""},
        _text(holder, ID_PATHS, MAX_ID) or _text(outer, (*ID_PATHS, "message.id", *BATCH_KEYS, *item_id), MAX_ID),
        model if _is_usable(model, MAX_MODEL) else "",
        {name: text for name, text in variant.items() if _is_usable(text, MAX_VARIANT)},
        leaves,
        beside_usage.queries(holder),
        beside_usage.containers(holder),
        get_path(holder, "usage.is_byok") is True,
        ["model"] * (not _is_usable(model, MAX_MODEL) or len(models) > 1)
        + [f"variant.{name}" for name, text in variant.items() if not _is_usable(text, MAX_VARIANT)],
        get_path(outer, "server_content.turn_complete") is True,
    )


def _without_numbers(outer: Fields) -> Piece:
    """The facts of a piece of contents, of which a stream may have many thousands."""
    kinds = frozenset({first_text(outer, path) for path in KIND_PATHS})
    kinds |= {KINDS[kind] for kind in kinds & KINDS.keys()}
    model = first_text(outer, *MODEL_PATHS)
    usable = _is_usable(model, MAX_MODEL)
    response_id = _text(outer, (*ID_PATHS, "message.id", *BATCH_KEYS), MAX_ID)
    return Piece(
        kinds - {""}, response_id, model if usable else "", {}, {}, set(), set(), False, [] if usable else ["model"]
    )


def _known_fields(holder: object) -> Fields:
    """The fields that matter and are not None, by their names in snake case. Spellings are those of the vendor's JSON."""
    fields = as_mapping(holder, KNOWN_NAMES) or {}
    keys = [
        key for key in sorted(fields.keys() & KNOWN.keys()) if fields[key] is not None
    ]  # of two, snake case is last
    known = {KNOWN[key]: fields[key] for key in keys}
    if spellings := {KNOWN[key]: key for key in keys if KNOWN[key] in ROOTS}:
        known[SPELLINGS] = spellings
    return known


def _is_usable(text: str, max_length: int) -> bool:
    return len(text) <= max_length and text.isprintable()


def _text(holder: Fields, paths: tuple[str, ...], max_length: int) -> str:
    text = first_text(holder, *paths)
    return text if _is_usable(text, max_length) else ""


def _variant(holder: Fields, leaves: dict[str, Leaves]) -> dict[str, str]:
    if not leaves:
        return {}
    variant = {name: first_text(holder, *paths) for name, paths in VARIANT_PATHS.items()}
    if leaves.get(BESIDE, {}).keys() & {"data", "seconds"}:
        variant |= {name: first_text(holder, path) for name, path in IMAGE_VARIANT.items()}
    tier = variant["service_tier"].lower().removeprefix(PAY_AS_YOU_GO)
    variant["service_tier"] = "" if "unspecified" in tier else tier
    return {name: text for name, text in variant.items() if text}


def _header_counts(holder: Fields) -> Leaves:
    headers = get_path(holder, HEADERS_PATH) if "response_metadata" in holder else None
    texts = {header: get(headers, header) for header in HEADER_COUNTS}
    return {
        f"ResponseMetadata.HTTPHeaders.{header}": Leaf(HEADER_COUNTS[header], exact(text))
        for header, text in texts.items()
        if text is not None
    }


def _leaves(holder: Fields) -> dict[str, Leaves]:
    if not holder.keys() & NUMBER_FIELDS:
        return {}
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
    if holder.keys() & beside_usage.FIELDS:
        leaves[BESIDE] = beside_usage.numbers_of(holder)
    return {root: counts for root, counts in leaves.items() if counts}
