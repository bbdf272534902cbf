"""Quantities and cost of one response, from its numbers and the table of its shape. Pure.

Every number that is not 0 ends in a quantity, among the ignored or among the unread: none is lost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from billing.events.events import MAX_COUNT
from billing.events.vendor_responses.fields import Leaf, snake_case
from billing.events.vendor_responses.shapes import Formula, Shape, Terms, shape

UNKNOWN = shape("", "", {})
DECIMAL_QUANTITIES = {"seconds": Decimal(1), "megapixels": Decimal("0.000001")}  # with the factor of their fields
# Dollars of the vendor's own cost. xAI: 10^10 ticks are one dollar.
COSTS = {"cost_in_usd_ticks": Decimal("1E-10"), "cost.total_cost": Decimal(1), "cost": Decimal(1)}
UPSTREAM_COST = "cost_details.upstream_inference_cost"  # OpenRouter: charged by the vendor of the caller's own key
# part -> the quantities that it can't exceed
PARTS = {
    "cached_input_tokens": ("input_tokens",),
    "cache_write_tokens": ("input_tokens",),
    "cache_write_1h_tokens": ("cache_write_tokens",),
    "input_audio_tokens": ("input_tokens",),
    "image_tokens": ("input_tokens",),
    "input_video_tokens": ("input_tokens",),
    "cached_audio_tokens": ("cached_input_tokens", "input_audio_tokens"),
    "cached_image_tokens": ("cached_input_tokens", "image_tokens"),
    "reasoning_tokens": ("output_tokens",),
    "output_audio_tokens": ("output_tokens",),
    "output_image_tokens": ("output_tokens",),
}

Amount = tuple[str, Decimal]  # the path of a number and its value
Quantities = dict[str, Decimal]


class Evaluation(NamedTuple):
    """What one response says: quantities by unit, the vendor's cost in USD, and the paths of the other numbers.

    `unknown` has the numbers among the unread that no table knows; the others contradict what was read.
    """

    reader: str
    quantities: Quantities
    cost: Decimal | None
    excludes_cached: bool
    ignored: list[str]
    unread: list[str]
    unknown: Quantities  # by path


def evaluate(shape: Shape | None, leaves: Mapping[str, Leaf], *, own_key: bool = False) -> Evaluation:
    """Read the numbers by the shape's table. `own_key`: the vendor was called with the caller's own key (OpenRouter)."""
    shape = shape or UNKNOWN
    leaves, unread = _without_repetitions(leaves)
    amounts: defaultdict[str, list[Amount]] = defaultdict(list)
    for path, leaf in leaves.items():
        if leaf.value is not None:
            amounts[leaf.name].append((path, leaf.value))
    costs = (*COSTS, UPSTREAM_COST) if own_key else tuple(COSTS)
    read = {path for path, _ in _stated(costs, amounts)}
    quantities = _quantities(shape, amounts, read, unread)
    cost = _cost({name: amounts[name][0] for name in costs if name in amounts}, unread)
    unread += _different_totals(shape, amounts)
    read.update(unread)
    ignored, unknown = list[str](), Quantities()
    for path, leaf in leaves.items():
        if leaf.value == 0 or path in read:
            continue
        if _is_informational(leaf, shape):
            ignored.append(path)
            continue
        unread.append(path)
        if leaf.value is not None:
            unknown[path] = leaf.value
    return Evaluation(shape.name, quantities, cost, shape.excludes_cached, ignored, unread, unknown)


def _is_informational(leaf: Leaf, shape: Shape) -> bool:
    is_known = leaf.name in shape.names and leaf.value is not None
    return is_known or bool(leaf.name and shape.ignored.match(leaf.name))


def _without_repetitions(leaves: Mapping[str, Leaf]) -> tuple[dict[str, Leaf], list[str]]:
    """The numbers without those that another spelling of the same field repeats, and the paths of repetitions that differ."""
    first: dict[str, str] = {}
    for path in leaves:
        first.setdefault(snake_case(path), path)
    unique = {path: leaves[path] for path in first.values()}
    return unique, [path for path, leaf in leaves.items() if leaf.value != leaves[first[snake_case(path)]].value]


def _quantities(shape: Shape, amounts: Mapping[str, list[Amount]], read: set[str], unread: list[str]) -> Quantities:
    """The quantities by the shape's formulas; adds the paths of what was read, and of what was invalid or cut."""
    quantities: Quantities = {}
    sources: dict[str, list[str]] = {}
    for quantity, text in shape.reads.items():
        factor = DECIMAL_QUANTITIES.get(quantity)
        value, sources[quantity], invalid = _value(text, amounts, whole=factor is None)
        read.update(sources[quantity])
        unread += invalid
        if value is not None:
            quantities[quantity] = value * (factor or 1)
    if "cache_write_1h_tokens" in quantities:
        quantities.setdefault("cache_write_tokens", quantities["cache_write_1h_tokens"])
    unread += [path for part in limit_parts(quantities, shape.excludes_cached) for path in sources.get(part, ())]
    return quantities


def _value(
    text: Formula, amounts: Mapping[str, list[Amount]], *, whole: bool
) -> tuple[Decimal | None, list[str], list[str]]:
    """The formula's value, the paths that it comes from, and the paths that are invalid or differ from it."""
    invalid: list[str] = []
    for alternatives in text:
        sums = []
        for terms in alternatives:
            stated = _stated(terms, amounts)
            valid = [(path, value) for path, value in stated if _is_valid(value, whole)]
            invalid += [path for path, value in stated if not _is_valid(value, whole)]
            total = sum((value for _, value in valid), Decimal())
            if valid and total <= MAX_COUNT:
                sums.append((total, [path for path, _ in valid]))
            else:
                invalid += [path for path, _ in valid]
        if sums:
            total = next((value for value, _ in sums if value), Decimal())
            invalid += [path for value, paths in sums if value not in (0, total) for path in paths]
            return total, [path for _, paths in sums for path in paths], invalid
    return None, [], invalid


def _stated(terms: Terms, amounts: Mapping[str, list[Amount]]) -> list[Amount]:
    return [amount for name in terms for amount in amounts.get(name, ())]


def _is_valid(value: Decimal, whole: bool) -> bool:
    return value >= 0 and (not whole or value == value.to_integral_value())


def limit_parts(quantities: Quantities, excludes_cached: bool) -> list[str]:
    """Cut parts that exceed their whole, which no event may state; returns the names of these parts."""
    cut = []
    for part in [part for part in PARTS if quantities.get(part)]:
        limit = min(_room(quantities, part, whole, excludes_cached) for whole in PARTS[part])
        if quantities[part] > limit:
            quantities[part] = limit
            cut.append(part)
    return cut


def _room(quantities: Quantities, part: str, whole: str, excludes_cached: bool) -> Decimal:
    room = quantities.get(whole, Decimal())
    if whole == "input_tokens" and excludes_cached:
        return Decimal(MAX_COUNT)  # the parts of the input may be cached, beside it
    if part == "cache_write_tokens":
        room -= quantities.get("cached_input_tokens", Decimal())
    return room


def _different_totals(shape: Shape, amounts: Mapping[str, list[Amount]]) -> list[str]:
    """The paths of stated totals that differ from what they are the total of."""
    different = []
    for name, text in shape.totals.items():
        stated = amounts.get(name, [])
        sums = [sum(value for _, value in parts) for terms in text[0] if (parts := _stated(terms, amounts))]
        total = sum(value for _, value in stated)
        if total and total not in sums and (sums or not shape.reads_name(name)):
            different += [path for path, _ in stated]
    return different


def _cost(stated: Mapping[str, Amount], unread: list[str]) -> Decimal | None:
    """The vendor's cost in USD. A cost of 0 in parts is what Perplexity states before it knows the cost."""
    unread += [path for path, value in stated.values() if value < 0]
    costs = {name: value for name, (_, value) in stated.items() if value >= 0}
    upstream = costs.pop(UPSTREAM_COST, Decimal())
    name = next((name for name, value in costs.items() if value or name == "cost"), None)
    return None if name is None else costs[name] * COSTS[name] + upstream


def merge(evaluations: Iterable[Evaluation]) -> Evaluation:
    """The sum of several responses. Where only some state cached tokens in addition to the input, all are made to include."""
    parts = list(evaluations)
    if len({part.excludes_cached for part in parts if part.quantities}) > 1:
        parts = [_including_cached(part) for part in parts]
    quantities = _sum(part.quantities for part in parts)
    costs = [part.cost for part in parts]
    return Evaluation(
        parts[-1].reader if parts else "",
        quantities,
        None if None in costs or not costs else sum((cost for cost in costs if cost is not None), Decimal()),
        any(part.excludes_cached for part in parts if part.quantities),
        [path for part in parts for path in part.ignored],
        [path for part in parts for path in part.unread],
        _sum(part.unknown for part in parts),
    )


def _sum(parts: Iterable[Quantities]) -> Quantities:
    total: defaultdict[str, Decimal] = defaultdict(Decimal)
    for part in parts:
        for name, value in part.items():
            total[name] += value
    return dict(total)


def _including_cached(part: Evaluation) -> Evaluation:
    if not part.excludes_cached:
        return part
    beside = sum(
        (part.quantities.get(name, Decimal()) for name in ("cached_input_tokens", "cache_write_tokens")), Decimal()
    )
    inputs = part.quantities.get("input_tokens", Decimal()) + beside
    return part._replace(quantities={**part.quantities, "input_tokens": inputs}, excludes_cached=False)
