"""Rules without a database's part in it: detection against a dict look-up, costing against genai-prices."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bench import load, rounds
from bench.outcome import Outcome, compared, shown
from bench.rows import Sizes
from providers import costing, price_book, rulebook
from providers.costing import Quantities
from providers.detection import Call

CALLS, COLD_CALLS, PEER_CALLS = 200_000, 20_000, 2_000
MEMOISED, COLD, COSTING = 0.3, 50_000, 20.0
MODELS = ("gpt-4o", "gpt-4o-mini")  # known to both books


def detection(sizes: Sizes) -> list[Outcome]:
    """As the write path asks (memoised), and for calls that were never seen: a new path under a known kind."""
    book = rulebook.current()
    kinds = [Call(kind.provider, kind.model, kind.endpoint) for kind in load.KINDS]
    known = {call: book.detect(call) for call in kinds}
    calls = random.Random(1).choices(kinds, k=CALLS)
    pairs = rounds.alternated(sizes.rounds, lambda: _rate(book.detect, calls), lambda: _rate(known.__getitem__, calls))
    strangers = [call._replace(endpoint=f"{call.endpoint}/{number}") for number, call in enumerate(calls[:COLD_CALLS])]
    cold = max(_rate(rulebook.current().rules.detect, strangers) for _ in range(sizes.rounds))
    return [
        compared("detection, memoised", pairs, unit="/s", peer="dict look-up", target=MEMOISED),
        Outcome("detection, cold", f"{shown(cold)} /s", f"limit: {COLD:,} /s", cold / COLD, 1.0),
    ]


def costing_rows(sizes: Sizes) -> list[Outcome]:
    """Units x rates of the same calls; the peer finds its price in the same breath, and so do we."""
    chance, at = random.Random(1), datetime.now(UTC)
    book, today = price_book.current(), at.date()
    calls = [(chance.choice(MODELS), chance.randint(1, 8_000), chance.randint(1, 4_000)) for _ in range(CALLS // 10)]

    def ours(call: tuple[str, int, int]) -> object:
        model, tokens_in, tokens_out = call
        price = book.find("openai", model, today)
        return price and costing.cost(price, Quantities(input_tokens=tokens_in, output_tokens=tokens_out))

    peer = _genai_prices(at)
    pairs = rounds.alternated(sizes.rounds, lambda: _rate(ours, calls), lambda: _rate(peer, calls[:PEER_CALLS]))
    return [compared("costing", pairs, unit="/s", peer="genai-prices", target=COSTING)]


def _genai_prices(at: datetime) -> Callable[[tuple[str, int, int]], object]:
    from genai_prices import Usage, calc_price  # an extra: only this row needs it

    def cost(call: tuple[str, int, int]) -> object:
        model, tokens_in, tokens_out = call
        usage = Usage(input_tokens=tokens_in, output_tokens=tokens_out)
        return calc_price(usage, model, provider_id="openai", genai_request_timestamp=at)

    return cost


def _rate(work: Callable[[Any], object], arguments: list[Any]) -> float:
    """Calls a second of one core."""

    def all_of_them() -> None:
        for argument in arguments:
            work(argument)

    return len(arguments) / rounds.cpu_seconds(all_of_them)
