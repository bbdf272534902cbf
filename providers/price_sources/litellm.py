"""Reads the prices of a LiteLLM price file (model_prices_and_context_window.json) as offers.

Its ids begin with LiteLLM's name of the company, and image ids with size and quality; an offer has the company's own
id. The file has no dates. Numbers are parsed as exact decimals.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Set
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NamedTuple

from lib import strict_json
from providers import model_ids
from providers.costing import Rate
from providers.price_sources import Offer, Omission, litellm_fields, provider_slug, sort_rates
from providers.price_sources.litellm_fields import NO_PRICE, ImageSize, Unsupported

MAX_FILE_BYTES = 8 * 2**20  # the real file has 1.6 MB
SAMPLE_KEY = "sample_spec"  # an entry that documents the fields
CATEGORIES = {
    "audio_speech": "audio",
    "audio_transcription": "audio",
    "chat": "text",
    "completion": "text",
    "embedding": "embedding",
    "image_edit": "image_edit",
    "image_generation": "image",
    "moderation": "other",
    "ocr": "other",
    "realtime": "text",
    "rerank": "other",
    "responses": "text",
    "search": "search",
    "video_generation": "video",
}
BY_STEPS = "a price that depends on the number of steps"
NO_MODEL = "an unknown provider or mode, or an unusable model id"
UNSTATED_VARIANT = "quality=,resolution="
SECOND_PRICE = "a second price for the same model"
SECOND_WAY = "images priced by size, in addition to token prices"
MAX_ID_LENGTH = 200  # the size of the database column
MAX_NAME_LENGTH = 100  # of a key that a price is offered without

_SIZED = re.compile(r"(?:([a-z]{1,20})/)?(\d{1,5})-x-(\d{1,5})/(?:((?:\d+|max)-steps)/)?(.+)")


class _ParsedEntry(NamedTuple):
    """One entry under the company's own id; `by_size`: its id in the file names a size."""

    company: str
    pattern: str
    category: str
    by_size: bool
    rates: frozenset[Rate]
    without: frozenset[str]


def offers(path: Path) -> Iterator[Offer | Omission]:
    """Yields everything in the file. Raises ValueError if it is not such a file, OSError if it cannot be read."""
    entries = _load(path)
    if not any(isinstance(entry, dict) and "litellm_provider" in entry for entry in entries.values()):
        raise ValueError(f"{path.name} is not a LiteLLM price file: no entry names a litellm_provider")
    entries.pop(SAMPLE_KEY, None)
    return _list_offers(entries, f"litellm {path.name}")


def _load(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        body = file.read(MAX_FILE_BYTES + 1)
    if len(body) > MAX_FILE_BYTES:
        raise ValueError(f"{path.name} is not a LiteLLM price file: it is larger than {MAX_FILE_BYTES // 2**20} MiB")
    try:
        entries = strict_json.loads(body, parse_float=_decimal)
        strict_json.check_limits(entries)
    except strict_json.BadJSON as error:
        raise ValueError(f"{path.name} is not a LiteLLM price file: {error}") from error
    return entries


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise strict_json.BadJSON("A number is out of range.") from error


def _list_offers(entries: dict[str, Any], source: str) -> Iterator[Offer | Omission]:
    """Yields the omissions first, then one offer per company and model id."""
    by_model: dict[tuple[str, str], list[_ParsedEntry]] = defaultdict(list)
    omissions: dict[Omission, None] = {}  # an ordered set
    for key, fields in entries.items():
        company = _company(fields)
        slug = provider_slug(company)
        try:
            parsed = _parse_entry(key, company, fields)
        except Unsupported as error:
            omissions[Omission(slug or "unknown", model_ids.normalize(key)[:MAX_ID_LENGTH], str(error))] = None
            continue
        by_model[slug, parsed.pattern].append(parsed)
    offers: list[Offer] = []
    for (slug, pattern), parsed_entries in by_model.items():
        rates, without = _merge(parsed_entries)
        first = parsed_entries[0]
        name = first.company.replace("_", " ").title()
        offers.append(
            Offer(slug, name, pattern, (), first.category, None, sort_rates(rates), source, tuple(sorted(without)))
        )
    yield from omissions
    yield from _without_derived(offers)


def _company(fields: object) -> str:
    """Returns the company: `vertex_ai` for `vertex_ai-language-models`, `openai` for `text-completion-openai`."""
    name = fields.get("litellm_provider") if isinstance(fields, dict) else None
    if not isinstance(name, str):
        return ""
    return re.sub(r"-\w+[-_]models$", "", name).removeprefix("text-completion-")


def _parse_entry(key: str, company: str, fields: dict[str, Any]) -> _ParsedEntry:
    """Raises Unsupported."""
    mode = fields.get("mode") if company else None
    if not provider_slug(company) or not isinstance(mode, str) or mode not in CATEGORIES:
        raise Unsupported(NO_MODEL)
    model, size = _split_size(_own_id(key, company))
    if not 0 < len(model) <= MAX_ID_LENGTH or "*" in model:
        raise Unsupported(NO_MODEL)
    try:
        rates, without = litellm_fields.rates(fields, mode, size)
    except Unsupported as error:
        if str(error) != NO_PRICE or not model.endswith(model_ids.FREE):
            raise
        rates, without = {Rate("input_tokens", "", 0, 0), Rate("output_tokens", "", 0, 0)}, set()
    return _ParsedEntry(
        company, model, CATEGORIES[mode], bool(size.pixels), frozenset(rates), frozenset(map(_as_name, without))
    )


def _as_name(key: str) -> str:
    """Returns the key as a short printable text: it may be anything."""
    return "".join(sign if sign.isprintable() else "?" for sign in key[:MAX_NAME_LENGTH])


def _own_id(key: str, company: str) -> str:
    """Strips the company and any path to its models from the id."""
    model = model_ids.normalize(key)
    head, slash, tail = model.partition("/")
    if slash and provider_slug(head) == provider_slug(company):
        model = tail
    return model_ids.after_models(model)


def _split_size(model: str) -> tuple[str, ImageSize]:
    """Splits "hd/1024-x-1792/dall-e-3" into the model and its size."""
    match = _SIZED.fullmatch(model)
    if not match:
        return model, ImageSize()
    quality, width, height, steps, bare = match.groups()
    if steps:
        raise Unsupported(BY_STEPS)
    terms = [f"quality={quality}"] if quality else []
    return bare, ImageSize(",".join([*terms, f"resolution={width}x{height}"]), int(width) * int(height))


def _merge(entries: list[_ParsedEntry]) -> tuple[set[Rate], set[str]]:
    """Merges the entries of one model. Returns the rates, and what they lack.

    The first entry without a size wins. For images it then applies to calls that state neither size nor quality, and
    the other entries to calls with their size; a size without an entry has no price.
    """
    entries.sort(key=lambda entry: (entry.by_size, provider_slug(entry.company) != entry.company))
    rates, without = set(entries[0].rates), set(entries[0].without)
    if entries[-1].by_size and not entries[0].by_size and {rate.unit for rate in rates} == {"images"}:
        rates = {replace(rate, variant=UNSTATED_VARIANT) for rate in rates}
    for entry in entries[1:]:
        if not entry.by_size and entry.rates != entries[0].rates:
            without.add(SECOND_PRICE)
        elif entry.by_size and {rate.unit for rate in rates} != {"images"}:
            without.add(SECOND_WAY)
        elif entry.by_size and _variants(rates - entry.rates) & _variants(entry.rates):
            without.add(SECOND_PRICE)
        elif entry.by_size:
            rates |= entry.rates
            without |= entry.without
    return rates, without


def _variants(rates: Set[Rate]) -> set[str]:
    return {rate.variant for rate in rates}


def _without_derived(offers: list[Offer]) -> Iterator[Offer]:
    """Drops ids that model_ids derives from another offered model with the same price (dated, regional, prefixed)."""
    priced = {(offer.provider, offer.pattern): (offer.rates, offer.category, offer.without) for offer in offers}
    for offer in offers:
        vendor = model_ids.vendor_names(offer.provider, [offer.provider_name])
        forms = [form for form in model_ids.own_forms(offer.pattern, vendor) if form != offer.pattern]
        closest = next((priced[offer.provider, form] for form in forms if (offer.provider, form) in priced), None)
        if closest != (offer.rates, offer.category, offer.without):
            yield offer
