"""Gives a call that is unpriced or not completely known its real usage, or its real cost. Once: it cannot be reverted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date, datetime
from functools import partial
from typing import Any

import msgspec

from billing.charges import rating
from billing.charges.rating import RatingSnapshot
from billing.corrections import apply_corrections, corrections
from billing.corrections.apply_corrections import Correction, CorrectionStep, Decision, Skipped
from billing.errors import Refused
from billing.events import events, usage_parts
from billing.events.events import Event, Usage
from billing.ledger import rollups
from billing.models import CorrectionBatch, CostSource, UsageAdjustment, UsageLog, UsageState
from lib import money
from providers.quantities import tokens_total

Charge = dict[str, Any]  # price, source, parts of the cost and unpriced reason, as an adjustment records them
COMPLETE, VOIDED = "the usage is complete and priced", "the call is voided"  # reasons to skip a log
SAME, OTHER = "it is resolved with the same content", "it is resolved with other content"
REFUSALS = {
    COMPLETE: ("not_estimated", "The usage of this call is complete, and it has a price."),
    VOIDED: ("voided", "The call is voided."),
    OTHER: ("already_resolved", "The call already has its real usage, with other content."),
    **dict.fromkeys((apply_corrections.ARCHIVED, apply_corrections.BEING_ARCHIVED), corrections.ARCHIVED_REFUSAL),
}


def resolve(
    log: UsageLog, *, usage: Usage | None, cost_usd: str | None, reason: str, actor: str, at: datetime
) -> CorrectionStep:
    """Set the real usage, rated by the price of the call's day, or the real cost; the usage is complete then.

    Repeating it changes nothing. Raises Refused if the content is invalid, the usage is complete, the call is voided, has
    been resolved with other content, or its period is archived.
    """
    kind = UsageAdjustment.Kind.RESOLVE
    batch = CorrectionBatch(kind=kind, reason=reason, actor=actor, choice={"log": str(log.id)})
    decide = partial(_decide, parse(log, usage, cost_usd), rating.snapshot())
    step = corrections.correct_single(log.account_id, log.id, decide, batch=batch, at=at)
    _check_skips(step.skipped)
    return step


def preview(log: UsageLog, *, usage: Usage | None, cost_usd: str | None) -> Correction:
    """What `resolve` would change; changes nothing. Raises Refused as it does, also where it would change nothing."""
    decisions = list(_decide(parse(log, usage, cost_usd), rating.snapshot(), [log], ()))
    _check_skips([item.reason for item in decisions if isinstance(item, Skipped)])
    for decision in decisions:
        if isinstance(decision, Correction):
            return decision
    raise Refused(*REFUSALS[OTHER])


def is_open(log: UsageLog) -> bool:
    """Whether the call can be resolved: its usage is not completely known or it has no price, and it was not before."""
    is_complete = log.usage_state == UsageState.COMPLETE and log.is_priced
    return log.resolved is None and log.voided_at is None and not is_complete


def _check_skips(reasons: Iterable[str]) -> None:
    for reason in reasons:
        if reason in REFUSALS:
            raise Refused(*REFUSALS[reason])


def parse(log: UsageLog, usage: Usage | None, cost_usd: str | None = None) -> Event:
    """The content in normal form, as the event that would have stated it. Raises Refused if it is invalid."""
    if (usage is None) == (cost_usd is None):
        raise Refused("invalid", "Send either `usage` or `cost_usd`.", "usage")
    fields = {"event_id": "-", "provider": log.provider, "cached_tokens_included": log.cached_included}
    event = events.parse({**fields, "usage": msgspec.to_builtins(usage or Usage()), "cost_usd": cost_usd})
    usage_parts.check(event)
    return event


def _decide(
    event: Event, snapshot: RatingSnapshot, logs: Sequence[UsageLog], _closed: Collection[date]
) -> Iterator[Decision]:
    name, value = (
        ("usage", msgspec.to_builtins(event.usage)) if event.cost_usd is None else ("cost_usd", event.cost_usd)
    )
    for log in logs:
        if log.resolved is not None:
            yield Skipped(SAME if log.resolved.get(name) == value else OTHER)
        elif log.voided_at is not None:
            yield Skipped(VOIDED)
        elif not is_open(log):
            yield Skipped(COMPLETE)
        else:
            yield _correction(log, {name: value}, event.cost_nano, snapshot)


def _correction(log: UsageLog, content: dict[str, Any], cost_nano: int | None, snapshot: RatingSnapshot) -> Correction:
    if cost_nano is None:
        usage = msgspec.convert(content["usage"], Usage)
        return by_usage(log, usage, rate(log, usage, snapshot))
    charge = {**NO_PRICE, "source": CostSource.CALLER.value, "other": cost_nano}
    return _with_content(log, content, rollups.recorded_tokens(log), charge)


def by_usage(log: UsageLog, usage: Usage, charge: Charge) -> Correction:
    """The correction that gives the log this usage and charge."""
    content = {"usage": msgspec.to_builtins(usage)}
    tokens = (usage.input_tokens, usage.output_tokens, tokens_total(rating.quantities_of_log(log, usage)))
    return _with_content(log, content, tokens, charge)


def by_charge(log: UsageLog, charge: Charge) -> Correction:
    """The correction that completes the log with its usage as it was read. Details are those that each rating records."""
    state = {"usage_state": UsageState.COMPLETE.value, "unpriced_reason": charge["unpriced_reason"]}
    total = charge["input"] + charge["output"] + charge["other"]
    values = {"effective_nano": total, "is_priced": charge["unpriced_reason"] is None, **state}
    details = {**charge, **state, "before": apply_corrections.value_as_json(log)}
    return Correction(log, UsageAdjustment.Kind.RESOLVE, values, details)


def _with_content(log: UsageLog, content: dict[str, Any], tokens: tuple[int, ...], charge: Charge) -> Correction:
    """Adds what was stated, and the changes of the tokens that count, to the correction's details."""
    correction, resolved = by_charge(log, charge), {**content, "tokens": list(tokens)}
    pairs = zip(("input", "output", "total"), tokens, rollups.recorded_tokens(log), strict=True)
    deltas = {name: new - old for name, new, old in pairs}
    return correction._replace(
        values={**correction.values, "resolved": resolved},
        details={**correction.details, "resolved": resolved, "tokens": deltas},
    )


NO_PRICE: Charge = {"price": None, "input": 0, "output": 0, "unpriced_reason": None}


def rate(log: UsageLog, usage: Usage, snapshot: RatingSnapshot) -> Charge:
    """The charge of this usage by the price of the call's day. Raises Refused above the maximum of a call."""
    price, cost = rating.rate_log(log, snapshot, usage)
    if cost.total_nano > money.MAX_EVENT_NANO:
        raise Refused("max_value", "The call would cost more than 1,000,000 USD, the maximum for one event.", "usage")
    return {
        "price": price.id if price and cost.billed else None,
        "source": cost.source,
        "input": cost.input_nano,
        "output": cost.output_nano,
        "other": cost.other_nano,
        "unpriced_reason": rating.unpriced_reason(price, cost),
    }
