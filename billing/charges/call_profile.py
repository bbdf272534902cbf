"""Columns shared by all calls with the same provider, model, endpoint and variant.

Most events have one of a few hundred signatures, so a snapshot caches profiles: detection and packing run once for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from billing.events.events import Event, Usage, Variant
from providers import model_ids, quantities, regions
from providers.detection import Call, Detection

TEXT, OTHER = "text", "other"  # categories


class CallSignature(NamedTuple):
    """The fields of an event that determine its profile."""

    call: Call
    category: str | None
    method: str
    variant: Variant
    cached_included: bool


@dataclass(frozen=True, slots=True, eq=False)
class CallProfile:
    """`row` has the log's values of COLUMNS; `declared` and `model` are normalised for the rollups.

    `variant` is as requested, in the region of the endpoint.
    """

    detection: Detection
    category: str
    provider: str
    declared: str
    model: str
    variant: quantities.Variant
    row: tuple[Any, ...]


COLUMNS = (
    *("provider", "category", "model_used", "endpoint", "method", "served_by", "variant", "cached_included"),
    *("actual_provider_name", "confidence", "detection_rule", "evidence"),
)


def signature_of(event: Event) -> CallSignature:
    default = TEXT if not event.endpoint and _has_only_tokens(event.usage) else OTHER
    call = Call(event.provider, event.model, event.endpoint, event.served_by or "", default)
    return CallSignature(call, event.category, event.method, event.variant, event.cached_tokens_included)


def _has_only_tokens(usage: Usage) -> bool:
    measured = usage.images or usage.megapixels or usage.seconds or usage.characters or usage.pages
    return bool(usage.input_tokens or usage.output_tokens) and not measured


def build_profile(signature: CallSignature, detection: Detection) -> CallProfile:
    call = signature.call
    category = signature.category or detection.category
    variant: dict[str, str] = msgspec.to_builtins(signature.variant)  # omits unset fields
    stated = (call.declared, category, call.model, call.endpoint, signature.method, call.served_by, variant)
    detected = (detection.actual_provider, detection.confidence, detection.rule, detection.evidence)
    return CallProfile(
        detection=detection,
        category=category,
        provider=call.declared,
        declared=model_ids.normalize(call.declared),
        model=model_ids.normalize(call.model),
        variant=variant_at(signature.variant, call.endpoint),
        row=(*stated, signature.cached_included, *detected),
    )


def variant_at(variant: Variant, endpoint: str) -> quantities.Variant:
    """The variant as costing takes it, in the region that the endpoint names where none is stated."""
    stated = quantities.Variant(*msgspec.structs.astuple(variant))
    return stated if stated.region else stated._replace(region=regions.region_of(endpoint) or None)
