"""Reads vendors' responses: the usage, and every number that is not understood. Pure.

The shape of a response is found by its field names alone, in the order of `client_shapes.SHAPES`. Pieces of one stream replace
each other field by field; responses with different ids add up. Pieces without an id belong to the response before them, unless
they are whole responses themselves. Responses of different models can't be priced as one: `model` is then unread.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import islice
from typing import NamedTuple

from billing.events.events import MAX_COUNT
from billing.events.vendor_responses import client_shapes, envelopes, evaluation
from billing.events.vendor_responses.envelopes import Leaves, Piece
from billing.events.vendor_responses.evaluation import DECIMAL_QUANTITIES, Evaluation
from billing.events.vendor_responses.fields import Leaf
from billing.events.vendor_responses.openai_shapes import XAI_MARKS

MICRO = Decimal("0.000001")  # the precision of an event's seconds
ATTO = Decimal("1E-18")  # the precision of an event's cost
MAX_COST = 10**6
MAX_RESPONSES = 10_000
MAX_PATHS = 50
MAX_PATH_LENGTH = 100
MAX_VALUE_LENGTH = 40
ROOTS = (*envelopes.ROOTS, envelopes.TOP, envelopes.HEADERS)
QUERIES_PATH = "groundingMetadata.webSearchQueries"
# Google's Live API counts each turn, with all that was said before, and bills each: turns add up. They have no id: of several
# counts between which no turn ends, only the last is read.
LIVE_PATHS = {"usageMetadata.responseTokenCount", "usage_metadata.response_token_count"}
# Since version 3, Gemini's searches are billed by the query; before, by the prompt that searched.
GEMINI_VERSION = re.compile(r"gemini-(\d+)")
SEARCHING_MODEL = re.compile(r"search-(preview|api)")  # OpenAI's chat models that search once in every call

MAIN_COUNTS = (  # the names of input, output and reasoning
    ("prompt_tokens", "input_tokens"),
    ("completion_tokens", "output_tokens"),
    ("reasoning_tokens", "completion_tokens_details.reasoning_tokens", "output_tokens_details.reasoning_tokens"),
)


class Reading(NamedTuple):
    """What one call's responses say."""

    usage: dict[str, int | str]  # fields of an event's `usage`
    variant: dict[str, str]  # what was served
    model: str  # the model that served, empty if not stated
    response_id: str  # empty if not stated
    cost_usd: str | None  # the vendor's own cost, a plain decimal
    excludes_cached: bool  # cached tokens come in addition to input tokens
    reader: str  # the name of the shape, empty where none fits
    ignored: tuple[str, ...]  # paths of numbers known to be informational
    unread: tuple[str, ...]  # paths of numbers that no table knows, and of totals that differ
    unread_values: Mapping[str, int | str] = {}  # of the numbers that no table knows
    mapped: Mapping[str, str] = {}  # paths that an operator has mapped to a unit, and that are counted in `usage`


class Response:
    """The facts of one response, from the pieces of it so far."""

    def __init__(self, response_id: str) -> None:
        self.response_id = response_id
        self.model = ""
        self.has_own_key = False
        self.has_turns = False
        self.is_complete_turn = False
        self.kinds: frozenset[str] = frozenset()
        self.variant: dict[str, str] = {}
        self.leaves: dict[str, Leaves] = {}
        self.queries: set[int] = set()
        self.containers: set[int] = set()

    def add(self, piece: Piece) -> None:
        self.model = piece.model or self.model
        self.kinds |= piece.kinds
        self.variant |= piece.variant
        self.queries |= piece.queries
        self.containers |= piece.containers
        self.has_own_key |= piece.has_own_key
        self.is_complete_turn |= piece.ends_turn
        adds = "AIMessageChunk" in piece.kinds  # LangChain's chunks state what each of them adds
        for root, leaves in piece.leaves.items():
            known = self.leaves.setdefault(root, {})
            self.has_turns |= bool(known.keys() & leaves.keys() & LIVE_PATHS)
            known |= {path: _added(known.get(path), leaf) if adds else leaf for path, leaf in leaves.items()}

    def evaluate(self, containers: set[int]) -> Evaluation:
        """Read the response; `containers` are those that an earlier response has used."""
        root = next((root for root in ROOTS if root in self.leaves), "")
        leaves = {**self.leaves.get(root, {}), **self.leaves.get(envelopes.BESIDE, {})}
        if self.model:  # an iteration that names the model that served is labelled by its type alone
            leaves = {
                path: leaf._replace(name=leaf.name.replace(f"@{self.model}.", ".")) for path, leaf in leaves.items()
            }
        if new := self.containers - containers:
            leaves["output.containers"] = Leaf("output.containers", Decimal(len(new)))
        if self.queries:
            leaves[QUERIES_PATH] = Leaf("grounding.queries", Decimal(self._searches()))
        names = {leaf.name for leaf in leaves.values()}
        if "completion_tokens" in names and SEARCHING_MODEL.search(self.model):
            leaves["model"] = Leaf("searching_model", Decimal(1))
        names |= {f"root:{root}", *(f"kind:{kind}" for kind in self.kinds)} | _flags(self, root, leaves)
        shape = next((shape for shape in client_shapes.SHAPES if any(mark <= names for mark in shape.marks)), None)
        result = evaluation.evaluate(shape, leaves, own_key=self.has_own_key)
        if self.has_turns:
            result.unread.append("usageMetadata")
        if len(self.queries) > 1 and not GEMINI_VERSION.search(self.model):
            result.unread.append(QUERIES_PATH)  # billed once or by the query: the model would tell
        return result

    def _searches(self) -> int:
        version = GEMINI_VERSION.search(self.model)
        return len(self.queries) if version and int(version[1]) >= 3 else 1


def _is_live(facts: Piece | Response) -> bool:
    """Whether they have the counts of a turn of Google's Live API."""
    return any(LIVE_PATHS & leaves.keys() for leaves in facts.leaves.values())


def _added(known: Leaf | None, leaf: Leaf) -> Leaf:
    if known is None or known.value is None or leaf.value is None:
        return leaf
    return leaf._replace(value=known.value + leaf.value)


def _flags(response: Response, root: str, leaves: Leaves) -> set[str]:
    """What the spelling and the sums of a usage tell about its vendor, as names that a shape's marks may ask for."""
    values = {leaf.name: leaf.value or Decimal() for leaf in leaves.values()}
    inputs, outputs, reasoning = (max(values.get(name, Decimal()) for name in names) for names in MAIN_COUNTS)
    total, cached = values.get("total_tokens", Decimal()), values.get("cached_input_tokens", Decimal())
    is_xai = any(mark in values for mark in XAI_MARKS)
    has_details = any(name.startswith("input_tokens_details.") for name in values)
    is_claude = (
        "claude" in response.model.lower() or "provider_metadata.anthropic.cache_creation_input_tokens" in values
    )
    flags = {
        "camel": any(re.search("[a-z][A-Z]", path.removeprefix(root)[:100]) for path in response.leaves.get(root, ())),
        "no_parts": not inputs and not outputs,
        "reasoning_beside": reasoning > 0
        and total != inputs + outputs
        and (is_xai or total == inputs + outputs + reasoning),
        "cached_beside": not has_details and (cached > inputs or is_claude),
        "search_context_size": "search_context" in response.variant,
    }
    return {name for name, holds in flags.items() if holds}


class Reader:
    """Reads a call's responses piece by piece and keeps no contents."""

    def __init__(self) -> None:
        self._responses: dict[str, Response] = {}
        self._last_key = ""
        self._problems: set[str] = set()

    def add(self, piece: object) -> None:
        """Take a response or a piece of a stream; any value is accepted."""
        try:
            responses = envelopes.unwrap_all(piece)
        except Exception:  # a client's object may raise anything, and the call has already been made
            self._problems.add("response")
            return
        for facts in responses:
            self._add(facts)

    def _add(self, facts: Piece) -> None:
        self._problems.update(facts.unusable)
        if "total_usage" in facts.leaves:  # the AI SDK's sum of all steps
            facts = facts._replace(model=facts.model or self._model())
            self._responses.clear()
        key = self._key(facts)
        if key not in self._responses and len(self._responses) >= MAX_RESPONSES:
            self._problems.add("responses")
            return
        self._responses.setdefault(key, Response(facts.response_id)).add(facts)
        self._last_key = key

    def _key(self, facts: Piece) -> str:
        """The key of the response that a piece belongs to, which may be a new one."""
        last = self._responses.get(self._last_key)
        if facts.response_id:
            if last and not last.response_id and not facts.is_whole and facts.response_id not in self._responses:
                last.response_id = facts.response_id  # the stream's first pieces had no id
                self._responses[facts.response_id] = self._responses.pop(self._last_key)
            return facts.response_id
        is_new = last is None or facts.is_whole or (last.is_complete_turn and _is_live(last) and _is_live(facts))
        return f"\0{len(self._responses)}" if is_new else self._last_key

    def _model(self) -> str:
        return next((response.model for response in reversed(self._responses.values()) if response.model), "")

    def reading(self) -> Reading:
        """What the pieces so far say."""
        responses = list(self._responses.values())
        containers: set[int] = set()
        results = []
        for response in responses:
            results.append((response, response.evaluate(containers)))
            containers |= response.containers
        read = [(response, result) for response, result in results if response.leaves or result.quantities]
        merged = evaluation.merge(result for _, result in read)
        usage, too_large = _usage(merged)
        cost, cost_unread = _cost(merged)
        unread = [*merged.unread, *_conflicts(read), *too_large, *cost_unread, *sorted(self._problems)]
        last = [response for response, _ in read] or responses
        return Reading(
            usage,
            {name: text for response in responses for name, text in response.variant.items()},
            self._model(),
            last[-1].response_id if last else "",
            cost,
            merged.excludes_cached,
            merged.reader,
            _paths(merged.ignored),
            _paths(unread),
            _values(merged.unknown),
        )


def read_pieces(pieces: Sequence[object]) -> Reading:
    """Read one response, the pieces of a stream, or several responses."""
    reader = Reader()
    for piece in pieces:
        reader.add(piece)
    return reader.reading()


def _usage(merged: Evaluation) -> tuple[dict[str, int | str], list[str]]:
    """The fields of an event's usage, and those that were cut to the limit of a count."""
    too_large = [quantity for quantity, value in merged.quantities.items() if value > MAX_COUNT]
    quantities = merged.quantities | dict.fromkeys(too_large, Decimal(MAX_COUNT))
    evaluation.limit_parts(quantities, merged.excludes_cached)
    decimals = {
        quantity: f"{value.quantize(MICRO, ROUND_HALF_EVEN):f}"
        for quantity, value in quantities.items()
        if quantity in DECIMAL_QUANTITIES
    }
    return {quantity: int(value) for quantity, value in quantities.items()} | decimals, too_large


def _cost(merged: Evaluation) -> tuple[str | None, list[str]]:
    if merged.cost is None or merged.cost > MAX_COST:
        return None, [] if merged.cost is None else ["cost"]
    text = f"{merged.cost.quantize(ATTO, ROUND_HALF_EVEN):f}"
    return text.rstrip("0").rstrip(".") or "0", []


def _conflicts(read: Sequence[tuple[Response, Evaluation]]) -> list[str]:
    """The conditions in which responses that were added up differ."""
    models = {response.model or result.reader for response, result in read}
    variants = {(name, text) for response, _ in read for name, text in response.variant.items()}
    names = [name for name, _ in sorted(variants)]
    return ["model"] * (len(models) > 1) + [f"variant.{name}" for name in dict.fromkeys(names) if names.count(name) > 1]


def _paths(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(_clip, paths)))[:MAX_PATHS]


def _clip(path: str) -> str:
    return "".join(char for char in path if char.isprintable())[:MAX_PATH_LENGTH]


def _values(numbers: Mapping[str, Decimal]) -> dict[str, int | str]:
    """The numbers as JSON, whole ones as integers. Paths that are equal when they are cut have no value."""
    paths = Counter(map(_clip, numbers))
    texts = {_clip(path): _as_json(value) for path, value in numbers.items() if paths[_clip(path)] == 1}
    return {path: value for path, value in islice(texts.items(), MAX_PATHS) if value is not None}


def _as_json(value: Decimal) -> int | str | None:
    if value == value.to_integral_value() and abs(value) <= MAX_COUNT:
        return int(value)
    text = f"{value:f}"
    return text if len(text) <= MAX_VALUE_LENGTH else None
