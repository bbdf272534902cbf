"""Reads the prices of the package genai-prices (the extra `prices`) as offers.

The package resolves dates and service tiers itself: this module reads the price in force from each date it names. Model
ids are the literals of its matching rules, kept only if the package resolves them to the same model. Prefixes and
substrings do not become globs, because a glob would also price the model's future siblings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from providers import model_ids
from providers.costing import Rate
from providers.price_sources import Offer, Omission, api_hosts, nano_per_million, provider_slug, sort_rates

if TYPE_CHECKING:
    from genai_prices import types as genai

# Field of genai-prices -> our unit, and the number of units that its price is for.
UNITS = {
    "input_mtok": ("input_tokens", 1_000_000),
    "cache_read_mtok": ("cached_input_tokens", 1_000_000),
    "cache_write_mtok": ("cache_write_tokens", 1_000_000),
    "cache_write_1h_mtok": ("cache_write_1h_tokens", 1_000_000),
    "input_audio_mtok": ("input_audio_tokens", 1_000_000),
    "input_image_mtok": ("image_tokens", 1_000_000),
    "output_mtok": ("output_tokens", 1_000_000),
    "output_reasoning_mtok": ("reasoning_tokens", 1_000_000),
    "output_audio_mtok": ("output_audio_tokens", 1_000_000),
    "output_image_mtok": ("output_image_tokens", 1_000_000),
    "input_video_mtok": ("input_video_tokens", 1_000_000),
    "cache_audio_read_mtok": ("cached_audio_tokens", 1_000_000),
    "cache_image_read_mtok": ("cached_image_tokens", 1_000_000),
    "input_mchars": ("characters", 1_000_000),
    "audio_hours": ("seconds", 3600),
    "input_audio_hours": ("seconds", 3600),
    "input_document_kpages": ("pages", 1000),
    "web_searches_kcount": ("searches", 1000),
    "requests_kcount": ("requests", 1000),
}
# Attributes of a model that are no price; any other one with a number is a key that the offer lacks.
MODEL_KEYS = frozenset(
    {"id", "match", "name", "description", "context_window", "price_comments", "deprecated", "prices", "price_variants"}
)
VARIANTS = {("processing", "batch"): "batch", ("speed", "fast"): "fast"}
VARIANTS |= {("service_tier", tier): tier for tier in ("batch", "priority", "flex", "fast", "default")}
BY_TIME_OF_DAY = "a price that depends on the time of day and on something else"
NO_PRICE = "no price stated"
OUT_OF_RANGE = "a price out of range"
TWO_RATES = "two rates for one unit"
REGIONAL = "regional."  # in their Bedrock ids: "any region but global"; never part of a real id
REGIONS = ("", "us.", "eu.", "apac.", "jp.", "au.", "in.", "us-gov.")
FINE_TUNES = ("ft:", ".ft-")


class _Unsupported(Exception):
    """This price cannot be imported; the argument is the reason."""


class _Seller(NamedTuple):
    """The company that sells a model; `suffix` is what a router appends to the model id to name the server."""

    slug: str
    name: str
    suffix: str


def offers() -> Iterator[Offer | Omission]:
    """Yields everything in the installed package. Raises ModuleNotFoundError if it is not installed."""
    try:
        from genai_prices import __version__
        from genai_prices.data_snapshot import get_snapshot
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("genai-prices is not installed. Install tollgate[prices].") from error
    return _list_offers(get_snapshot().providers, f"genai-prices {__version__}")


def seller(provider: genai.Provider) -> _Seller:
    """Returns the seller. Hugging Face bills for its router and appends the server ("openai/gpt-oss-20b:groq")."""
    company, _, server = provider.id.partition("_")
    if company == "huggingface" and server:
        return _Seller(company, "Hugging Face", f":{server}")
    return _Seller(provider_slug(provider.id), provider.name, "")


def _list_offers(providers: Iterable[genai.Provider], source: str) -> Iterator[Offer | Omission]:
    for provider in providers:
        for model in provider.models:
            yield from _model_offers(provider, model, source)


def _model_offers(provider: genai.Provider, model: genai.ModelInfo, source: str) -> Iterator[Offer | Omission]:
    """Yields an offer for each date on which the price changes, or one omission."""
    slug, name, suffix = seller(provider)
    hosts = api_hosts.hosts_of(provider.api_pattern)
    pattern, *aliases = (f"{text}{suffix}" for text in offered_ids(provider, model))
    try:
        dated = [(day, _rates(model, day, pattern)) for day in _dates(model)]
    except _Unsupported as error:
        yield Omission(slug, pattern, str(error))
        return
    without = tuple(sorted(set(_without(model))))
    previous: tuple[Rate, ...] | None = None
    for day, rates in dated:
        if rates != previous:
            yield Offer(slug, name, pattern, tuple(sorted(aliases)), "", day, rates, source, without, hosts)
        previous = rates


def offered_ids(provider: genai.Provider, model: genai.ModelInfo) -> list[str]:
    """Returns the model's id, then those that the package resolves to it and model_ids does not derive from it."""
    own = model.id.lower().removeprefix(REGIONAL)
    literals = list(_literals(model.match))
    if any(marker in own for marker in FINE_TUNES) and len(literals) == 1:
        return [f"{literals[0]}*"]
    texts = [f"{region}{own}" for region in REGIONS] if own != model.id.lower() else [own]
    valid = [text for text in (*texts, *literals) if text[-1:].isalnum() and provider.find_model(text) is model]
    first = own if own in valid or not valid or provider.find_model(own) is None else valid[0]
    vendor = model_ids.vendor_names(provider_slug(provider.id), [provider.id])
    derived = {text for text in valid if {first, *valid} & set(model_ids.own_forms(text, vendor)) - {text}}
    return [first, *sorted({*valid} - derived - {first})]


def _literals(clause: genai.MatchLogic) -> Iterator[str]:
    """Yields the literals of a matching rule, in lower case. Exclusions (an "and") and regular expressions have none."""
    for part in getattr(clause, "or_", [clause]):
        for operator in ("equals", "starts_with", "contains", "ends_with"):
            if hasattr(part, operator):
                yield getattr(part, operator).lower().lstrip("/")


def _dates(model: genai.ModelInfo) -> list[date | None]:
    """Returns the dates on which the package changes the price; the first is None, meaning "always"."""
    dates = {constraint.start_date for constraint in _constraints(model) if hasattr(constraint, "start_date")}
    return [None, *sorted(dates)]


def _constraints(model: genai.ModelInfo) -> list[Any]:
    prices = model.prices if isinstance(model.prices, list) else []
    return [conditional.constraint for conditional in (*prices, *(model.price_variants or ()))]


def _windows(model: genai.ModelInfo) -> list[tuple[time, time]]:
    """Returns the UTC windows with prices of their own, sorted. Raises _Unsupported if the price has other conditions."""
    constraints = [constraint for constraint in _constraints(model) if hasattr(constraint, "start_time")]
    if constraints and model.price_variants:
        raise _Unsupported(BY_TIME_OF_DAY)
    return sorted({(constraint.start_time, constraint.end_time) for constraint in constraints})


def _time_outside(windows: Sequence[tuple[time, time]]) -> time:
    """Returns a time of the day in no window. Raises _Unsupported if the windows overlap or leave none."""
    if not windows:
        return time()
    overlap = any(_is_within(first[0], second) for first in windows for second in windows if first != second)
    free = [end for _, end in windows if not any(_is_within(end, window) for window in windows)]
    if overlap or not free:
        raise _Unsupported(BY_TIME_OF_DAY)
    return free[0]


def _is_within(at: time, window: tuple[time, time]) -> bool:
    start, end = window
    return start <= at < end if start < end else at >= start or at < end


def _rates(model: genai.ModelInfo, day: date | None, pattern: str) -> tuple[Rate, ...]:
    """Returns the rates in force from that day on. Raises _Unsupported."""
    windows, day = _windows(model), day or date.min
    at = datetime.combine(day, _time_outside(windows), UTC)
    standard = _amounts(model.get_prices(at))
    if not standard and pattern.endswith(model_ids.FREE):
        return (Rate("input_tokens", "", 0, 0), Rate("output_tokens", "", 0, 0))
    if not standard:
        raise _Unsupported(NO_PRICE)
    special = {
        f"hours={start:%H:%M}-{end:%H:%M}": model.get_prices(datetime.combine(day, start, UTC))
        for start, end in windows
    }
    for pair in _conditions(model):
        if tier := VARIANTS.get(pair):
            special[f"service_tier={tier}"] = model.get_prices(at, dict([pair]))
    rates = set(_to_rates(standard, ""))
    for variant, prices in special.items():
        changed = {name: amount for name, amount in _amounts(prices).items() if standard.get(name) != amount}
        rates |= _to_rates(changed, variant)
    if len({(rate.unit, rate.variant, rate.above) for rate in rates}) < len(rates):
        raise _Unsupported(TWO_RATES)
    return sort_rates(rates)


def _conditions(model: genai.ModelInfo) -> list[tuple[str, str]]:
    return sorted({pair for variant in model.price_variants or () for pair in variant.when.items()})


def _without(model: genai.ModelInfo) -> Iterator[str]:
    """Yields the keys and conditions, at any date, that rates cannot express."""
    prices = model.prices if isinstance(model.prices, list) else [model]
    for conditional in (*prices, *(model.price_variants or ())):
        yield from (key for key, amount in vars(conditional.prices).items() if key not in UNITS and amount is not None)
    yield from (f"{key}={value}" for key, value in _conditions(model) if (key, value) not in VARIANTS)
    yield from (key for key, value in vars(model).items() if key not in MODEL_KEYS and _is_number(value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _amounts(prices: genai.ModelPrice) -> dict[str, Any]:
    """Returns the package's fields and amounts, without those that no unit of ours counts."""
    return {field: amount for field, amount in vars(prices).items() if amount is not None and field in UNITS}


def _to_rates(amounts: dict[str, Any], variant: str) -> set[Rate]:
    """Converts fields to rates. Raises _Unsupported for an amount out of range."""
    rates = set()
    for field, amount in amounts.items():
        unit, per = UNITS[field]
        tiers = [(0, amount)]
        if hasattr(amount, "tiers"):
            tiers = [(0, amount.base), *((tier.start, tier.price) for tier in amount.tiers)]
        try:
            rates |= {Rate(unit, variant, above, nano_per_million(usd, per)) for above, usd in tiers}
        except ValueError as error:
            raise _Unsupported(OUT_OF_RANGE) from error
    return rates
