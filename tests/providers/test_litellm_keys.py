"""Every key of a LiteLLM entry: a rate, information, or named as what the price is offered without."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.costing import PricedModel, cost
from providers.price_sources import litellm_conditions, litellm_keys
from providers.price_sources.litellm_fields import ImageSize, Unsupported, rates
from providers.quantities import Quantities, Variant
from providers.regions import region_of

PRICE = {"litellm_provider": "deepseek", "mode": "chat", "input_cost_per_token": 3, "output_cost_per_token": 12}
OFF_PEAK = {"input_cost_per_token": 1, "output_cost_per_token": 6}
WEEKDAYS, WEEKEND = [1, 2, 3, 4, 5], [6, 7]
PLAIN = {("input_tokens", "", 3), ("output_tokens", "", 12)}
NANO_PER_MILLION = 10**15  # for one USD per unit


def read_rates(**fields: Any) -> tuple[set[tuple[str, str, Any]], set[str]]:
    """The rates as (unit, variant, USD per unit), and what they lack."""
    offered, without = rates(PRICE | fields, "chat", ImageSize())
    return {(rate.unit, rate.variant, rate.nano_per_million / NANO_PER_MILLION) for rate in offered}, without


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "flex", "2026-01-01", "0.5", "$3"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=3),
    max_leaves=6,
)
KNOWN = {
    *litellm_keys.INFORMATIONAL,
    *litellm_conditions.KEYS,
    *PRICE,
    "search_context_cost_per_query",
    "tiered_pricing",
}


def is_unknown(key: str) -> bool:
    """No price, and no information by the lists in the code."""
    field = re.sub(
        r"_above_\d+k_tokens|_(batches|priority|flex|fast|ultrafast|balanced|\d{3,4}p|\d(\.\d)?[kK])$", "", key
    )
    return key not in KNOWN and field not in litellm_keys.UNITS and not re.match("max_|supports_|token_count_", key)


@given(
    key=st.text(min_size=1, max_size=30) | st.sampled_from(["off_peak", "new_cost_per_hour", "us"]), value=JSON_VALUES
)
def test_an_unknown_key_flags_the_price_exactly_if_its_value_holds_a_number(key: str, value: Any) -> None:
    if not is_unknown(key):
        return
    offered, without = read_rates(**{key: value})
    assert offered == PLAIN
    assert bool(without) == litellm_keys.holds_number(value)


@pytest.mark.parametrize(
    "key",
    [
        *("fedramp_discount", "off_peak_input_cost_per_token", "input_cost_per_token_asia", "search_free_requests"),
        *(
            "google_maps_grounding_cost_per_query",
            "cache_creation_input_token_cost_above_12hr",
            "citation_cost_per_token",
        ),
        *("regional_endpoint_uplift_multiplier", "max_cost_per_request", "supports_price_multiplier"),
    ],
)
@pytest.mark.parametrize("value", [2, 0, "0.5", {"count": 2}, [[1]]])
def test_a_key_that_no_rate_can_express_is_named(key: str, value: Any) -> None:
    assert read_rates(**{key: value}) == (PLAIN, {key})


@pytest.mark.parametrize("key", [*litellm_keys.INFORMATIONAL, "max_tokens", "supports_tiers", "token_count_framing"])
def test_information_names_nothing(key: str) -> None:
    outer, _, inner = key.partition(".")
    assert read_rates(**{outer: {inner: 7} if inner else 7}) == (PLAIN, set())


def test_variations_of_one_unknown_key_are_named_once() -> None:
    base = "cache_creation_input_token_cost_above_12hr"
    _, without = read_rates(
        **{f"{base}{suffix}": 1 for suffix in ("", "_flex", "_above_272k_tokens", "_above_272k_tokens_batches")}
    )
    assert without == {base}


@pytest.mark.parametrize("tier", ["priority", "flex", "fast", "ultrafast", "balanced"])
def test_each_service_tier_is_a_condition(tier: str) -> None:
    assert read_rates(**{f"input_cost_per_token_{tier}": 5}) == (
        PLAIN | {("input_tokens", f"service_tier={tier}", 5)},
        set(),
    )


def test_searches_that_are_not_billed_by_query_are_named() -> None:
    assert read_rates(web_search_billing_unit="per_query")[1] == set()
    assert read_rates(web_search_billing_unit="per_prompt")[1] == {"web_search_billing_unit"}


class TestOffPeak:
    @pytest.mark.parametrize(
        "hours",
        [
            {"hours_utc": "16:30-00:30"},
            {"hours_utc": ["16:30-00:30"], "weekday_timezone": "Asia/Shanghai"},
            {"windows": [{"hours_utc": ["16:30-00:30"]}]},
            {"windows": [{"hours_utc": "16:30-00:30", "weekdays": days} for days in (WEEKDAYS, WEEKEND)]},
        ],
    )
    def test_the_same_hours_every_day_are_rates(self, hours: dict[str, Any]) -> None:
        night = {("input_tokens", "hours=16:30-00:30", 1), ("output_tokens", "hours=16:30-00:30", 6)}
        assert read_rates(off_peak_pricing=OFF_PEAK | hours) == (PLAIN | night, set())

    @pytest.mark.parametrize(
        "plan",
        [
            {"windows": [{"hours_utc": ["10:00-00:00"], "weekdays": WEEKDAYS}]},
            {"windows": [{"hours_utc": ["10:00-11:00"], "weekdays": ["monday"]}]},
            {"hours_utc": "16:30-00:30", "windows": [{"hours_utc": "00:00-00:00", "weekdays": WEEKEND}]},
            {"hours_utc": "00:00-00:00"},  # always: then what is the standard price?
            {"hours_utc": "at night"},
            {"hours_utc": "16:30-00:30", "new_key": 1},
            {"hours_utc": "16:30-00:30", "input_cost_per_token": 0},
            {"hours_utc": "16:30-00:30", "cache_read_input_token_cost": 1},  # without a standard price
            {"hours_utc": 7},
            {"windows": 7},
            {},
        ],
    )
    def test_any_other_plan_is_named(self, plan: dict[str, Any]) -> None:
        assert read_rates(off_peak_pricing=OFF_PEAK | plan) == (PLAIN, {"off_peak_pricing"})

    @pytest.mark.parametrize("plan", [None, 3, "night", [1]])
    def test_a_plan_of_another_form_is_named(self, plan: Any) -> None:
        assert read_rates(off_peak_pricing=plan) == (PLAIN, {"off_peak_pricing"})

    def test_hours_of_a_price_with_tiers_are_named(self) -> None:
        _, without = read_rates(
            off_peak_pricing=OFF_PEAK | {"hours_utc": "01:00-02:00"}, input_cost_per_token_batches=1
        )
        assert without == {"off_peak_pricing"}


class TestMultipliers:
    @pytest.mark.parametrize(
        ("fields", "condition"),
        [
            ({"regional_processing_uplift_multiplier_eu": 2}, "region=eu"),
            ({"regional_processing_uplift_multiplier_us": 2}, "region=us"),
            ({"fedramp_uplift_multiplier": 2}, "region=gov"),
            ({"provider_specific_entry": {"us": 2}}, "inference_geo=us"),
            ({"provider_specific_entry": {"fast": 2}}, "speed=fast"),
        ],
    )
    def test_a_multiplier_is_a_rate_of_each_token_unit_under_its_condition(
        self, fields: dict[str, Any], condition: str
    ) -> None:
        multiplied = {("input_tokens", condition, 6), ("output_tokens", condition, 24)}
        offered, without = read_rates(**fields, input_cost_per_request=5)
        assert (offered, without) == (PLAIN | multiplied | {("requests", "", 5)}, set())

    def test_multipliers_apply_together_and_to_tiers_but_a_batch_is_never_fast(self) -> None:
        offered, _ = read_rates(provider_specific_entry={"us": 2, "fast": 3}, input_cost_per_token_batches=1)
        assert {(variant, usd) for unit, variant, usd in offered if unit == "input_tokens"} == {
            ("", 3),
            ("inference_geo=us", 6),
            ("speed=fast", 9),
            ("inference_geo=us,speed=fast", 18),
            ("service_tier=batch", 1),
            ("inference_geo=us,service_tier=batch", 2),
        }

    def test_regions_exclude_each_other(self) -> None:
        offered, _ = read_rates(regional_processing_uplift_multiplier_eu=2, fedramp_uplift_multiplier=3)
        assert {variant for _, variant, _ in offered} == {"", "region=eu", "region=gov"}

    @pytest.mark.parametrize("factor", [0, -1, 101, "2", {"a": 1}])
    def test_an_implausible_multiplier_is_named(self, factor: Any) -> None:
        assert read_rates(fedramp_uplift_multiplier=factor) == (PLAIN, {"fedramp_uplift_multiplier"})

    def test_another_key_of_the_vendor_is_named_with_its_path(self) -> None:
        assert read_rates(provider_specific_entry={"eu": 2, "schema": "v2"}) == (PLAIN, {"provider_specific_entry.eu"})
        assert read_rates(provider_specific_entry=[2]) == (PLAIN, {"provider_specific_entry"})

    def test_inside_a_tier_it_is_named(self) -> None:
        tier = {"range": [0, 5], "cache_read_input_token_cost": 1, "fedramp_uplift_multiplier": 2, "x": 3}
        offered, without = read_rates(tiered_pricing=[tier])
        assert (offered, without) == (PLAIN | {("cached_input_tokens", "", 1)}, {"fedramp_uplift_multiplier", "x"})


@pytest.mark.parametrize(("host", "region"), [("eu", "eu"), ("us", "us"), ("gov", "gov"), ("", "")])
def test_the_regional_hosts_of_openai_name_the_region_of_the_rates(host: str, region: str) -> None:
    endpoint = f"https://{host}.api.openai.com/v1/responses" if host else "https://api.openai.com/v1/responses"
    assert region_of(endpoint) == region


@pytest.mark.parametrize(
    ("variant", "nano"),
    [
        (Variant(), 3_000_000),
        (Variant(region="eu"), 3_300_000),
        (Variant(service_tier="batch", region="eu"), 1_650_000),
        (Variant(speed="fast"), 6_000_000),
        (Variant(speed="fast", inference_geo="us"), 6_600_000),
    ],
)
def test_a_call_is_charged_by_the_product_of_the_multipliers(variant: Variant, nano: int) -> None:
    fields = {
        "input_cost_per_token": Decimal("3e-6"),
        "input_cost_per_token_batches": Decimal("1.5e-6"),
        "regional_processing_uplift_multiplier_eu": Decimal("1.1"),
        "provider_specific_entry": {"us": Decimal("1.1"), "fast": Decimal(2)},
    }
    offered, _ = rates(fields, "chat", ImageSize())
    price = PricedModel(1, "acme", "m", date.min, "test", tuple(offered))
    result = cost(price, Quantities(input_tokens=1000, variant=variant))
    assert (result.total_nano, result.unknown_condition) == (nano, "")


def test_a_product_out_of_range_leaves_the_price_out() -> None:
    with pytest.raises(Unsupported, match="a price out of range"):
        read_rates(input_cost_per_token=Decimal("1e1000000"), fedramp_uplift_multiplier=2)
