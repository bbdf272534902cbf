"""Rating: what was served is priced, unpriced calls say why, and a stored log is rated as its event was."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import pytest

from billing.charges import rating
from billing.charges.rating import RatedEvent
from billing.errors import Refused
from billing.events import events
from billing.models import UsageLog
from lib import ids
from providers import price_edits
from providers.models import Price, PriceRate, Provider
from tests.billing.ledger_rows import record

pytestmark = pytest.mark.django_db

AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
USD_PER_MTOK = 10**9


class Served(NamedTuple):
    """What a response says."""

    model: str = ""
    variant: dict[str, str] = {}
    cost_usd: str | None = None


def set_price(pattern: str, usd: int, *more: tuple[str, str, int], provider: str = "openai", **fields: Any) -> Price:
    """A price per million input tokens; `more` are further rates: unit, variant, USD per million."""
    price = Price(
        provider=Provider.objects.get(slug=provider),
        pattern=pattern,
        valid_from=date(2026, 1, 1),
        source="test",
        **fields,
    )
    rows = [("input_tokens", "", usd), *more] if usd >= 0 else list(more)
    rates = [
        PriceRate(unit=unit, variant=variant, nano_per_million=rate * USD_PER_MTOK) for unit, variant, rate in rows
    ]
    return price_edits.add_revision(price=price, rates=rates)


def rate(
    model: str, served: Served | None = None, *, may_state_cost: bool = False, at: datetime = AT, **fields: Any
) -> RatedEvent:
    """Rates a call with a million input tokens."""
    usage = {"input_tokens": 1_000_000}
    event = events.parse({"event_id": "e", "provider": "openai", "model": model, "usage": usage, **fields})
    return rating.rate(event, at, rating.snapshot(), reading=served, may_state_cost=may_state_cost)


def cost_or_reason(rated: RatedEvent) -> int | str | None:
    """The cost in USD, or why it is unpriced."""
    assert (rated.unpriced_reason is None) == (rated.source != "unpriced")
    assert (rated.price is None) == (rated.unpriced_reason is not None)
    return rated.unpriced_reason or rated.cost.total_nano // 10**9


class TestReasons:
    def test_a_call_whose_model_has_no_price(self) -> None:
        set_price("withdrawn", -1)
        assert [cost_or_reason(rate(model)) for model in ("no-such-model", "withdrawn", "")] == ["price_unknown"] * 3

    def test_a_call_with_a_condition_that_the_price_does_not_know(self) -> None:
        set_price("m-1", 2)
        set_price("m-2", 2, holds_for=["service_tier"])
        answers = [cost_or_reason(rate(model, variant={"service_tier": "batch"})) for model in ("m-1", "m-2")]
        assert answers == ["condition_unknown", 2]

    def test_a_call_without_what_its_price_rates(self) -> None:
        set_price("m-1", 2)
        set_price("m-2", -1, ("requests", "", 1_000_000))
        set_price("m-3", -1, ("images", "", 1_000_000))
        assert cost_or_reason(rate("m-1", usage={"images": 3})) == "usage_unknown"
        assert cost_or_reason(rate("m-2", usage={})) == 1
        assert cost_or_reason(rate("m-3", usage={}, category="image")) == 1
        assert cost_or_reason(rate("m-3", usage={}, category="text")) == "usage_unknown"

    def test_a_failed_call_without_usage_is_free_and_has_no_reason(self) -> None:
        rated = rate("no-such-model", usage={}, status_code=500)
        assert (rated.source, rated.unpriced_reason, rated.billable) == ("free", None, False)

    def test_a_fine_tune_has_no_price_of_its_base_model(self) -> None:
        set_price("m-1", 2)
        assert cost_or_reason(rate("ft:m-1:acme::x")) == "price_unknown"
        set_price("ft:m-1*", 4)
        assert cost_or_reason(rate("ft:m-1:acme::x")) == 4


class TestServed:
    @pytest.mark.parametrize(
        ("model", "served", "usd"),
        [
            ("m-1", "", 1),
            ("m-1", "m-1-2026-05-06", 1),
            ("m-1", "m-2", 2),
            ("m-1", "m-9", "price_unknown"),
            ("m-1:groq", "m-1", 10),  # the id with the suffix is another offer
            ("m-1:groq", "m-1-2026-05-06", 10),
            ("openai/m-1:groq", "M-1", 10),
            ("m-1:groq", "m-2", 2),
            ("m-1:free", "m-1", "price_unknown"),
            ("", "m-2", 2),
        ],
    )
    def test_the_served_model_is_priced_unless_it_merely_lacks_the_suffix(
        self, model: str, served: str, usd: int | str
    ) -> None:
        set_price("m-1", 1)
        set_price("m-2", 2)
        set_price("m-1:groq", 10)
        assert cost_or_reason(rate(model, Served(served), endpoint="https://api.openai.com/v1")) == usd

    def test_a_batch_stays_a_batch_whatever_model_served_it(self) -> None:
        set_price("m-1", 4)
        set_price("m-2", 8, ("input_tokens", "service_tier=batch", 3))
        assert cost_or_reason(rate("m-2:batch", Served("m-2"))) == 3
        assert cost_or_reason(rate("m-1:batch", Served("m-2-2026-05-06"))) == 3
        assert cost_or_reason(rate("m-2:batch", Served("m-1"))) == "condition_unknown"

    def test_the_provider_is_detected_by_the_requested_model(self) -> None:
        set_price("claude-x", 7)
        rated = rate("gpt-4o", Served("claude-x"))
        assert (rated.profile.detection.actual_provider, cost_or_reason(rated)) == ("openai", 7)

    def test_the_served_variant_wins(self) -> None:
        set_price("m-1", 4, ("input_tokens", "service_tier=priority", 8), ("input_tokens", "service_tier=flex", 2))
        priority = {"service_tier": "priority"}
        answers = [
            cost_or_reason(rate("m-1", served, variant=priority))
            for served in (
                None,
                Served(),
                Served(variant={"service_tier": "default"}),
                Served(variant={"service_tier": "flex"}),
                Served(variant={"service_tier": "", "colour": "red"}),
            )
        ]
        assert answers == [8, 8, 4, 2, 8]

    def test_the_fast_speed_of_a_response_is_the_fast_tier_of_the_price(self) -> None:
        set_price("m-1", 5, ("input_tokens", "service_tier=fast", 10))
        assert cost_or_reason(rate("m-1", Served(variant={"service_tier": "standard", "speed": "fast"}))) == 10

    def test_the_vendors_own_cost_counts_if_the_source_may_state_costs(self) -> None:
        set_price("m-1", 1)
        served = Served(cost_usd="0.0180000005")
        stated = rate("m-1", served, may_state_cost=True)
        assert (stated.source, stated.cost[:4], stated.price) == ("vendor", (0, 0, 18_000_000, 18_000_000), None)
        assert (stated.unpriced_reason, stated.billable) == (None, True)
        assert cost_or_reason(rate("m-1", served)) == 1
        caller = rate("m-1", served, may_state_cost=True, cost_usd="0.5")
        assert (caller.source, caller.cost.total_nano) == ("caller", 500_000_000)

    def test_a_vendors_cost_above_the_maximum_is_refused(self) -> None:
        with pytest.raises(Refused) as refused:
            rate("m-1", Served(cost_usd="1000000.1"), may_state_cost=True)
        assert (refused.value.code, refused.value.attr) == ("max_value", "usage")


class TestPlaceAndTime:
    def test_the_region_of_the_endpoint_chooses_the_rate(self) -> None:
        regional = [("input_tokens", f"region={region}", usd) for region, usd in (("eu-west-1", 3), ("us-east-1", 2))]
        set_price("m-1", -1, *regional, provider="bedrock")
        endpoint = "https://bedrock-runtime.{}.amazonaws.com/"
        answers = [
            cost_or_reason(rate("m-1", endpoint=endpoint.format(region)))
            for region in ("eu-west-1", "us-east-1", "ap-south-1")
        ]
        assert answers == [3, 2, "condition_unknown"]
        stated = rate("m-1", endpoint=endpoint.format("ap-south-1"), variant={"region": "EU-west-1"})
        assert cost_or_reason(stated) == 3
        served = rate("m-1", Served(variant={"region": "us-east-1"}), endpoint=endpoint.format("eu-west-1"))
        assert cost_or_reason(served) == 2

    def test_the_utc_hour_chooses_the_rate(self) -> None:
        set_price("m-1", 4, ("input_tokens", "hours=09:30-10:00", 2))
        times = [AT.replace(minute=29, second=59), AT, AT.replace(minute=59), AT.replace(hour=10, minute=0)]
        assert [cost_or_reason(rate("m-1", at=at)) for at in times] == [4, 2, 2, 4]

    def test_a_row_of_many_requests_passes_no_threshold(self) -> None:
        price = set_price("m-1", 1)
        PriceRate.objects.create(price=price, unit="input_tokens", above=200_000, nano_per_million=5 * USD_PER_MTOK)
        usage = {"input_tokens": 1_000_000, "requests": 10}
        assert cost_or_reason(rate("m-1")) == 5
        assert cost_or_reason(rate("m-1", usage=usage)) == 1
        assert cost_or_reason(rate("m-1", usage=usage, variant={"context": "200k-1M"})) == 5
        assert cost_or_reason(rate("m-1", usage=usage, variant={"context": "large"})) == "condition_unknown"


class TestStoredLogs:
    def stored(self, **fields: Any) -> UsageLog:
        (result,) = record({"model": "m-1", "cost_usd": None, "usage": {"input_tokens": 1_000_000}, **fields})
        return UsageLog.objects.get(event_key=ids.lookup_key(result.event_id))

    def test_a_log_is_rated_by_what_was_served(self) -> None:
        set_price("m-1", 4, ("input_tokens", "service_tier=priority", 8))
        set_price("m-2", 6, ("input_tokens", "service_tier=flex", 3))
        log = self.stored(variant={"service_tier": "priority"})
        assert rating.rate_log(log, rating.snapshot())[1].total_nano == 8 * 10**9
        log.reading = {"reader": "openai", "variant": {"service_tier": "default"}}
        assert rating.rate_log(log, rating.snapshot())[1].total_nano == 4 * 10**9
        log.reading = {"reader": "openai", "model": "m-2", "variant": {"service_tier": "flex"}}
        price, cost = rating.rate_log(log, rating.snapshot())
        assert (price.pattern if price else None, cost.total_nano) == ("m-2", 3 * 10**9)
        assert rating.quantities_of_log(log).variant.service_tier == "flex"

    def test_a_log_keeps_its_hour_region_and_context(self) -> None:
        endpoint = "https://bedrock-runtime.eu-west-1.amazonaws.com/"
        log = self.stored(endpoint=endpoint, occurred_at="2026-11-22T09:31:59Z", variant={"context": "long"})
        counted = rating.quantities_of_log(log)
        assert (counted.utc_minute, counted.variant.region, counted.variant.context) == (571, "eu-west-1", "long")
