"""The prices of the package genai-prices (the extra `prices`) as offers. `sync_prices` asks.

The package resolves dates and service tiers itself: it is asked for the price in force from each date that it names.
Its ids are the literals of its own matching, each kept only where the package itself answers with this very model. A
prefix or a contained text is not taken as a glob: it would price the next sibling of a model too, which is a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any, NamedTuple

from providers import model_ids
from providers.costing import Rate
from providers.price_sources import Left, Offer, in_order, nano_per_million, our_slug

if TYPE_CHECKING:
    from genai_prices import types as genai

# Their prices by our unit, and for how many units each is asked.
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
    "input_mchars": ("characters", 1_000_000),
    "audio_hours": ("seconds", 3600),
    "input_audio_hours": ("seconds", 3600),
    "input_document_kpages": ("pages", 1000),
    "web_searches_kcount": ("searches", 1000),
    "requests_kcount": ("requests", 1000),
}
# What an event does not count, and what an offer can do without: it bills at the cached rate, or lies beside the call.
BESIDE = {
    "cache_audio_read_mtok": "offered without: a rate of its own for cached audio tokens",
    "cache_image_read_mtok": "offered without: a rate of its own for cached image tokens",
    "input_annotated_document_kpages": "offered without: annotated pages",
    "input_text_messages_kcount": "offered without: text messages beside audio",
    "storage_searches_kcount": "offered without: searches of stored files",
}
VARIANTS = {("processing", "batch"): "batch", ("speed", "fast"): "fast"}
VARIANTS |= {("service_tier", tier): tier for tier in ("batch", "priority", "flex", "fast", "default")}
BY_TIME_OF_DAY = "a price by time of day"
NO_PRICE = "no price stated"
UNCOUNTED = "a unit that an event does not count"
OUT_OF_RANGE = "a figure that no rate holds"
TWO_RATES = "two rates for one unit"
UNKNOWN_CONDITION = "offered without: a price by a condition that an event does not state"
REGIONAL = "regional."  # stands in their Bedrock ids for "in any region but global", and in no id that is called
REGIONS = ("", "us.", "eu.", "apac.", "jp.", "au.", "in.", "us-gov.")
FINE_TUNES = ("ft:", ".ft-")


class _Refused(Exception):
    """This price cannot be taken over; the argument is the reason."""


class _Seller(NamedTuple):
    """Who sells: `suffix` follows the model where a router says in the id who is behind it."""

    slug: str
    name: str
    suffix: str


def offers() -> Iterator[Offer | Left]:
    """Everything that the installed package states. Raises ModuleNotFoundError where it is not installed."""
    try:
        from genai_prices import __version__
        from genai_prices.data_snapshot import get_snapshot
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("genai-prices is not installed: it comes with tollgate[prices]") from error
    return _stated(get_snapshot().providers, f"genai-prices {__version__}")


def seller(provider: genai.Provider) -> _Seller:
    """Hugging Face bills what its router sends on, and names the server after the model ("openai/gpt-oss-20b:groq")."""
    company, _, behind = provider.id.partition("_")
    if company == "huggingface" and behind:
        return _Seller(company, "Hugging Face", f":{behind}")
    return _Seller(our_slug(provider.id), provider.name, "")


def _stated(providers: Iterable[genai.Provider], source: str) -> Iterator[Offer | Left]:
    for provider in providers:
        for model in provider.models:
            yield from _of_model(provider, model, source)


def _of_model(provider: genai.Provider, model: genai.ModelInfo, source: str) -> Iterator[Offer | Left]:
    """An offer for each date from which the price is another one, and once each what is left."""
    slug, name, suffix = seller(provider)
    pattern, *aliases = (f"{found}{suffix}" for found in ids(provider, model))
    try:
        dated = [(day, _rates(model, day, pattern)) for day in _dates(model)]
    except _Refused as refused:
        yield Left(slug, pattern, str(refused))
        return
    for reason in sorted(set(_beside(model))):
        yield Left(slug, pattern, reason)
    before: tuple[Rate, ...] | None = None
    for day, rates in dated:
        if rates != before:
            yield Offer(slug, name, pattern, tuple(sorted(aliases)), "", day, rates, source)
        before = rates


def ids(provider: genai.Provider, model: genai.ModelInfo) -> list[str]:
    """The model's id first, then what the package answers with the same model and our own rules do not derive."""
    own = model.id.lower().removeprefix(REGIONAL)
    literals = list(_literals(model.match))
    if any(mark in own for mark in FINE_TUNES) and len(literals) == 1:
        return [f"{literals[0]}*"]
    texts = [f"{region}{own}" for region in REGIONS] if own != model.id.lower() else [own]
    called = [text for text in (*texts, *literals) if text[-1:].isalnum() and provider.find_model(text) is model]
    first = own if own in called or not called or provider.find_model(own) is None else called[0]
    vendor = model_ids.vendor_names(our_slug(provider.id), [provider.id])
    derived = {text for text in called if {first, *called} & set(model_ids.own_forms(text, vendor)) - {text}}
    return [first, *sorted({*called} - derived - {first})]


def _literals(clause: genai.MatchLogic) -> Iterator[str]:
    """Every whole text of a matching rule, in lower case; what only excludes (an "and") or is a pattern has none."""
    for part in getattr(clause, "or_", [clause]):
        for kind in ("equals", "starts_with", "contains", "ends_with"):
            if hasattr(part, kind):
                yield getattr(part, kind).lower().lstrip("/")


def _dates(model: genai.ModelInfo) -> list[date | None]:
    """The dates from which the package states another price; None, the first, is "always"."""
    prices = model.prices if isinstance(model.prices, list) else []
    constraints = [conditional.constraint for conditional in (*prices, *(model.price_variants or ()))]
    if any(hasattr(constraint, "start_time") for constraint in constraints):
        raise _Refused(BY_TIME_OF_DAY)
    return [None, *sorted({constraint.start_date for constraint in constraints if hasattr(constraint, "start_date")})]


def _rates(model: genai.ModelInfo, day: date | None, pattern: str) -> tuple[Rate, ...]:
    """The rates in force from that day on. Raises _Refused."""
    at = datetime.combine(day or date.min, time(), UTC)
    standard = _figures(model.get_prices(at))
    if not standard and pattern.endswith(model_ids.FREE):
        return (Rate("input_tokens", "", 0, 0), Rate("output_tokens", "", 0, 0))
    if not standard:
        raise _Refused(NO_PRICE)
    rates = set(_in_units(standard, ""))
    for key, value in _conditions(model):
        tier = VARIANTS.get((key, value))
        special = _figures(model.get_prices(at, {key: value}))
        changed = {price: figure for price, figure in special.items() if standard.get(price) != figure}
        if tier and changed:
            rates |= _in_units(changed, f"service_tier={tier}")
    if len({(rate.unit, rate.variant, rate.above) for rate in rates}) < len(rates):
        raise _Refused(TWO_RATES)
    return in_order(rates)


def _conditions(model: genai.ModelInfo) -> list[tuple[str, str]]:
    return sorted({pair for variant in model.price_variants or () for pair in variant.when.items()})


def _beside(model: genai.ModelInfo) -> Iterator[str]:
    """What is offered without, at any of its dates."""
    prices = model.prices if isinstance(model.prices, list) else [model]
    for conditional in (*prices, *(model.price_variants or ())):
        yield from (BESIDE[key] for key in vars(conditional.prices) if key in BESIDE)
    if any(pair not in VARIANTS for pair in _conditions(model)):
        yield UNKNOWN_CONDITION


def _figures(prices: genai.ModelPrice) -> dict[str, Any]:
    """Their keys and figures, without what an offer can do without."""
    return {key: figure for key, figure in vars(prices).items() if figure is not None and key not in BESIDE}


def _in_units(figures: dict[str, Any], variant: str) -> set[Rate]:
    """Raises _Refused where a unit is not ours or a figure no rate."""
    rates = set()
    for key, figure in figures.items():
        if key not in UNITS:
            raise _Refused(UNCOUNTED)
        unit, per = UNITS[key]
        tiers = [(0, figure)]
        if hasattr(figure, "tiers"):
            tiers = [(0, figure.base), *((tier.start, tier.price) for tier in figure.tiers)]
        try:
            rates |= {Rate(unit, variant, above, nano_per_million(usd, per)) for above, usd in tiers}
        except ValueError as error:
            raise _Refused(OUT_OF_RANGE) from error
    return rates
