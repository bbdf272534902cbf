"""An explained charge in plain English, for a customer's accountant: exact figures with separators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import partial

from billing.charges.charge_history import CorrectionEffect, LogValue
from billing.charges.explanation import Explanation, Priced
from billing.models import CostSource, UsageAdjustment, UsageLog
from lib import money
from providers import costing
from providers.costing import Line

Labels = Mapping[str, str]
Kind = UsageAdjustment.Kind

UNITS = {
    "cache_write_tokens": "tokens written to the cache",
    "cache_write_1h_tokens": "tokens written to the cache for an hour",
    "input_audio_tokens": "audio input tokens",
    "output_audio_tokens": "audio output tokens",
}
PARTS = {  # what the tokens of a part were
    "cached_input_tokens": "cached",
    "cache_write_tokens": "written to the cache",
    "cache_write_1h_tokens": "written to the cache for an hour",
    "input_audio_tokens": "audio",
    "image_tokens": "for images",
    "reasoning_tokens": "reasoning",
    "output_audio_tokens": "audio",
}
STEPS = {
    "exact": ", found by the model's exact id",
    "alias": ", found by another name of the model",
    "glob": ", found by a pattern that covers the model",
}
DONE = {
    Kind.VOID: "voided",
    Kind.REPRICE: "re-priced",
    Kind.REDETECT: "provider named again",
    Kind.CREDIT: "credited",
    Kind.REVERT: "correction taken back",
}
UNDONE = {
    Kind.VOID: "void taken back",
    Kind.REPRICE: "re-pricing taken back",
    Kind.REDETECT: "name of the provider taken back",
}


def of(log: UsageLog, why: Explanation, labels: Labels) -> list[str]:
    """The charge line by line, its corrections, and who served the call."""
    return [*charge(log, why, labels), *_corrections(why, labels), detection(log, labels)]


def charge(log: UsageLog, why: Explanation, labels: Labels) -> Iterator[str]:
    """What the call costs now, and why."""
    stands = why.charge
    if log.voided_at:
        yield "This call was voided: it costs nothing and counts no more."
    elif stands.source == CostSource.CALLER:
        yield f"The caller stated the cost itself: {dollars(stands.total_nano)}."
    elif stands.source == CostSource.UNPRICED:
        model = log.model_used or "a call without a model"
        yield f"No known price for {model} at {_label(log, labels)} rates what was used: unpriced, not free."
    elif why.priced:
        yield from _rated(why.priced, stands.total_nano, labels)
    elif stands.price_id is None:
        yield "A failed call without usage costs nothing."
    else:
        yield f"Price {stands.price_id} made this charge and is stored no more: {dollars(stands.total_nano)}."


def _rated(priced: Priced, total: int, labels: Labels) -> Iterator[str]:
    parts_of = {line.part for line in priced.lines if line.unit in PARTS}
    for line in priced.lines:
        rest = line.unit not in PARTS and line.part in parts_of
        yield f"{_counted(line, rest=rest)} at {rate(line.unit, line.nano_per_million)} = {_usd(line.usd)}"
    exact, rounded = _usd(priced.unrounded_usd), dollars(total)
    yield (
        f"Together {rounded}, exactly."
        if exact == rounded
        else f"Together {exact}; rounded once, half to even, to a billionth of a dollar: {rounded}."
    )
    yield from _parts(priced)
    yield from _conditions(priced)
    price = priced.price
    yield (
        f"Price {price.id} for {price.pattern} at {labels.get(price.provider, price.provider)}, "
        f"valid from {price.valid_from}{STEPS.get(price.matched_by, '')}; source: {price.source}."
    )


def _parts(priced: Priced) -> Iterator[str]:
    """What of the input and the output was something special, and what that changed."""
    counts = priced.quantities
    total = costing.input_total(counts)
    if counts.cached_input_tokens or counts.cache_write_tokens or counts.cache_write_1h_tokens:
        yield (
            f"The {total:,} input tokens that the caller reported include those of the cache."
            if counts.cached_included
            else f"The caller reported {counts.input_tokens:,} input tokens, and those of the cache apart: {total:,} in all."
        )
    for whole, units, most in (
        ("input_tokens", costing.INPUT_PARTS, total),
        ("output_tokens", costing.OUTPUT_PARTS, counts.output_tokens),
    ):
        tell = partial(_part, priced, whole=whole, most=most)
        yield from filter(None, (tell(unit) for unit in units))


def _part(priced: Priced, unit: str, *, whole: str, most: int) -> str:
    """ "1,200 of the 2,000 input tokens were cached: $0.30 a million instead of $2.50." """
    line = next((line for line in priced.lines if line.unit == unit), None)
    count = line.quantity if line else min(getattr(priced.quantities, unit), most)
    if not count or (line is None and unit in priced.rates):
        return ""
    were = "was" if count == 1 else "were"
    told = f"{count:,} of the {most:,} {whole.replace('_', ' ')} {were} {PARTS[unit]}"
    if line is None:
        return f"{told}: this price has no rate of its own for them."
    instead = f" instead of {dollars(priced.rates[whole].nano_per_million)}" if whole in priced.rates else ""
    return f"{told}: {rate(unit, line.nano_per_million)}{instead}."


def _conditions(priced: Priced) -> Iterator[str]:
    """The tier and the variant whose rates held."""
    held = [priced.rates[line.unit] for line in priced.lines]
    for above in sorted({rate.above for rate in held if rate.above}):
        total = costing.input_total(priced.quantities)
        yield f"With {total:,} input tokens in all, which is more than {above:,}, the rates above {above:,} hold."
    for conditions in sorted({rate.variant for rate in held if rate.variant}):
        yield f"These are the rates for {variant(conditions)}."


def variant(conditions: str) -> str:
    """ "resolution=720p,quality=" as "resolution 720p and no stated quality"; empty for a rate without conditions."""
    return " and ".join(
        f"{key.replace('_', ' ')} {value}" if value else f"no stated {key.replace('_', ' ')}"
        for key, value in costing.conditions(conditions)
    )


def _corrections(why: Explanation, labels: Labels) -> Iterator[str]:
    """What was charged first, what was done to it and why, and what it costs now."""
    if not why.steps:
        return
    yield f"First charged: {worth(why.steps[0].before)}."
    for step in why.steps:
        one = step.adjustment
        reason = f" Reason: {one.reason}" if one.reason else ""
        later = " (taken back later)" if one.reverted_by else ""
        yield f"{one.created_at:%Y-%m-%d %H:%M} UTC: {done(step, labels)}{later}.{reason}"
    yield f"Charged now: {worth(why.steps[-1].after)}."


def done(step: CorrectionEffect, labels: Labels) -> str:
    """What a correction did: "re-priced, from $0.0075 to $0.005"."""
    one = step.adjustment
    undone = one.details.get("kind")
    word = UNDONE[Kind(undone)] if undone else DONE[Kind(one.kind)]
    if Kind.REDETECT in (one.kind, undone):
        names = (one.details.get(name) or "no provider" for name in ("from", "to"))
        return f"{word}, from {' to '.join(labels.get(name, name) for name in names)}; the charge stays"
    return f"{word}, from {worth(step.before)} to {worth(step.after)}"


def worth(one: LogValue) -> str:
    if one.voided:
        return "nothing"
    return dollars(one.nano) if one.priced else "unpriced"


def unit(name: str) -> str:
    return UNITS.get(name, name.replace("_", " "))


def _counted(line: Line, *, rest: bool) -> str:
    name = unit(line.unit)
    if line.amount == 1:
        name = "search" if name == "searches" else name.replace("tokens", "token").removesuffix("s")
    return f"{_plain(line.amount)} {'other ' if rest else ''}{name}"


def rate(unit: str, nano_per_million: int) -> str:
    """Tokens and characters are told by the million, everything else by the piece."""
    if unit.endswith("tokens") or unit == "characters":
        return f"{dollars(nano_per_million)} a million"
    return f"{_usd(Decimal(f'{nano_per_million}E-15'))} each"


def detection(log: UsageLog, labels: Labels) -> str:
    """Who served the call, and by which evidence."""
    if log.actual_provider_name is None:
        return f"The provider is not detected yet; shown is the declared label, {log.provider}."
    return f"Served by {_label(log, labels)} ({log.confidence}): {log.evidence}."


def _label(log: UsageLog, labels: Labels) -> str:
    return labels.get(log.shown_provider, log.shown_provider)


def dollars(nano: int) -> str:
    return _usd(money.usd_from_nano(nano))


def _usd(amount: Decimal) -> str:
    """$1,234.50: exact, with at least two decimals."""
    whole, _, places = f"{abs(amount):,f}".partition(".")
    return f"{'-' if amount < 0 else ''}${whole}.{places.rstrip('0'):0<2}"


def _plain(number: Decimal) -> str:
    text = f"{number:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
