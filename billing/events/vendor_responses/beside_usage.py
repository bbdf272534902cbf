"""What is billed and stands outside the usage: pictures, searches, containers, durations. Pure.

Sources: OpenAI "Web search" (opening a page is free), "Code Interpreter" (billed by the container), `tool_usage`, images and
verbose transcriptions; Google "Grounding with Google Search" (empty queries are free) and "with Google Maps", embedContent;
Bedrock's Titan models and watsonx; Vercel AI SDK `providerMetadata`; Groq "Compound" (`usage_breakdown`, `executed_tools`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from billing.events.vendor_responses.fields import Leaf, as_list, exact, first_text, get, get_path, numbers

Fields = dict[str, Any]  # the fields of a response by their names in snake case

LISTS = {"output", "data", "predictions", "generated_images", "candidates", "embeddings", "results"}
LISTS_OF_TOOLS = {"output", "candidates", "server_content"}  # in which queries and containers stand
MAX_ITEMS = 20_000  # of a list that is looked through
IMAGE_EVENTS = ("image_generation.completed", "image_edit.completed")
TOOL_CALLS = ("web_search_call", "file_search_call", "image_generation_call")
WATSONX_COUNTS = ("input_token_count", "generated_token_count")
CHARACTERS = "metadata.billable_character_count"
CACHE_CREATION = "provider_metadata.anthropic.cache_creation_input_tokens"
LANGCHAIN_TOOLS = "response_metadata.usage.server_tool_use"  # its usage metadata leaves them out
# place -> (path of the numbers there, their name)
NUMBERS = {
    "tool_usage": ("tool_usage", "tool_usage"),
    "svg_usage": ("svg_usage", "svg_usage"),
    "metrics.latency_ms": ("metrics.latencyMs", "metrics.latency_ms"),
    CHARACTERS: (CHARACTERS, CHARACTERS),
    CACHE_CREATION: (CACHE_CREATION, CACHE_CREATION),
    "usage_breakdown.models": ("usage_breakdown.models", "usage_breakdown.models"),
}
FIELDS = {
    *LISTS,
    *(place.split(".")[0] for place in (*NUMBERS, LANGCHAIN_TOOLS)),
    *("text", "duration", "status", "seconds", "b64_json", "server_content", "choices"),
}


def numbers_of(holder: Fields) -> dict[str, Leaf]:
    """The numbers by their paths, but those that are 0."""
    readers = (_images, _tool_calls, _durations, _google, _results, _executed_tools)
    leaves = dict(leaf for reader in readers for leaf in reader(holder))
    for place, (path, name) in NUMBERS.items():
        leaves |= numbers(get_path(holder, place), path, name)
    if "usage_metadata" in holder:
        leaves |= numbers(get_path(holder, LANGCHAIN_TOOLS), LANGCHAIN_TOOLS, "server_tool_use")
    too_long = {f"{name}[{MAX_ITEMS}]": Leaf("", None) for name in LISTS if len(as_list(holder.get(name))) > MAX_ITEMS}
    return {path: leaf for path, leaf in leaves.items() if leaf.value != 0} | too_long


def _items(holder: Fields, name: str) -> Sequence[Any]:
    return as_list(holder.get(name))[:MAX_ITEMS]


def queries(holder: Fields) -> set[int]:
    """Hashes of the web and image searches that Gemini ran; an empty query is not billed."""
    lists = (get(item, name) for item in _grounding(holder) for name in ("web_search_queries", "image_search_queries"))
    return {hash(query) for texts in lists for query in as_list(texts) if isinstance(query, str) and query}


def containers(holder: Fields) -> set[int]:
    """Hashes of the containers in which OpenAI ran code."""
    ids = (first_text(item, "container_id", "environment.container_id") for item in _calls(holder))
    return {hash(container) for container in ids if container}


def breakdown_models(holder: Fields) -> set[str]:
    """The models that took part in a system of Groq's."""
    models = as_list(get_path(holder, "usage_breakdown.models"))
    return {name for item in models[:MAX_ITEMS] if (name := first_text(item, "model"))}


def _executed_tools(holder: Fields) -> Iterator[tuple[str, Leaf]]:
    """The tools that a system of Groq's ran, which are billed apart: by depth of the search, which it does not state."""
    if "usage_breakdown" in holder:
        messages = [get(choice, "message") or get(choice, "delta") for choice in _items(holder, "choices")]
        tools = [tool for message in messages for tool in as_list(get(message, "executed_tools"))]
        yield "choices.message.executed_tools", Leaf("executed_tools", Decimal(len(tools)))


def _images(holder: Fields) -> Iterator[tuple[str, Leaf]]:
    images = [item for item in _items(holder, "data") if _is_image(item)]
    predictions = [item for item in _items(holder, "predictions") if get(item, "bytes_base64_encoded") is not None]
    is_event = first_text(holder, "type") in IMAGE_EVENTS and "b64_json" in holder
    count = len(images) + len(predictions) + len(_items(holder, "generated_images")) + is_event
    yield "data", Leaf("images", Decimal(count))


def _is_image(item: object) -> bool:
    return get(item, "b64_json") is not None or get(item, "url") is not None


def _calls(holder: Fields) -> list[object]:
    return [item for item in _items(holder, "output") if first_text(item, "type").endswith("_call")]


def _tool_calls(holder: Fields) -> Iterator[tuple[str, Leaf]]:
    """Searches are billed; opening a page, finding text in it and failed calls are not."""
    billed = [
        first_text(item, "type")
        for item in _calls(holder)
        if first_text(item, "action.type") in ("", "search") and first_text(item, "status") != "failed"
    ]
    for kind in TOOL_CALLS:
        yield f"output.{kind}", Leaf(f"output.{kind}", Decimal(billed.count(kind)))


def _durations(holder: Fields) -> Iterator[tuple[str, Leaf]]:
    if first_text(holder, "text") and "duration" in holder:
        yield "duration", Leaf("duration", exact(holder["duration"]))
    if first_text(holder, "object") == "video" and first_text(holder, "status") == "completed":
        yield "seconds", Leaf("seconds", exact(holder.get("seconds", 0)))


def _grounding(holder: Fields) -> list[object]:
    metadata = [get(candidate, "grounding_metadata") for candidate in _items(holder, "candidates")]
    return [item for item in (*metadata, get_path(holder, "server_content.grounding_metadata")) if item is not None]


def _google(holder: Fields) -> Iterator[tuple[str, Leaf]]:
    """Grounding other than by search, which is billed apart and counted by no unit, and the tokens of embeddings."""
    grounding = _grounding(holder)
    chunks = [chunk for metadata in grounding for chunk in as_list(get(metadata, "grounding_chunks"))]
    maps = sum(get(chunk, "maps") is not None for chunk in chunks)
    yield "groundingMetadata.groundingChunks.maps", Leaf("grounding.maps", Decimal(maps))
    retrieved = sum(len(as_list(get(metadata, "retrieval_queries"))) for metadata in grounding)
    yield "groundingMetadata.retrievalQueries", Leaf("grounding.retrieval", Decimal(retrieved))
    items = [*_items(holder, "embeddings"), *_items(holder, "predictions")]
    statistics = [get(item, "statistics") or get_path(item, "embeddings.statistics") for item in items]
    yield "embeddings", _sum("embeddings.token_count", statistics)


def _results(holder: Fields) -> Iterator[tuple[str, Leaf]]:
    results = _items(holder, "results")
    yield "results", _sum("results.token_count", results)
    for name in WATSONX_COUNTS if results else ():
        yield f"results.{name}", _sum(f"results.{name}", results)


def _sum(path: str, items: Sequence[object]) -> Leaf:
    """The sum of the items' counts, named by the last part of `path`; without a value if some count is none."""
    field = path.rpartition(".")[2]
    counts = [exact(count) for item in items if (count := get(item, field)) is not None]
    valid = [count for count in counts if count is not None and count >= 0]
    return Leaf(path, sum(valid, Decimal()) if len(valid) == len(counts) else None)
