"""The conditions of rates, what calls state about them, and the tokens that a stated context implies. Pure.

*Chosen* conditions are what a caller orders, such as the service tier: a price that does not know the ordered value is no
price of the call. *Given* ones (region, size, quality, hour) only choose among the rates of a price that has rates by them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

# Chosen conditions, and their values that are as good as none.
DEFAULT_VALUES = {
    "service_tier": frozenset({"default", "auto", "standard", "on_demand"}),
    "speed": frozenset({"standard"}),
    "inference_geo": frozenset({"global", "not_available"}),
    "search_context": frozenset({"medium"}),
}
CHOSEN_KEYS = tuple(DEFAULT_VALUES)
HOURS = "hours"
GIVEN_KEYS = ("region", "resolution", "quality", HOURS)
KEYS = (*CHOSEN_KEYS, *GIVEN_KEYS)
FAST = "fast"  # one thing under two keys: Anthropic answers `speed: fast`, its price lists call it a service tier

MINUTES_A_DAY = 24 * 60
_WINDOW = re.compile(r"(\d\d):([0-5]\d)-(\d\d):([0-5]\d)")

SHORT_CONTEXT, LONG_CONTEXT = "short", "long"
_FACTORS = {"": 1, "k": 1000, "m": 1_000_000}
_NUMBER = r"(\d{1,9})(?:\.(\d{1,6}))?([km]?)"
_RANGE = re.compile(rf"{_NUMBER}(?:-|–|to|\.\.){_NUMBER}")  # noqa: RUF001 - vendors write a dash
_BOUND = re.compile(rf"(<=|≤|<|upto|under|>=|≥|>|over|above)?{_NUMBER}(\+?)")
_UPPER_BOUNDS = ("<=", "≤", "<", "upto", "under")


def parse(variant: str) -> tuple[tuple[str, str], ...]:
    """Parses a rate's conditions into (key, value) pairs in lower case."""
    pairs = (term.partition("=") for term in variant.lower().split(",") if term.strip())
    return tuple((key.strip(), value.strip()) for key, _, value in pairs)


def is_default(key: str, value: str) -> bool:
    """Tells whether a condition's value is as good as none."""
    return value.strip().lower() in DEFAULT_VALUES.get(key, ())


def normalize(conditions: Iterable[tuple[str, str | None]]) -> dict[str, str]:
    """Returns the conditions in lower case, default values as "" (not stated), and the fast service tier as speed."""
    normal = {}
    for key, stated in conditions:
        value = (stated or "").strip().lower()
        normal[key] = "" if value in DEFAULT_VALUES.get(key, ()) else value
    if normal.get("service_tier") == FAST and normal.get("speed", "") in ("", FAST):
        normal["speed"] = normal.pop("service_tier")
    return normal


def problem(variant: str) -> str:
    """Returns what is wrong with a rate's conditions as an operator enters them, or ""."""
    conditions = parse(variant)
    keys = [key for key, _ in conditions]
    if len(set(keys)) < len(keys) or not set(keys) <= set(KEYS):
        names = ", ".join(f"{key}=…" for key in KEYS)
        return f"Use {names}, each at most once, separated by commas."
    if any(key == HOURS and _parse_window(value) is None for key, value in conditions):
        return "Enter the hours as a UTC window, such as hours=16:30-00:30."
    return ""


def is_within(window: str, minute: int) -> bool:
    """Tells whether a minute of the UTC day is in a half-open window such as "16:30-00:30"; False for any other text."""
    bounds = _parse_window(window)
    if bounds is None:
        return False
    start, end = bounds
    return start <= minute < end if start < end else minute >= start or minute < end


def start_of(window: str) -> int | None:
    """Returns the first minute of the UTC day in the window; None for any other text."""
    bounds = _parse_window(window)
    return bounds[0] if bounds else None


@lru_cache(maxsize=256)
def _parse_window(window: str) -> tuple[int, int] | None:
    match = _WINDOW.fullmatch(window)
    if not match:
        return None
    start, end = (int(match[hour]) * 60 + int(match[hour + 1]) for hour in (1, 3))
    return (start, end) if start < MINUTES_A_DAY and end <= MINUTES_A_DAY and start != end else None


@lru_cache(maxsize=1024)
def min_tokens(context: str) -> int | None:
    """Returns how many input tokens each request had at least, by a vendor's text; None if it is unreadable.

    "200k-1M" and "> 200k": 200,001. "0-200k", "<= 200k", "1M" (a limit) and "": 0, as nothing is known to be exceeded.
    The words `long` and `short` depend on the price: they are no texts for this function.
    """
    text = re.sub(r"[\s,_]|tokens?", "", context.lower())
    if not text:
        return 0
    if match := _RANGE.fullmatch(text):
        lower, upper = _range(match)
        return None if lower > upper else lower + 1 if lower else 0
    match = _BOUND.fullmatch(text)
    if not match:
        return None
    sign, tokens, is_open = match[1], _tokens(*match.group(2, 3, 4)), bool(match[5])
    if sign in _UPPER_BOUNDS or not (sign or is_open):
        return 0
    return tokens if sign in (">=", "≥") else tokens + 1


def _range(match: re.Match[str]) -> tuple[int, int]:
    """The bounds of a range in tokens; "128-200k" means thousands twice."""
    upper = _tokens(*match.group(4, 5, 6))
    lower = _tokens(match[1], match[2], match[3] or match[6])
    return (lower, upper) if match[3] or lower <= upper else (_tokens(match[1], match[2], ""), upper)


def _tokens(whole: str, fraction: str | None, suffix: str) -> int:
    digits = (fraction or "").ljust(6, "0")
    return int(whole + digits) * _FACTORS[suffix] // 10**6
