"""What calls of one kind have in common: all that says who served them, and every column that follows from it.

Most events are of a few hundred kinds, so rating keeps them in memory: detecting, lower-casing and packing is done once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from billing.events.events import Event, Variant
from providers.detection import Call, Detection
from providers.rulebook import RuleBook


class CallSignature(NamedTuple):
    """What an event says of its kind."""

    call: Call
    category: str | None
    method: str
    variant: Variant
    cached_included: bool


@dataclass(frozen=True, slots=True, eq=False)
class CallProfile:
    """`row` are the values of the log's COLUMNS; `declared` and `model` are as rollups have them."""

    detection: Detection
    category: str
    provider: str
    declared: str
    model: str
    row: tuple[Any, ...]


COLUMNS = (
    *("provider", "category", "model_used", "endpoint", "method", "served_by", "variant", "cached_included"),
    *("actual_provider_name", "confidence", "detection_rule", "evidence"),
)


def said(event: Event) -> CallSignature:
    call = Call(event.provider, event.model, event.endpoint, event.served_by or "")
    return CallSignature(call, event.category, event.method, event.variant, event.cached_tokens_included)


def kind(said: CallSignature, rules: RuleBook) -> CallProfile:
    call, found = said.call, rules.detect(said.call)
    category = said.category or found.category
    variant: dict[str, str] = msgspec.to_builtins(said.variant)  # without what is not stated
    told = (call.declared, category, call.model, call.endpoint, said.method, call.served_by, variant)
    detected = (found.actual_provider, found.confidence, found.rule, found.evidence)
    return CallProfile(
        detection=found,
        category=category,
        provider=call.declared,
        declared=call.declared.strip().lower(),
        model=call.model.strip().lower(),
        row=(*told, said.cached_included, *detected),
    )
