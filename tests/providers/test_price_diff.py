"""The rate changes between two prices, compared by what each unit bills at, in exact integers."""

from __future__ import annotations

from decimal import Decimal

import pytest

from providers import price_diff
from providers.costing import Rate
from providers.price_diff import RateChange

INPUT = Rate("input_tokens", "", 0, 1000)


def changes_as_tuples(current: list[Rate], proposed: list[Rate]) -> list[tuple[str, str, int, int | None, int | None]]:
    changes = price_diff.rate_changes(current, proposed)
    return [
        (change.unit, change.variant, change.above, change.current_nano, change.proposed_nano) for change in changes
    ]


def test_each_rate_of_either_price_is_listed_once_and_totals_come_before_parts() -> None:
    output, cached = Rate("output_tokens", "", 0, 5000), Rate("cached_input_tokens", "", 0, 100)
    assert changes_as_tuples([cached, INPUT], [output, Rate("input_tokens", "", 0, 1500)]) == [
        ("input_tokens", "", 0, 1000, 1500),
        ("output_tokens", "", 0, None, 5000),
        ("cached_input_tokens", "", 0, 100, 1500),
    ]


@pytest.mark.parametrize(
    ("cell", "falls_under"),
    [
        (Rate("cached_input_tokens", "", 0, 100), INPUT),
        (Rate("cache_write_tokens", "", 0, 100), INPUT),
        (Rate("cache_write_1h_tokens", "", 0, 100), INPUT),
        (Rate("cache_write_1h_tokens", "", 0, 100), Rate("cache_write_tokens", "", 0, 1000)),
        (Rate("input_audio_tokens", "", 0, 100), INPUT),
        (Rate("reasoning_tokens", "", 0, 100), Rate("output_tokens", "", 0, 1000)),
        (Rate("input_tokens", "service_tier=batch", 0, 100), INPUT),
        (Rate("input_tokens", "", 200_000, 100), INPUT),
        (Rate("images", "resolution=4k", 0, 100), Rate("images", "", 0, 1000)),
        (Rate("cached_input_tokens", "service_tier=batch", 200_000, 100), INPUT),
    ],
)
def test_a_new_rate_is_compared_with_the_rate_that_applied_before(cell: Rate, falls_under: Rate) -> None:
    changes = {
        (change.unit, change.variant, change.above): change
        for change in price_diff.rate_changes([falls_under], [falls_under, cell])
    }
    change = changes[cell.unit, cell.variant, cell.above]
    assert (change.current_nano, change.proposed_nano, change.percent, change.is_large) == (
        1000,
        100,
        Decimal(-90),
        True,
    )


@pytest.mark.parametrize(
    ("current", "proposed", "percent", "large"),
    [
        (1000, 1000, "0.00", False),
        (1000, 1200, "20.00", False),
        (1000, 1201, "20.10", True),
        (1000, 800, "-20.00", False),
        (1000, 799, "-20.10", True),
        (5 * 10**17, 10**18, "100.00", True),
        (5 * 10**17, 6 * 10**17 + 1, "20.00", True),  # above 20 % by one nano-USD
        (3, 1, "-66.67", True),
        (0, 0, "0", False),
        (None, None, "0", False),
        (0, 1, None, True),
        (None, 1, None, True),
        (1, None, None, True),
        (1, 0, "-100.00", True),
    ],
)
def test_percent_and_the_limit_of_twenty_percent(
    current: int | None, proposed: int | None, percent: str | None, large: bool
) -> None:
    change = RateChange("images", "", 0, current, proposed)
    assert change.percent == (None if percent is None else Decimal(percent))
    assert change.is_large is large


def test_the_largest_change_keeps_its_sign() -> None:
    current, proposed = (
        [INPUT, Rate("images", "", 0, 10)],
        [Rate("input_tokens", "", 0, 700), Rate("images", "", 0, 12)],
    )
    assert price_diff.largest_percent(price_diff.rate_changes(current, proposed)) == Decimal(-30)
    assert price_diff.largest_percent(price_diff.rate_changes([], [INPUT])) is None


def test_prices_contradict_only_in_rates_that_both_have() -> None:
    batch = Rate("input_tokens", "service_tier=batch", 0, 500)
    assert not price_diff.contradict([INPUT, batch], [INPUT, Rate("output_tokens", "", 0, 7)])
    assert price_diff.contradict([INPUT, batch], [Rate("input_tokens", "", 0, 1001)])
    assert not price_diff.contradict([], [INPUT])


OUTPUT, CACHED = Rate("output_tokens", "", 0, 5000), Rate("cached_input_tokens", "", 0, 100)
BATCH = Rate("input_tokens", "service_tier=batch", 0, 500)


@pytest.mark.parametrize(
    ("rate", "proposed"),
    [
        (OUTPUT, [INPUT]),
        (CACHED, [INPUT, OUTPUT]),
        (BATCH, [INPUT, Rate("input_tokens", "service_tier=flex", 0, 500)]),
        (Rate("input_tokens", "service_tier=batch", 0, 1000), [INPUT]),  # such a call is unpriced without it
        (Rate("input_tokens", "", 200_000, 2000), [INPUT]),
        (Rate("searches", "", 0, 1), [INPUT]),
    ],
)
def test_a_rate_that_the_proposed_price_lacks_is_dropped(rate: Rate, proposed: list[Rate]) -> None:
    assert price_diff.dropped([INPUT, rate], proposed) == [rate]


@pytest.mark.parametrize(
    ("current", "proposed"),
    [
        ([], [INPUT]),
        ([INPUT], [Rate("input_tokens", "", 0, 1)]),
        ([INPUT, CACHED], [INPUT, CACHED, OUTPUT]),
        ([OUTPUT, Rate("reasoning_tokens", "", 0, 5000)], [Rate("output_tokens", "", 0, 4000)]),
        ([INPUT, CACHED], [Rate("input_tokens", "", 0, 100)]),  # cached tokens cost the same
        ([Rate("input_tokens", "service_tier=fast", 0, 9)], [Rate("input_tokens", "speed=fast", 0, 9)]),
        (
            [Rate("input_tokens", "inference_geo=us,speed=fast", 0, 9)],
            [Rate("input_tokens", "speed=fast,inference_geo=us", 0, 9)],
        ),
    ],
)
def test_a_changed_or_redundant_rate_is_not_dropped(current: list[Rate], proposed: list[Rate]) -> None:
    assert price_diff.dropped(current, proposed) == []


def test_a_call_whose_order_the_proposed_price_does_not_know_has_no_rate() -> None:
    assert changes_as_tuples([INPUT, BATCH], [INPUT]) == [
        ("input_tokens", "", 0, 1000, 1000),
        ("input_tokens", "service_tier=batch", 0, 500, None),
    ]


def test_hours_at_the_rate_of_all_others_are_not_dropped() -> None:
    peak = Rate("input_tokens", "hours=01:00-04:00", 0, 2000)
    assert price_diff.dropped([INPUT, peak], [Rate("input_tokens", "", 0, 2000)]) == []
    assert price_diff.dropped([INPUT, peak], [INPUT]) == [peak]
