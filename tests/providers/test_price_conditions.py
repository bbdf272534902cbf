"""What rates depend on: normal form, UTC windows, and the tokens that a stated context implies."""

from __future__ import annotations

import pytest

from providers import price_conditions


@pytest.mark.parametrize(
    ("stated", "normal"),
    [
        ({"service_tier": " Batch "}, {"service_tier": "batch"}),
        *(({"service_tier": value}, {"service_tier": ""}) for value in ("default", "AUTO", "standard", "on_demand")),
        ({"speed": "standard"}, {"speed": ""}),
        ({"inference_geo": "global"}, {"inference_geo": ""}),
        ({"inference_geo": "not_available"}, {"inference_geo": ""}),
        ({"search_context": "medium"}, {"search_context": ""}),
        ({"search_context": None, "region": None}, {"search_context": "", "region": ""}),
        # a given condition has no default value
        ({"region": "global", "quality": "standard"}, {"region": "global", "quality": "standard"}),
        # the fast service tier and the fast speed are one thing
        ({"service_tier": "fast"}, {"speed": "fast"}),
        ({"service_tier": "standard", "speed": "fast"}, {"service_tier": "", "speed": "fast"}),
        ({"service_tier": "Fast", "speed": "FAST"}, {"speed": "fast"}),
        ({"service_tier": "fast", "speed": "turbo"}, {"service_tier": "fast", "speed": "turbo"}),
    ],
)
def test_conditions_have_a_normal_form(stated: dict[str, str | None], normal: dict[str, str]) -> None:
    assert price_conditions.normalize(stated.items()) == normal


@pytest.mark.parametrize(
    ("window", "inside", "outside"),
    [
        ("16:30-00:30", (990, 1439, 0, 29), (30, 989)),
        ("01:00-04:00", (60, 239), (59, 240, 0)),
        ("22:00-24:00", (1320, 1439), (1319, 0)),
        ("00:00-00:01", (0,), (1, 1439)),
    ],
)
def test_a_window_is_half_open_and_may_cross_midnight(
    window: str, inside: tuple[int, ...], outside: tuple[int, ...]
) -> None:
    assert [minute for minute in inside if not price_conditions.is_within(window, minute)] == []
    assert [minute for minute in outside if price_conditions.is_within(window, minute)] == []


@pytest.mark.parametrize("text", ["", "night", "16-20", "24:00-01:00", "01:00-25:00", "01:60-02:00", "05:00-05:00"])
def test_other_texts_are_no_window(text: str) -> None:
    assert price_conditions.start_of(text) is None
    assert not price_conditions.is_within(text, 300)
    assert price_conditions.problem(f"hours={text}") == "Enter the hours as a UTC window, such as hours=16:30-00:30."


@pytest.mark.parametrize(
    ("variant", "problem"),
    [
        ("", ""),
        ("hours=16:30-00:30, Region=eu-west-1", ""),
        ("service_tier=batch,speed=fast,inference_geo=us,search_context=low,resolution=,quality=hd", ""),
        ("context=long", "Use service_tier=…"),
        ("colour=red", "Use service_tier=…"),
        ("speed=fast,speed=slow", "each at most once"),
    ],
)
def test_the_conditions_of_a_rate_are_checked(variant: str, problem: str) -> None:
    assert problem in price_conditions.problem(variant)
    assert bool(problem) == bool(price_conditions.problem(variant))


@pytest.mark.parametrize(
    ("context", "tokens"),
    [
        ("", 0),
        ("200k-1M", 200_001),
        ("200K - 1m tokens", 200_001),
        ("200,001-1,000,000", 200_002),
        ("128–200k", 128_001),  # noqa: RUF001 - a vendor's dash
        ("32k to 128k", 32_001),
        ("0.5M..1M", 500_001),
        ("> 200k", 200_001),
        (">200000 tokens", 200_001),
        ("over 272k", 272_001),
        ("200k+", 200_001),
        (">= 200k", 200_000),
        ("≥ 200k", 200_000),
        ("0-200k", 0),
        ("<= 200k", 0),
        ("≤ 200k", 0),
        ("< 200k", 0),
        ("up to 200k", 0),
        ("1M", 0),  # the limit of a window: nothing is known to exceed less
        ("200k", 0),
    ],
)
def test_a_context_says_how_many_tokens_each_request_had_at_least(context: str, tokens: int) -> None:
    assert price_conditions.min_tokens(context) == tokens


@pytest.mark.parametrize("context", ["extended", "1M-200k", "k", "-", "200k-", "<", "200k/1M", "9" * 60])
def test_an_unreadable_context_says_nothing(context: str) -> None:
    assert price_conditions.min_tokens(context) is None
