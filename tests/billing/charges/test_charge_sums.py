"""Every charge adds up: lines and rounding are the stored cost, exactly, and the sentences tell the same figures."""

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from billing.corrections import repricing
from billing.corrections.repricing import Choice
from billing.models import CostSource, UsageLog
from billing.reports import log_rows
from providers import costing, price_edits
from providers.models import Price, PriceRate, Provider
from tests.billing.ledger_rows import NOW, record, run

pytestmark = pytest.mark.django_db

HALF_A_NANO = Fraction(1, 2 * 10**9)
EVENTS = 250
TOKENS = [unit for unit in costing.UNITS if unit.endswith("tokens")]
VARIANTS = ("", "resolution=720p", "resolution=", "quality=hd", "quality=hd,resolution=720p", "service_tier=batch")


def adds_up(log: UsageLog) -> dict[str, Any]:
    """The log's row with its explanation; fails where lines and rounding are not what it costs."""
    told = log_rows.whole(log)
    why = told["explanation"]
    if why["price"] is None:
        assert (why["lines"], why["unrounded_usd"], why["rounding_usd"]) == ([], None, None)
        return told
    assert told["cost_usd"] is not None
    of_lines = [Fraction(line["quantity"]) * Fraction(line["rate_usd_per_million"]) / 10**6 for line in why["lines"]]
    assert of_lines == [Fraction(line["cost_usd"]) for line in why["lines"]]
    assert sum(of_lines) == Fraction(why["unrounded_usd"])
    assert sum(of_lines) + Fraction(why["rounding_usd"]) == Fraction(told["cost_usd"])
    assert abs(Fraction(why["rounding_usd"])) <= HALF_A_NANO
    text = "\n".join(why["text"])
    for line in why["lines"]:
        assert f"{Decimal(line['quantity']):,f} " in text
        assert f"= {in_words(line['cost_usd'])}" in text
    assert f"{in_words(told['cost_usd'])}" in text
    return told


def lines_of(told: dict[str, Any]) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = told["explanation"]["lines"]
    return lines


def in_words(usd: str) -> str:
    whole, _, places = f"{Decimal(usd):,f}".partition(".")
    return f"${whole}.{places:0<2}"


def odd_price(chance: random.Random) -> Price:
    """A price with an odd rate for most units, in variants and tiers."""
    price = Price(
        provider=Provider.objects.get(slug="openai"), pattern="odd-*", valid_from=date(2026, 1, 1), source="a draw"
    )
    keys = {(unit, variant, above) for unit in costing.UNITS for variant in VARIANTS for above in (0, 1000, 200_000)}
    drawn = sorted(key for key in sorted(keys) if chance.random() < 0.4)
    rates = [
        PriceRate(unit=unit, variant=variant, above=above, nano_per_million=chance.randrange(10**11))
        for unit, variant, above in drawn
    ]
    return price_edits.record(price=price, rates=rates)


def odd_event(chance: random.Random, number: int) -> dict[str, Any]:
    """A call with any mixture of units, variant and convention."""
    drawn = {unit: chance.choice([0, 1, 7, 999, 123_457, 1_000_003]) for unit in TOKENS if chance.random() < 0.5}
    included = chance.random() < 0.5
    if included:
        drawn["cached_input_tokens"] = min(drawn.get("cached_input_tokens", 0), drawn.get("input_tokens", 0))
    other = {
        unit: chance.randrange(50) for unit in ("images", "searches", "pages", "characters") if chance.random() < 0.3
    }
    parts = {unit: f"{chance.randrange(10**8)}E-6" for unit in ("seconds", "megapixels") if chance.random() < 0.3}
    usage = drawn | other | {unit: f"{Decimal(text):f}" for unit, text in parts.items()}
    return {
        "event_id": f"odd-{number}",
        "model": f"odd-{chance.choice(['one', 'two:batch'])}",
        "cost_usd": None,
        "category": chance.choice(["text", "image", "search", "crawl", "video"]),
        "usage": usage,
        "variant": {"resolution": chance.choice([None, "720p"]), "quality": chance.choice([None, "HD"])},
        "cached_tokens_included": included,
    }


@pytest.fixture
def odd_logs() -> list[UsageLog]:
    chance = random.Random(7)
    odd_price(chance)
    record(*(odd_event(chance, number) for number in range(EVENTS)))
    return list(UsageLog.objects.select_related("account"))


def test_any_mixture_of_units_variants_and_conventions_adds_up(odd_logs: list[UsageLog]) -> None:
    lines = [lines_of(adds_up(log)) for log in odd_logs]
    assert len(lines) == EVENTS
    assert max(map(len, lines)) >= 10
    assert {line["unit"] for each in lines for line in each} == set(costing.UNITS)


def test_repriced_they_add_up_again_to_what_they_cost_then(odd_logs: list[UsageLog]) -> None:
    before = {log.id: log.effective_nano for log in odd_logs}
    other = odd_price(random.Random(8))
    batch = repricing.start(Choice(), reason="another draw", actor="test", at=NOW)
    changed = sum(step.change.calls for step in repricing.go_on(batch, size=100, at=NOW))

    logs = list(UsageLog.objects.select_related("account"))
    assert sum(before[log.id] != log.effective_nano for log in logs) == changed > EVENTS * 0.9
    prices = [told["explanation"]["price"]["id"] for told in map(adds_up, logs) if told["priced"]]
    assert prices.count(other.pk) > EVENTS * 0.9
    for _ in repricing.revert(batch, actor="test", size=100, at=NOW):
        pass
    for log in UsageLog.objects.select_related("account"):
        assert log.effective_nano == before[log.id]
        adds_up(log)


def test_the_demonstrations_charges_add_up() -> None:
    call_command("seed_demo", verbosity=0)
    for log in UsageLog.objects.select_related("account"):
        rated = log.cost_source == CostSource.PRICE_BOOK or (log.cost_source == CostSource.UNPRICED and log.is_priced)
        assert bool(lines_of(adds_up(log))) == (rated and log.voided_at is None)


@pytest.mark.shared_data
def test_the_earlier_systems_charges_are_its_own(shared_data: Path) -> None:
    run("import_legacy_logs", f"sqlite:///{shared_data / 'legacy_usage_logs.sqlite3'}")
    logs = list(UsageLog.objects.select_related("account"))
    assert len(logs) == 500
    for log in logs:
        told = adds_up(log)
        assert (lines_of(told), told["cost_source"]) == ([], "caller")
        assert told["explanation"]["text"][0] == f"The caller stated the cost itself: {in_words(told['cost_usd'])}."
