"""Units of the second round: cached audio and images, video input, image output, web fetches, sessions."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from providers.costing import PricedModel, Rate, cost
from providers.quantities import Quantities, has_usage

USD_PER_MTOK = 10**9
USD_PER_UNIT = 10**15

REALTIME = {"input_tokens": 4, "output_tokens": 16, "input_audio_tokens": 32, "output_audio_tokens": 64}
CACHED = {"cached_input_tokens": "0.40"}
SENT: dict[str, Any] = {
    "input_tokens": 1000,
    "cached_input_tokens": 600,
    "input_audio_tokens": 800,
    "cached_audio_tokens": 500,
    "output_tokens": 100,
    "output_audio_tokens": 80,
}


def priced(rates: dict[str, Any]) -> PricedModel:
    """A price with these rates in USD per million tokens."""
    nano = {unit: int(float(usd) * 100) * USD_PER_MTOK // 100 for unit, usd in rates.items()}
    rows = tuple(Rate(unit, "", 0, amount) for unit, amount in nano.items())
    return PricedModel(7, "acme", "m", date(2025, 1, 1), "test", rows)


@pytest.mark.parametrize(
    ("rates", "quantities", "nano"),
    [
        # 600 cached x 0.40 + 300 audio x 32 + 100 text x 4 + 80 x 64 + 20 x 16
        (REALTIME | CACHED, {"cached_input_tokens": 600, "input_audio_tokens": 300, "input_tokens": 100}, 15_680_000),
        # a rate of their own: 500 x 0.50 + 100 cached text x 0.40
        (
            REALTIME | CACHED | {"cached_audio_tokens": "0.50"},
            {
                "cached_audio_tokens": 500,
                "cached_input_tokens": 100,
                "input_audio_tokens": 300,
                "input_tokens": 100,
            },
            15_730_000,
        ),
        # without a rate for cached tokens, audio is audio: 800 x 32 + 200 x 4
        (REALTIME, {"input_audio_tokens": 800, "input_tokens": 200}, 31_840_000),
        # only cached audio has a discount: 500 x 0.50 + 300 x 32 + 200 x 4
        (
            REALTIME | {"cached_audio_tokens": "0.50"},
            {"cached_audio_tokens": 500, "input_audio_tokens": 300, "input_tokens": 200},
            16_090_000,
        ),
    ],
)
def test_cached_audio_is_a_part_of_both_counts_and_bills_once(
    rates: dict[str, Any], quantities: dict[str, int], nano: int
) -> None:
    result = cost(priced(rates), Quantities(**SENT))
    billed = {line.unit: line.quantity for line in result.lines}
    assert billed == quantities | {"output_audio_tokens": 80, "output_tokens": 20}
    assert sum(billed.values()) == 1100
    assert result.total_nano == nano


def test_cached_images_are_a_part_of_both_counts_and_bill_once() -> None:
    sent = Quantities(input_tokens=100, cached_input_tokens=60, image_tokens=50, cached_image_tokens=40)
    price = priced({"input_tokens": 5, "cached_input_tokens": 1, "image_tokens": 8, "cached_image_tokens": 2})
    assert {line.unit: line.quantity for line in cost(price, sent).lines} == {
        "cached_image_tokens": 40,
        "cached_input_tokens": 20,
        "image_tokens": 10,
        "input_tokens": 30,
    }


def test_cached_audio_beyond_the_audio_bills_no_token_twice() -> None:
    sent = Quantities(input_tokens=100, cached_input_tokens=10, cached_audio_tokens=40, input_audio_tokens=20)
    result = cost(priced(REALTIME | CACHED), sent)
    assert {line.unit: line.quantity for line in result.lines} == {"cached_input_tokens": 10, "input_tokens": 90}


@pytest.mark.parametrize(
    ("unit", "total", "part"),
    [("input_video_tokens", "input_tokens", "input"), ("output_image_tokens", "output_tokens", "output")],
)
def test_a_part_with_its_own_rate_leaves_its_total(unit: str, total: str, part: str) -> None:
    sent = Quantities(**{total: 100, unit: 40})  # type: ignore[arg-type]
    own = cost(priced({total: 1, unit: 30}), sent)
    assert [(line.unit, line.quantity, line.part) for line in own.lines] == [(unit, 40, part), (total, 60, part)]
    assert own.total_nano == 1_260_000
    assert cost(priced({total: 1}), sent).total_nano == 100_000


@pytest.mark.parametrize("unit", ["web_fetches", "sessions"])
def test_fetches_and_sessions_bill_only_where_they_are_stated(unit: str) -> None:
    price = PricedModel(7, "acme", "m", date(2025, 1, 1), "test", (Rate(unit, "", 0, USD_PER_UNIT // 100),))
    assert cost(price, Quantities(**{unit: 3})).total_nano == 30_000_000  # type: ignore[arg-type]
    assert not cost(price, Quantities(requests=5, category="search")).billed
    assert has_usage(Quantities(**{unit: 1}))  # type: ignore[arg-type]
