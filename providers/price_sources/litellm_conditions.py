"""Prices that a LiteLLM entry derives from its token prices: at off-peak hours, in a region, in the fast mode. Pure.

LiteLLM multiplies every token price of a call by each multiplier that applies, and takes an off-peak price instead of the
standard one during its hours (litellm/litellm_core_utils/llm_cost_calc).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from providers import price_conditions
from providers.price_sources.litellm_keys import TOKENS, Figure, is_informational, is_number

OFF_PEAK = "off_peak_pricing"
SPECIFIC = "provider_specific_entry"
# Key of a multiplier -> the condition under which it applies. `gov` and `eu` are hosts of OpenAI (see regions.py).
MULTIPLIERS = {
    "regional_processing_uplift_multiplier_eu": "region=eu",
    "regional_processing_uplift_multiplier_us": "region=us",
    "fedramp_uplift_multiplier": "region=gov",
    f"{SPECIFIC}.us": "inference_geo=us",
    f"{SPECIFIC}.fast": "speed=fast",
}
KEYS = frozenset({OFF_PEAK, SPECIFIC, *MULTIPLIERS})
MAX_MULTIPLIER = 100
_WEEK = range(1, 8)
_HOURS_KEYS = ("hours_utc", "windows", "weekday_timezone")


def extend(figures: Sequence[Figure], fields: Mapping[str, Any]) -> tuple[list[Figure], set[str]]:
    """Returns the figures with those under conditions added, and the keys that no condition can express.

    Raises ArithmeticError if a product is out of range.
    """
    extended, without = list(figures), set[str]()
    if OFF_PEAK in fields:
        off_peak = _off_peak(fields[OFF_PEAK], figures)
        extended += off_peak
        without |= set() if off_peak else {OFF_PEAK}
    for key, value in _multipliers(fields).items():
        multiplied = _multiply(extended, MULTIPLIERS[key], value) if key in MULTIPLIERS else []
        extended += multiplied
        without |= set() if multiplied else {key}
    return extended, without


def _multipliers(fields: Mapping[str, Any]) -> dict[str, object]:
    """Returns the values of the keys that multiply prices, and of the vendor's own keys that are no information."""
    flat = {key: fields[key] for key in MULTIPLIERS if key in fields}
    specific = fields.get(SPECIFIC, {})
    own = specific if isinstance(specific, dict) else {"": specific}
    flat |= {f"{SPECIFIC}.{key}".rstrip("."): value for key, value in own.items()}
    return {key: value for key, value in flat.items() if not is_informational(key, value)}


def _multiply(figures: Sequence[Figure], condition: str, factor: object) -> list[Figure]:
    """Returns the token prices under one more condition; none if the factor is not plausible."""
    if not is_number(factor) or not 0 < Decimal(str(factor)) <= MAX_MULTIPLIER:
        return []
    key = condition.partition("=")[0]
    excluded = {key, "service_tier"} if key == "speed" else {key}
    return [
        figure._replace(variant=_join(figure.variant, condition), usd=figure.usd * Decimal(str(factor)))
        for figure in figures
        if figure.field in TOKENS and not excluded & {name for name, _ in price_conditions.parse(figure.variant)}
    ]


def _join(variant: str, condition: str) -> str:
    return ",".join(sorted(filter(None, (*variant.split(","), condition))))


def _off_peak(plan: object, figures: Sequence[Figure]) -> list[Figure]:
    """Returns the prices of the off-peak hours; none if they depend on the weekday or on anything else."""
    if not isinstance(plan, dict):
        return []
    amounts = {key: value for key, value in plan.items() if key not in _HOURS_KEYS}
    standard = {figure.field for figure in figures if figure.field in TOKENS}
    plain = not any(figure.variant or figure.above for figure in figures if figure.field in TOKENS)
    if not plain or not amounts.keys() <= standard or not all(_is_positive(value) for value in amounts.values()):
        return []
    return [
        Figure(field, f"hours={hours}", 0, Decimal(usd))
        for hours in _daily_hours(plan)
        for field, usd in amounts.items()
    ]


def _is_positive(value: Any) -> bool:  # noqa: ANN401 - a JSON value
    return is_number(value) and value > 0


def _daily_hours(plan: Mapping[str, Any]) -> list[str]:
    """Returns the off-peak windows (UTC) if they are the same on each day of the week and leave a peak, else none."""
    by_day: dict[object, set[Any]] = {day: set() for day in _WEEK}
    try:
        for window in ({"hours_utc": plan.get("hours_utc", [])}, *plan.get("windows", [])):
            stated = window["hours_utc"]
            for day in window.get("weekdays", _WEEK):
                by_day[day].update([stated] if isinstance(stated, str) else stated)
    except (AttributeError, KeyError, TypeError):
        return []
    hours = by_day[1]
    same = all(by_day[day] == hours for day in _WEEK)
    valid = all(isinstance(text, str) and price_conditions.start_of(text) is not None for text in hours)
    return sorted(hours) if same and valid else []
