"""Rates of the pure rules: detection against a dict look-up, costing against genai-prices."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bench import timing, workloads
from bench.benchmarks import Sizes
from bench.measurement import Measurement, compare_rates, format_number
from providers import costing, price_book, rulebook
from providers.detection import Call
from providers.quantities import Quantities

DETECTION_CALLS, COLD_CALLS, COSTING_CALLS, PEER_CALLS = 200_000, 20_000, 20_000, 2_000
MEMOISED_TARGET, COLD_CALLS_PER_SECOND, COSTING_TARGET = 0.3, 50_000, 20.0
MODELS = ("gpt-4o", "gpt-4o-mini")  # priced by both


def measure_detection(sizes: Sizes) -> list[Measurement]:
    """Memoised, as on the write path, and cold: known kinds of calls with new endpoint paths."""
    book = rulebook.current()
    distinct = [Call(kind.provider, kind.model, kind.endpoint) for kind in workloads.CALL_KINDS]
    look_up = {call: book.detect(call) for call in distinct}.__getitem__
    calls = random.Random(1).choices(distinct, k=DETECTION_CALLS)
    rates = timing.alternate(
        sizes.rounds, lambda: _calls_per_second(book.detect, calls), lambda: _calls_per_second(look_up, calls)
    )
    new_calls = [call._replace(endpoint=f"{call.endpoint}/{number}") for number, call in enumerate(calls[:COLD_CALLS])]
    cold = max(_calls_per_second(rulebook.current().rules.detect, new_calls) for _ in range(sizes.rounds))
    return [
        compare_rates("detection, memoised", rates, unit="/s", peer="dict look-up", target=MEMOISED_TARGET),
        Measurement(
            "detection, cold",
            f"{format_number(cold)} /s",
            f"limit: {COLD_CALLS_PER_SECOND:,} /s",
            cold / COLD_CALLS_PER_SECOND,
            1.0,
        ),
    ]


def measure_costing(sizes: Sizes) -> list[Measurement]:
    """Price look-up and cost of the same calls by both."""
    rng, at = random.Random(1), datetime.now(UTC)
    book, today = price_book.current(), at.date()
    calls = [(rng.choice(MODELS), rng.randint(1, 8_000), rng.randint(1, 4_000)) for _ in range(COSTING_CALLS)]

    def ours(call: tuple[str, int, int]) -> object:
        model, tokens_in, tokens_out = call
        price = book.find("openai", model, today)
        return price and costing.cost(price, Quantities(input_tokens=tokens_in, output_tokens=tokens_out))

    peer = _genai_prices(at)
    rates = timing.alternate(
        sizes.rounds, lambda: _calls_per_second(ours, calls), lambda: _calls_per_second(peer, calls[:PEER_CALLS])
    )
    return [compare_rates("costing", rates, unit="/s", peer="genai-prices", target=COSTING_TARGET)]


def _genai_prices(at: datetime) -> Callable[[tuple[str, int, int]], object]:
    from genai_prices import Usage, calc_price  # an extra, needed only here

    def cost(call: tuple[str, int, int]) -> object:
        model, tokens_in, tokens_out = call
        usage = Usage(input_tokens=tokens_in, output_tokens=tokens_out)
        return calc_price(usage, model, provider_id="openai", genai_request_timestamp=at)

    return cost


def _calls_per_second(work: Callable[[Any], object], arguments: list[Any]) -> float:
    """Calls per second of CPU time."""

    def run_all() -> None:
        for argument in arguments:
            work(argument)

    return len(arguments) / timing.elapsed_cpu_seconds(run_all)
