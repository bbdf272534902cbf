"""Every charge adds up: lines and rounding equal the stored cost exactly, and the explanation shows the same figures."""

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
from billing.corrections.repricing import RepricingChoice
from billing.models import CostSource, UsageLog
from billing.reports import log_rows
from providers import price_edits
from providers.models import Price, PriceRate, Provider
from providers.quantities import CACHED_PARTS, OUTPUT_PARTS, UNITS
from tests.billing.ledger_rows import NOON, record, run

pytestmark = pytest.mark.django_db

HALF_A_NANO = Fraction(1, 2 * 10**9)
EVENT_COUNT = 250
TOKEN_UNITS = [unit for unit in UNITS if unit.endswith("tokens")]
COUNTED_UNITS = ("images", "searches", "pages", "characters", "web_fetches", "sessions")
VARIANTS = (
    "",
    "resolution=720p",
    "resolution=",
    "quality=",
    "quality=hd",
    "quality=hd,resolution=720p",
    "service_tier=batch",
)


def checked_row(log: UsageLog) -> dict[str, Any]:
    """The log's row with its explanation, after asserting that lines and rounding equal its cost."""
    row = log_rows.explained_log(log)
    explanation = row["explanation"]
    if explanation["price"] is None:
        assert (explanation["lines"], explanation["unrounded_usd"], explanation["rounding_usd"]) == ([], None, None)
        return row
    assert row["cost_usd"] is not None
    line_costs = [
        Fraction(line["quantity"]) * Fraction(line["rate_usd_per_million"]) / 10**6 for line in explanation["lines"]
    ]
    assert line_costs == [Fraction(line["cost_usd"]) for line in explanation["lines"]]
    assert sum(line_costs) == Fraction(explanation["unrounded_usd"])
    assert sum(line_costs) + Fraction(explanation["rounding_usd"]) == Fraction(row["cost_usd"])
    assert abs(Fraction(explanation["rounding_usd"])) <= HALF_A_NANO
    text = "\n".join(explanation["text"])
    for line in explanation["lines"]:
        assert f"{Decimal(line['quantity']):,f} " in text
        assert f"= {format_usd(line['cost_usd'])}" in text
    assert f"{format_usd(row['cost_usd'])}" in text
    return row


def lines_of(row: dict[str, Any]) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = row["explanation"]["lines"]
    return lines


def format_usd(usd: str) -> str:
    whole, _, places = f"{Decimal(usd):,f}".partition(".")
    return f"${whole}.{places:0<2}"


def odd_price(rng: random.Random) -> Price:
    """A price with random rates for many units, variants and tiers."""
    price = Price(
        provider=Provider.objects.get(slug="openai"),
        pattern="odd-*",
        valid_from=date(2026, 1, 1),
        source="a draw",
        holds_for=["service_tier"],
    )
    keys = {(unit, variant, above) for unit in UNITS for variant in VARIANTS for above in (0, 1000, 200_000)}
    drawn = sorted(key for key in sorted(keys) if rng.random() < 0.4)
    rates = [
        PriceRate(unit=unit, variant=variant, above=above, nano_per_million=rng.randrange(10**11))
        for unit, variant, above in drawn
    ]
    return price_edits.add_revision(price=price, rates=rates)


def odd_tokens(rng: random.Random, *, included: bool) -> dict[str, int]:
    """Random token counts, each part within its whole."""
    drawn = {unit: rng.choice([0, 1, 7, 999, 123_457, 1_000_003]) for unit in TOKEN_UNITS if rng.random() < 0.5}
    tokens = dict.fromkeys(TOKEN_UNITS, 0) | drawn
    for part, whole in CACHED_PARTS.items():
        tokens["cached_input_tokens"] += tokens[part]
        tokens[whole] += tokens[part]
    tokens["cache_write_tokens"] += tokens["cache_write_1h_tokens"]
    tokens["output_image_tokens"] += 1  # a call that made images states how many of its output tokens are theirs
    tokens["output_tokens"] += sum(tokens[part] for part in OUTPUT_PARTS)
    cached = tokens["cached_input_tokens"] + tokens["cache_write_tokens"]
    kinds = tokens["input_audio_tokens"] + tokens["image_tokens"] + tokens["input_video_tokens"]
    tokens["input_tokens"] += max(cached, kinds) if included else max(0, kinds - cached)
    return tokens


def odd_event(rng: random.Random, number: int) -> dict[str, Any]:
    """A call with a random mixture of units, variant and cached-token convention."""
    included = rng.random() < 0.5
    tokens = odd_tokens(rng, included=included)
    counts = {unit: rng.randrange(50) for unit in COUNTED_UNITS if rng.random() < 0.3}
    decimals = {unit: f"{rng.randrange(10**8)}E-6" for unit in ("seconds", "megapixels") if rng.random() < 0.3}
    usage = tokens | counts | {unit: f"{Decimal(text):f}" for unit, text in decimals.items()}
    return {
        "event_id": f"odd-{number}",
        "model": f"odd-{rng.choice(['one', 'two:batch'])}",
        "cost_usd": None,
        "category": rng.choice(["text", "image", "search", "crawl", "video"]),
        "usage": usage,
        "variant": {"resolution": rng.choice([None, "720p"]), "quality": rng.choice([None, "HD"])},
        "cached_tokens_included": included,
    }


@pytest.fixture
def odd_logs() -> list[UsageLog]:
    rng = random.Random(7)
    odd_price(rng)
    record(*(odd_event(rng, number) for number in range(EVENT_COUNT)))
    return list(UsageLog.objects.select_related("account"))


def test_any_mixture_of_units_variants_and_conventions_adds_up(odd_logs: list[UsageLog]) -> None:
    lines = [lines_of(checked_row(log)) for log in odd_logs]
    assert len(lines) == EVENT_COUNT
    assert max(map(len, lines)) >= 10
    assert {line["unit"] for lines_of_log in lines for line in lines_of_log} == set(UNITS)


def test_repriced_and_reverted_charges_add_up(odd_logs: list[UsageLog]) -> None:
    before = {log.id: log.effective_nano for log in odd_logs}
    new_price = odd_price(random.Random(8))
    batch = repricing.start(RepricingChoice(), reason="another draw", actor="test", at=NOON)
    changed = sum(step.change.calls for step in repricing.run(batch, size=100, clock=lambda: NOON))

    logs = list(UsageLog.objects.select_related("account"))
    assert sum(before[log.id] != log.effective_nano for log in logs) == changed > EVENT_COUNT * 0.9
    prices = [row["explanation"]["price"]["id"] for row in map(checked_row, logs) if row["priced"]]
    assert prices.count(new_price.pk) > EVENT_COUNT * 0.9
    for _ in repricing.revert(batch, actor="test", size=100, clock=lambda: NOON):
        pass
    for log in UsageLog.objects.select_related("account"):
        assert log.effective_nano == before[log.id]
        checked_row(log)


def test_the_demo_charges_add_up() -> None:
    call_command("seed_demo", verbosity=0)
    for log in UsageLog.objects.select_related("account"):
        rated = log.cost_source == CostSource.PRICE_BOOK or (log.cost_source == CostSource.UNPRICED and log.is_priced)
        rated = rated or (log.cost_source == CostSource.ESTIMATE and log.price_id is not None)
        assert bool(lines_of(checked_row(log))) == (rated and log.voided_at is None)


@pytest.mark.shared_data
def test_imported_legacy_charges_are_stated_by_the_caller(shared_data: Path) -> None:
    run("import_legacy_logs", f"sqlite:///{shared_data / 'legacy_usage_logs.sqlite3'}")
    logs = list(UsageLog.objects.select_related("account"))
    assert len(logs) == 500
    for log in logs:
        row = checked_row(log)
        assert (lines_of(row), row["cost_source"]) == ([], "caller")
        assert row["explanation"]["text"][0] == f"The caller stated the cost: {format_usd(row['cost_usd'])}."
