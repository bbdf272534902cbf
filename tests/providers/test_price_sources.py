"""What all price sources share: whose slug, and how a figure becomes a rate."""

from __future__ import annotations

import json
import sys
from decimal import Decimal

import pytest

from providers.price_sources import OUR_SLUGS, genai, nano_per_million, our_slug
from providers.shipped import DATA


def test_without_the_extra_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    with pytest.raises(ModuleNotFoundError, match=r"comes with tollgate\[prices\]"):
        genai.offers()


def test_the_slugs_of_companies_that_we_know_are_those_we_ship() -> None:
    shipped = {row["slug"] for row in json.loads((DATA / "providers.json").read_text(encoding="utf-8"))}
    assert set(OUR_SLUGS.values()) - shipped == {"meta", "moonshotai", "voyageai"}  # one word for both sources
    assert our_slug("somebody.else") == "somebody-else"


@pytest.mark.parametrize(
    ("usd", "per", "nano"),
    [
        ("0", 1, 0),
        ("1e-15", 1, 1),
        ("2.5", 1_000_000, 2_500_000_000),
        ("0.0000000000000005", 1, None),  # it would be free
        ("0.0000000000000025", 1, 2),  # half goes to even
        ("0.0000000000000035", 1, 4),
        ("9223.372036854775807", 1, 2**63 - 1),
        ("9223.372036854775808", 1, None),
        ("-1", 1, None),
        ("NaN", 1, None),
        ("Infinity", 1, None),
        ("1e999999", 1, None),
        ("1e-999999", 1, None),
    ],
)
def test_a_figure_is_converted_in_integers(usd: str, per: int, nano: int | None) -> None:
    if nano is None:
        with pytest.raises(ValueError, match=r"price|range"):
            nano_per_million(Decimal(usd), per)
    else:
        assert nano_per_million(Decimal(usd), per) == nano
