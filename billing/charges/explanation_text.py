"""Describes an explained charge in plain English for customers, with exact amounts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import partial

from billing.charges.charge_history import CorrectionEffect, LogValue
from billing.charges.explanation import Explanation, PriceCalculation, PriceGap
from billing.models import CostSource, UsageAdjustment, UsageLog
from lib import money
from providers import price_conditions, rulebook
from providers.costing import CostLine
from providers.quantities import CACHED_PARTS, INPUT_PARTS, OUTPUT_PARTS, input_total

Labels = Mapping[str, str]
AdjustmentKind = UsageAdjustment.Kind

UNIT_LABELS = {
    "cache_write_tokens": "tokens written to the cache",
    "cache_write_1h_tokens": "tokens written to the 1-hour cache",
    "input_audio_tokens": "audio input tokens",
    "output_audio_tokens": "audio output tokens",
    "input_video_tokens": "video input tokens",
    "output_image_tokens": "image output tokens",
}
PART_PHRASES = {  # completes "5 of the 20 input tokens were ..."
    "cached_input_tokens": "cached",
    "cache_write_tokens": "written to the cache",
    "cache_write_1h_tokens": "written to the 1-hour cache",
    "input_audio_tokens": "audio",
    "image_tokens": "used for images",
    "cached_audio_tokens": "cached audio",
    "cached_image_tokens": "cached image tokens",
    "input_video_tokens": "video",
    "reasoning_tokens": "used for reasoning",
    "output_audio_tokens": "audio",
    "output_image_tokens": "used for images",
}
MATCH_PHRASES = {
    "exact": ", matched by exact model id",
    "alias": ", matched by an alias of the model",
    "glob": ", matched by a model pattern",
}
CORRECTION_PHRASES = {
    AdjustmentKind.VOID: "voided",
    AdjustmentKind.REPRICE: "re-priced",
    AdjustmentKind.REDETECT: "provider redetected",
    AdjustmentKind.CREDIT: "credited",
    AdjustmentKind.RESOLVE: "usage stated later",
    AdjustmentKind.REVERT: "correction reverted",
}
REVERT_PHRASES = {
    AdjustmentKind.VOID: "void reverted",
    AdjustmentKind.REPRICE: "re-pricing reverted",
    AdjustmentKind.REDETECT: "redetection reverted",
    AdjustmentKind.RESOLVE: "decision on unread fields reverted",
}


def sentences(log: UsageLog, why: Explanation, labels: Labels) -> list[str]:
    """Explain the charge line by line, then its corrections and the detected provider."""
    return [*charge_sentences(log, why, labels), *_correction_sentences(why, labels), detection_sentence(log, labels)]


def charge_sentences(log: UsageLog, why: Explanation, labels: Labels) -> Iterator[str]:
    """Explain the current charge."""
    charge = why.charge
    if log.voided_at:
        yield "This call was voided. It costs nothing and no longer counts toward any limit."
    elif charge.source == CostSource.CALLER:
        yield f"The caller stated the cost: {format_usd(charge.total_nano)}."
    elif charge.source == CostSource.VENDOR:
        yield f"The vendor stated the cost in its response: {format_usd(charge.total_nano)}."
    elif charge.source == CostSource.UNPRICED and why.gap:
        yield _gap_sentence(why.gap)
    elif charge.source == CostSource.UNPRICED:
        call = f"this use of {log.model_used}" if log.model_used else "a call without a model"
        yield f"Unpriced, not free: no known price covers {call} at {_provider_label(log, labels)}."
    elif charge.source == CostSource.ESTIMATE and not why.calculation:
        yield f"Estimated: {format_usd(charge.total_nano)}, as the usage of this call is not known."
    elif why.calculation:
        if charge.source == CostSource.ESTIMATE:
            yield "Estimated: not all of this call's usage is known. The known part costs:"
        yield from _calculation_sentences(why.calculation, charge.total_nano, labels)
    elif charge.price_id is None:
        yield "A failed call without usage costs nothing."
    else:
        yield f"This charge of {format_usd(charge.total_nano)} comes from price {charge.price_id}, which no longer exists."


def _gap_sentence(gap: PriceGap) -> str:
    price = f"the price of {gap.price.pattern}"
    if not gap.condition:
        return f"Unpriced, not free: {price} needs a quantity that this call does not state."
    terms = (
        f"{key}={value}" if value else f"an unspecified {_key_label(key)}"
        for key, value in price_conditions.parse(gap.condition)
    )
    return f"Unpriced, not free: {price} has no rate for {' and '.join(terms)}."


def _calculation_sentences(calculation: PriceCalculation, total_nano: int, labels: Labels) -> Iterator[str]:
    split_parts = {line.part for line in calculation.lines if line.unit in PART_PHRASES}
    for line in calculation.lines:
        quantity = _format_quantity(line, rest=line.unit not in PART_PHRASES and line.part in split_parts)
        yield f"{quantity} at {format_rate(line.unit, line.nano_per_million)} = {_format_decimal_usd(line.usd)}"
    exact, rounded = _format_decimal_usd(calculation.unrounded_usd), format_usd(total_nano)
    yield (
        f"Total: {rounded} (exact)."
        if exact == rounded
        else f"Total: {exact}, rounded once (half to even) to nine decimal places: {rounded}."
    )
    yield from _part_sentences(calculation)
    yield from _condition_sentences(calculation)
    price = calculation.price
    yield (
        f"Price {price.id} for {price.pattern} at {rulebook.provider_label(price.provider, labels)}, "
        f"valid from {price.valid_from}{MATCH_PHRASES.get(price.matched_by, '')}; source: {price.source}."
    )


def _part_sentences(calculation: PriceCalculation) -> Iterator[str]:
    """Explain how cached, audio, image and reasoning tokens changed the charge."""
    counts = calculation.quantities
    total = input_total(counts)
    if counts.cached_input_tokens or counts.cache_write_tokens or counts.cache_write_1h_tokens:
        yield (
            f"The {total:,} input tokens reported by the caller include cached tokens."
            if counts.cached_included
            else f"The caller reported {counts.input_tokens:,} input tokens, and cached tokens separately: {total:,} in total."
        )
    for total_unit, units, total_count in (
        ("input_tokens", INPUT_PARTS, total),
        ("output_tokens", OUTPUT_PARTS, counts.output_tokens),
    ):
        describe = partial(_part_sentence, calculation, total_unit=total_unit, total_count=total_count)
        yield from filter(None, (describe(unit) for unit in units))


def _part_sentence(calculation: PriceCalculation, unit: str, *, total_unit: str, total_count: int) -> str:
    """ "1,200 of the 2,000 input tokens were cached: $0.30 per million instead of $2.50." """
    line = next((line for line in calculation.lines if line.unit == unit), None)
    count = line.quantity if line else min(getattr(calculation.quantities, unit), total_count)
    if not count or (line is None and unit in calculation.rates):
        return ""
    verb = "was" if count == 1 else "were"
    part = f"{count:,} of the {total_count:,} {total_unit.replace('_', ' ')} {verb} {PART_PHRASES[unit]}"
    if line is None and unit in CACHED_PARTS and "cached_input_tokens" in calculation.rates:
        return f"{part}: billed as cached tokens."
    if line is None:
        return f"{part}: this price has no separate rate for them."
    instead = (
        f" instead of {format_usd(calculation.rates[total_unit].nano_per_million)}"
        if total_unit in calculation.rates
        else ""
    )
    return f"{part}: {format_rate(unit, line.nano_per_million)}{instead}."


def _condition_sentences(calculation: PriceCalculation) -> Iterator[str]:
    """Name the tier and the variant whose rates apply."""
    rates, quantities = [calculation.rates[line.unit] for line in calculation.lines], calculation.quantities
    number = f"{quantities.requests:,}" if quantities.requests else "an unstated number of"
    context = f'{number} requests with the context "{quantities.variant.context}"'
    by_context = quantities.requests != 1 and quantities.variant.context
    size = context if by_context else f"{input_total(quantities):,} input tokens in total"
    for above in sorted({rate.above for rate in rates if rate.above}):
        yield f"With {size}, the rates for more than {above:,} input tokens apply."
    if quantities.requests > 1 and (above := _lowest_threshold(calculation)):
        yield f"No request of these {quantities.requests:,} is known to have had more than {above:,} input tokens."
    for conditions in sorted({rate.variant for rate in rates if rate.variant}):
        yield f"These rates apply to calls with {describe_conditions(conditions)}."


def _lowest_threshold(calculation: PriceCalculation) -> int:
    """The lowest threshold of the price that the call did not exceed; 0 if it exceeded one or there is none."""
    exceeded = any(rate.above for rate in calculation.rates.values())
    return 0 if exceeded else min((rate.above for rate in calculation.price.rates if rate.above), default=0)


def describe_conditions(conditions: str) -> str:
    """ "resolution=720p,quality=" as "resolution 720p and unspecified quality"; "" for a rate without conditions."""
    return " and ".join(
        f"{_key_label(key)} {value}" if value else f"unspecified {_key_label(key)}"
        for key, value in price_conditions.parse(conditions)
    )


def _key_label(key: str) -> str:
    return "UTC hours" if key == price_conditions.HOURS else key.replace("_", " ")


def _correction_sentences(why: Explanation, labels: Labels) -> Iterator[str]:
    """List the original charge, each correction with its reason, and the current charge."""
    if not why.effects:
        return
    yield f"Original charge: {format_value(why.effects[0].before)}."
    for effect in why.effects:
        adjustment = effect.adjustment
        reason = f" Reason: {adjustment.reason}" if adjustment.reason else ""
        reverted = " (later reverted)" if adjustment.reverted_by else ""
        yield f"{adjustment.created_at:%Y-%m-%d %H:%M} UTC: {describe_correction(effect, labels)}{reverted}.{reason}"
    yield f"Current charge: {format_value(why.effects[-1].after)}."


def describe_correction(effect: CorrectionEffect, labels: Labels) -> str:
    """Describe one correction: "re-priced, from $0.0075 to $0.005"."""
    kind, details = effect.adjustment.kind, effect.adjustment.details
    reverted = details.get("kind")
    phrase = REVERT_PHRASES[AdjustmentKind(reverted)] if reverted else CORRECTION_PHRASES[AdjustmentKind(kind)]
    phrase = "unread fields decided" if "unread_fields" in details else phrase
    if AdjustmentKind.REDETECT in (kind, reverted):
        slugs = (details.get(name) or "no provider" for name in ("from", "to"))
        return f"{phrase}, from {' to '.join(rulebook.provider_label(slug, labels) for slug in slugs)}; the charge is unchanged"
    return f"{phrase}, from {format_value(effect.before)} to {format_value(effect.after)}"


def format_value(value: LogValue) -> str:
    if value.voided:
        return "nothing"
    return format_usd(value.nano) if value.priced else "unpriced"


def unit_label(name: str) -> str:
    return UNIT_LABELS.get(name, name.replace("_", " "))


def _format_quantity(line: CostLine, *, rest: bool) -> str:
    name = unit_label(line.unit)
    if line.decimal_quantity == 1:
        name = "search" if name == "searches" else name.replace("tokens", "token").removesuffix("s")
    return f"{_format_number(line.decimal_quantity)} {'other ' if rest else ''}{name}"


def format_rate(unit: str, nano_per_million: int) -> str:
    """The rate per million for tokens and characters, per unit for everything else."""
    if unit.endswith("tokens") or unit == "characters":
        return f"{format_usd(nano_per_million)} per million"
    return f"{_format_decimal_usd(Decimal(f'{nano_per_million}E-15'))} each"


def detection_sentence(log: UsageLog, labels: Labels) -> str:
    """Name the provider that served the call, with the evidence."""
    if log.actual_provider_name is None:
        return f"No provider has been detected yet. The declared label is shown: {log.provider}."
    return f"Served by {_provider_label(log, labels)} ({log.confidence}): {log.evidence}."


def _provider_label(log: UsageLog, labels: Labels) -> str:
    return rulebook.provider_label(log.display_provider, labels)


def format_usd(nano: int) -> str:
    return _format_decimal_usd(money.usd_from_nano(nano))


def _format_decimal_usd(amount: Decimal) -> str:
    """$1,234.50: exact, with at least two decimals."""
    whole, _, places = f"{abs(amount):,f}".partition(".")
    return f"{'-' if amount < 0 else ''}${whole}.{places.rstrip('0'):0<2}"


def _format_number(number: Decimal) -> str:
    text = f"{number:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
