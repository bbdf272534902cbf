"""Shared code of the price sources: provider slugs and the conversion of amounts to rates."""

from __future__ import annotations

import json
import sys
from decimal import Decimal

import pytest

from providers.price_sources import PROVIDER_SLUGS, genai, nano_per_million, provider_slug
from providers.shipped import DATA


def test_a_missing_extra_is_reported_with_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    with pytest.raises(ModuleNotFoundError, match=r"Install tollgate\[prices\]\."):
        genai.offers()


def test_known_companies_have_the_slugs_of_shipped_providers() -> None:
    shipped = {row["slug"] for row in json.loads((DATA / "providers.json").read_text(encoding="utf-8"))}
    assert set(PROVIDER_SLUGS.values()) - shipped == set()
    assert provider_slug("somebody.else") == "somebody-else"


@pytest.mark.parametrize(
    ("usd", "per", "nano"),
    [
        ("0", 1, 0),
        ("1e-15", 1, 1),
        ("2.5", 1_000_000, 2_500_000_000),
        ("0.0000000000000005", 1, None),  # rounds to zero, which would mean free
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
def test_an_amount_is_converted_in_integers(usd: str, per: int, nano: int | None) -> None:
    if nano is None:
        with pytest.raises(ValueError, match=r"price|range"):
            nano_per_million(Decimal(usd), per)
    else:
        assert nano_per_million(Decimal(usd), per) == nano
