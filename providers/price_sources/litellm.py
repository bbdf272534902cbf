"""The prices of a LiteLLM price file (model_prices_and_context_window.json) as offers. `sync_prices` asks.

Its ids begin with the company as LiteLLM calls it, and image ids with size and quality; the offer's id is the one that
the company itself knows. The file says nothing about dates. Numbers are read as the text that they are.
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
from providers.price_sources import Left, Offer, in_order, litellm_fields, our_slug
from providers.price_sources.litellm_fields import NO_PRICE, Refused, Size

MOST_BYTES = 8 * 2**20  # the real file has 1.6 MB
SPECIMEN = "sample_spec"  # an entry that explains the fields
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
BY_STEPS = "a price by the number of steps"
NO_MODEL = "no model of a company and a mode that are known"
NOTHING_STATED = "quality=,resolution="
SECOND_PRICE = "a second price for one id of one company"
SECOND_WAY = "images priced by size, beside a price for tokens"
LONGEST = 200  # what the table's column holds

_SIZED = re.compile(r"(?:([a-z]{1,20})/)?(\d{1,5})-x-(\d{1,5})/(?:((?:\d+|max)-steps)/)?(.+)")


class _Stated(NamedTuple):
    """One entry under the id that the company itself knows; `by_size`: its id named a size or a quality."""

    company: str
    pattern: str
    category: str
    by_size: bool
    rates: frozenset[Rate]


def offers(path: Path) -> Iterator[Offer | Left]:
    """Everything that the file states. Raises ValueError where it is no such file, OSError where it can't be read."""
    entries = _read(path)
    if not any(isinstance(entry, dict) and "litellm_provider" in entry for entry in entries.values()):
        raise ValueError(f"{path.name} is not a LiteLLM price file: no entry names a litellm_provider")
    entries.pop(SPECIMEN, None)
    return _stated(entries, f"litellm {path.name}")


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        body = file.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise ValueError(f"{path.name} is not a LiteLLM price file: it is larger than {MOST_BYTES // 2**20} MiB")
    try:
        entries = strict_json.loads(body, parse_float=_decimal)
        strict_json.audit(entries)
    except strict_json.BadJSON as error:
        raise ValueError(f"{path.name} is not a LiteLLM price file: {error}") from error
    return entries


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise strict_json.BadJSON("A number is out of range.") from error


def _stated(entries: dict[str, Any], source: str) -> Iterator[Offer | Left]:
    """What cannot be taken over first, then one offer for each id of each company."""
    found: dict[tuple[str, str], list[_Stated]] = defaultdict(list)
    left: dict[Left, None] = {}  # each once, in the file's order
    for key, fields in entries.items():
        company = _company(fields)
        slug = our_slug(company)
        try:
            stated, notes = _entry(key, company, fields)
        except Refused as refused:
            left[Left(slug or "unknown", model_ids.normal(key)[:LONGEST], str(refused))] = None
            continue
        found[slug, stated.pattern].append(stated)
        left.update(dict.fromkeys(Left(slug, stated.pattern, note) for note in sorted(notes)))
    made: list[Offer] = []
    for (slug, pattern), several in found.items():
        rates, conflicts = _together(several)
        left.update(dict.fromkeys(Left(slug, pattern, reason) for reason in conflicts))
        name = several[0].company.replace("_", " ").title()
        made.append(Offer(slug, name, pattern, (), several[0].category, None, in_order(rates), source))
    yield from left
    yield from _without_derived(made)


def _company(fields: object) -> str:
    """`vertex_ai-language-models` is sold by `vertex_ai`, `text-completion-openai` by `openai`."""
    stated = fields.get("litellm_provider") if isinstance(fields, dict) else None
    if not isinstance(stated, str):
        return ""
    return re.sub(r"-\w+[-_]models$", "", stated).removeprefix("text-completion-")


def _entry(key: str, company: str, fields: dict[str, Any]) -> tuple[_Stated, set[str]]:
    """The entry in our words, and what it is offered without. Raises Refused."""
    mode = fields.get("mode") if company else None
    if not our_slug(company) or not isinstance(mode, str) or mode not in CATEGORIES:
        raise Refused(NO_MODEL)
    model, size = _sized(_own_id(key, company))
    if not 0 < len(model) <= LONGEST or "*" in model:
        raise Refused(NO_MODEL)
    try:
        rates, notes = litellm_fields.rates(fields, mode, size)
    except Refused as refused:
        if str(refused) != NO_PRICE or not model.endswith(model_ids.FREE):
            raise
        rates, notes = {Rate("input_tokens", "", 0, 0), Rate("output_tokens", "", 0, 0)}, set()
    return _Stated(company, model, CATEGORIES[mode], bool(size.pixels), frozenset(rates)), notes


def _own_id(key: str, company: str) -> str:
    """The id without the company in front, and without a path to the models of a company."""
    model = model_ids.normal(key)
    head, slash, tail = model.partition("/")
    if slash and our_slug(head) == our_slug(company):
        model = tail
    return model_ids.after_models(model)


def _sized(model: str) -> tuple[str, Size]:
    """The model and the size of "hd/1024-x-1792/dall-e-3"."""
    matched = _SIZED.fullmatch(model)
    if not matched:
        return model, Size()
    quality, width, height, steps, bare = matched.groups()
    if steps:
        raise Refused(BY_STEPS)
    terms = [f"quality={quality}"] if quality else []
    return bare, Size(",".join([*terms, f"resolution={width}x{height}"]), int(width) * int(height))


def _together(several: list[_Stated]) -> tuple[set[Rate], list[str]]:
    """The rates of all entries of one id, and what is left of them.

    The first entry that names no size counts. For images it then holds where a call states neither size nor quality,
    and the others where it states theirs; a size that nobody priced has no price.
    """
    several.sort(key=lambda stated: (stated.by_size, our_slug(stated.company) != stated.company))
    rates, reasons = set(several[0].rates), []
    if several[-1].by_size and not several[0].by_size and {rate.unit for rate in rates} == {"images"}:
        rates = {replace(rate, variant=NOTHING_STATED) for rate in rates}
    for stated in several[1:]:
        if not stated.by_size and stated.rates != several[0].rates:
            reasons.append(SECOND_PRICE)
        elif stated.by_size and {rate.unit for rate in rates} != {"images"}:
            reasons.append(SECOND_WAY)
        elif stated.by_size and _variants(rates - stated.rates) & _variants(stated.rates):
            reasons.append(SECOND_PRICE)
        elif stated.by_size:
            rates |= stated.rates
    return rates, reasons


def _variants(rates: Set[Rate]) -> set[str]:
    return {rate.variant for rate in rates}


def _without_derived(offers: list[Offer]) -> Iterator[Offer]:
    """Without dated, regional and prefixed ids whose price is that of the model from which our own rules derive them."""
    priced = {(offer.provider, offer.pattern): (offer.rates, offer.category) for offer in offers}
    for offer in offers:
        vendor = model_ids.vendor_names(offer.provider, [offer.provider_name])
        forms = [form for form in model_ids.own_forms(offer.pattern, vendor) if form != offer.pattern]
        nearest = next((priced[offer.provider, form] for form in forms if (offer.provider, form) in priced), None)
        if nearest != (offer.rates, offer.category):
            yield offer
