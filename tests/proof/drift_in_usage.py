"""Kinds of drift in logs and their corrections."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db.models import F

from billing.models import (
    CorrectionBatch,
    UsageAdjustment,
    UsageLog,
)
from billing.verification import rollup_check
from lib import ids
from providers.models import PriceRate
from tests.proof.drifts import Drift, Key, account_id, change, delete, log_changed, log_key

LOGS, ADJUSTMENTS, BATCHES = "api_usage_logs", "usage_adjustments", "correction_batches"
OTHER_ID = UUID("01900000-0000-7000-8000-000000000001")
SECOND = timedelta(seconds=1)


def _copy_log() -> Key:
    """A log copied under another event id, with all totals corrected for it."""
    log = UsageLog.objects.get(event_id="october")
    log.pk, log.event_id = ids.new_id(), "copied"
    log.event_key = ids.lookup_key(log.event_id)
    log.save(force_insert=True)
    list(rollup_check.rebuild())
    return (log.pk,)


def _delete_log() -> Key:
    delete(UsageLog, event_id="october")
    return (account_id("paris"),)


def _delete_voided_log() -> Key:
    adjustment = _adjustment("voided", "void")
    delete(UsageLog, event_id="voided")
    return (adjustment.id,)


def _move_log_with_totals() -> Key:
    """A call of another day of its period, with all totals corrected for it."""
    key = change(UsageLog, {"event_id": "october"}, usage_day=date(2026, 10, 21))
    list(rollup_check.rebuild())
    return key


def _change_calls_with_totals() -> Key:
    key = change(UsageLog, {"event_id": "aggregated"}, calls=11)
    list(rollup_check.rebuild())
    return key


def _move_log_to_other_period() -> Key:
    key = change(UsageLog, {"event_id": "december"}, usage_period=date(2026, 11, 15))
    list(rollup_check.rebuild())
    return key


def _change_rate() -> Key:
    log = UsageLog.objects.get(event_id="priced")
    PriceRate.objects.filter(price_id=log.price_id or 0, unit="output_tokens").update(
        nano_per_million=F("nano_per_million") + 10**6
    )
    return (log.id,)


def _delete_price_rates() -> Key:
    log = UsageLog.objects.get(event_id="video")
    PriceRate.objects.filter(price_id=log.price_id or 0).delete()
    return (log.id,)


def _change_old_log(**values: Any) -> Key:
    return change(UsageLog, {"event_id": "earlier-release"}, **values)


LOG_DRIFTS = (
    Drift("event id", LOGS, log_changed("priced", event_id="changed")),
    Drift("event key", LOGS, log_changed("priced", event_key=OTHER_ID)),
    Drift("digest", LOGS, log_changed("priced", digest=OTHER_ID)),
    Drift("account of a log", LOGS, lambda: change(UsageLog, {"event_id": "priced"}, account_id=account_id("tokyo"))),
    Drift("account that does not exist", LOGS, log_changed("priced", account_id=10**9)),
    Drift("declared provider", LOGS, log_changed("priced", provider="azure")),
    Drift("category", LOGS, log_changed("priced", category="image")),
    Drift("model", LOGS, log_changed("priced", model_used="drift-10")),
    Drift("endpoint", LOGS, log_changed("priced", endpoint="/v2")),
    Drift("method", LOGS, log_changed("priced", method="GET")),
    Drift("variant", LOGS, log_changed("video", variant={"resolution": "1080p"})),
    Drift("served by", LOGS, log_changed("priced", served_by="azure")),
    Drift("value in metadata", LOGS, log_changed("priced", metadata={"team": "b", "ratio": 1.5, "big": 10**30})),
    Drift("number in metadata", LOGS, log_changed("priced", metadata={"team": "a", "ratio": 1.25, "big": 10**30})),
    Drift("metadata removed", LOGS, log_changed("priced", metadata={})),
    Drift("error message", LOGS, log_changed("failed", error_message="timed out")),
    Drift("tokens of the input", LOGS, log_changed("stated", tokens_input=1, tokens_total=1)),
    Drift("cached tokens", LOGS, log_changed("priced", tokens_cached=100)),
    Drift("total of tokens", LOGS, log_changed("priced", tokens_total=1_501)),
    Drift("units", LOGS, log_changed("video", units={"seconds": "8.5"})),
    Drift("convention for cached tokens", LOGS, log_changed("october", cached_included=False)),
    Drift(
        "part of a cost moved",
        LOGS,
        log_changed("priced", cost_input=F("cost_input") + 1, cost_output=F("cost_output") - 1),
    ),
    Drift("total of a cost", LOGS, log_changed("priced", cost_total=F("cost_total") + 1)),
    Drift("stated cost", LOGS, log_changed("october", cost_other=F("cost_other") + 1, cost_total=F("cost_total") + 1)),
    Drift("price of a log", LOGS, log_changed("priced", price_id=F("price_id") + 1)),
    Drift("source of a cost", LOGS, log_changed("october", cost_source="free")),
    Drift("response time", LOGS, log_changed("stated", response_time_ms=121)),
    Drift("status", LOGS, log_changed("failed", status_code=503)),
    Drift("retries", LOGS, log_changed("priced", retry_count=1)),
    Drift("size of a request", LOGS, log_changed("voided", request_bytes=11)),
    Drift(
        "time of a call by a microsecond",
        LOGS,
        log_changed("priced", timestamp=F("timestamp") + timedelta(microseconds=1)),
    ),
    Drift("time of receipt", LOGS, log_changed("priced", received_at=F("received_at") + SECOND)),
    Drift("day outside its period", LOGS, log_changed("priced", usage_day=date(2026, 10, 20))),
    Drift("day, with all totals", LOGS, _move_log_with_totals),
    Drift("period, with all totals", LOGS, _move_log_to_other_period),
    Drift("late call made timely", LOGS, log_changed("late", late_for=None)),
    Drift("timely call made late", LOGS, log_changed("october", late_for=date(2026, 9, 15))),
    Drift("instant that decides the day", LOGS, log_changed("october", counts_at=datetime(2026, 11, 20, tzinfo=UTC))),
    Drift("billable flag", LOGS, log_changed("failed", is_billable=True)),
    Drift("calls of an aggregated row", LOGS, log_changed("aggregated", calls=9)),
    Drift("calls of a row, with all totals", LOGS, _change_calls_with_totals),
    Drift("no calls", LOGS, log_changed("october", calls=0)),
    Drift("calls of an old log", LOGS, partial(_change_old_log, calls=2)),
    Drift("reading", LOGS, log_changed("estimated", reading={"reader": "openai_chat", "ignored": [], "unread": []})),
    Drift("reading removed", LOGS, log_changed("estimated", reading=None)),
    Drift("reading invented", LOGS, log_changed("october", reading={"reader": "openai_chat"})),
    Drift("checksum", LOGS, log_changed("priced", checksum=F("checksum") + 1)),
    Drift("copied log, with all totals", LOGS, _copy_log),
    Drift("deleted log", "usage_days", _delete_log),
    Drift("deleted voided log", ADJUSTMENTS, _delete_voided_log),
    Drift("event key of an old log", LOGS, partial(_change_old_log, event_key=OTHER_ID)),
    Drift("event id of an old log", LOGS, partial(_change_old_log, event_id="changed")),
    Drift("tokens of an old log", LOGS, partial(_change_old_log, tokens_output=501, tokens_total=1_501)),
    Drift(
        "cost parts of an old log",
        LOGS,
        partial(_change_old_log, cost_input=F("cost_input") + 1, cost_output=F("cost_output") - 1),
    ),
    Drift("day of an old log", LOGS, partial(_change_old_log, usage_day=date(2026, 10, 21))),
    Drift("rate of a used price", LOGS, _change_rate),
    Drift("deleted rates of a used price", LOGS, _delete_price_rates),
)


PROJECTION_DRIFTS = (
    Drift("current cost", LOGS, log_changed("october", effective_nano=F("effective_nano") + 1)),
    Drift("priced flag", LOGS, log_changed("october", is_priced=False)),
    Drift("reason of a priced log", LOGS, log_changed("october", unpriced_reason="price_unknown")),
    Drift("reason of a re-priced log", LOGS, log_changed("unpriced", unpriced_reason="price_unknown")),
    Drift("reason removed", LOGS, log_changed("aggregated", unpriced_reason=None)),
    Drift("reason of no kind", LOGS, log_changed("aggregated", unpriced_reason="unknown")),
    Drift("state of a log with a price", LOGS, log_changed("priced", usage_state="incomplete")),
    Drift("state of a re-priced log", LOGS, log_changed("unpriced", usage_state="unknown")),
    Drift("state of no kind", LOGS, log_changed("aggregated", usage_state="partial")),
    Drift(
        "usage stated later",
        LOGS,
        log_changed("resolved", resolved={"usage": {"input_tokens": 7}, "tokens": [8, 0, 8]}),
    ),
    Drift("usage stated later removed", LOGS, log_changed("resolved", resolved=None)),
    Drift(
        "usage stated later invented", LOGS, log_changed("estimated", resolved={"cost_usd": "1", "tokens": [0, 0, 0]})
    ),
    Drift("resolved call made unknown again", LOGS, log_changed("resolved", usage_state="unknown")),
    Drift("estimate made complete", LOGS, log_changed("estimated", usage_state="complete")),
    Drift("void without an adjustment", LOGS, log_changed("october", voided_at=F("received_at"))),
    Drift("void removed", LOGS, log_changed("voided", voided_at=None)),
    Drift("time of a void", LOGS, log_changed("voided", voided_at=F("voided_at") + SECOND)),
    Drift("actual provider", LOGS, log_changed("october", actual_provider_name="azure")),
    Drift("actual provider of a redetected log", LOGS, log_changed("detected", actual_provider_name="azure")),
    Drift("actual provider removed", LOGS, log_changed("october", actual_provider_name=None)),
    Drift("confidence", LOGS, log_changed("october", confidence="weak")),
    Drift("detection rule", LOGS, log_changed("october", detection_rule="other")),
    Drift("rule of a redetected log", LOGS, log_changed("detected", detection_rule="other")),
    Drift("evidence", LOGS, log_changed("october", evidence="host other.example.com")),
)


def _adjustment(event_id: str, kind: str) -> UsageAdjustment:
    return UsageAdjustment.objects.get(log_id=log_key(event_id)[0], kind=kind)


def _changed(event_id: str, kind: str, /, **values: Any) -> Any:
    return lambda: change(UsageAdjustment, {"id": _adjustment(event_id, kind).id}, **values)


def _details(event_id: str, kind: str, /, **details: Any) -> Any:
    def inject() -> Key:
        adjustment = _adjustment(event_id, kind)
        return change(UsageAdjustment, {"id": adjustment.id}, details=adjustment.details | details)

    return inject


def _delete_adjustment(event_id: str, kind: str) -> Key:
    delete(UsageAdjustment, id=_adjustment(event_id, kind).id)
    return log_key(event_id)


def _delete_revert() -> Key:
    delete(UsageAdjustment, id=_adjustment("detected-back", "revert").id)
    return (_adjustment("detected-back", "redetect").id,)


def _archived_adjustment(**values: Any) -> Key:
    return change(UsageAdjustment, {"account_id": account_id("old"), "late_at__isnull": True}, **values)


def _invent_adjustment() -> Key:
    adjustment = _adjustment("voided", "void")
    adjustment.pk, adjustment.log_id = ids.new_id(), OTHER_ID
    adjustment.save(force_insert=True)
    return (adjustment.pk,)


def _delete_batch() -> Key:
    adjustment = _adjustment("voided", "void")
    delete(CorrectionBatch, id=adjustment.batch)
    return (adjustment.id,)


def _change_batch(**values: Any) -> Key:
    return change(CorrectionBatch, {"id": _adjustment("unpriced", "reprice").batch}, **values)


def _delete_of_archived() -> Key:
    adjustment = UsageAdjustment.objects.get(account_id=account_id("old"), late_at=None)
    delete(UsageAdjustment, id=adjustment.id)
    return (adjustment.batch,)


def _make_late() -> Key:
    adjustment = _adjustment("voided", "void")
    change(UsageAdjustment, {"id": adjustment.id}, late_at=F("created_at"), period=date(2026, 10, 15))
    return (account_id("paris"),)


def _exchange_log() -> Key:
    return change(UsageAdjustment, {"id": _adjustment("voided", "void").id}, log_id=log_key("late")[0])


def _exchange_account() -> Key:
    return change(UsageAdjustment, {"id": _adjustment("voided", "void").id}, account_id=account_id("tokyo"))


def _change_state_after() -> Key:
    _details("unpriced", "reprice", usage_state="unknown")()
    return log_key("unpriced")


def _reactivate() -> Key:
    change(UsageAdjustment, {"id": _adjustment("november", "reprice").id}, reverted_by=None)
    return (_adjustment("november", "revert").id,)


def _change_provider_before() -> Key:
    _details("detected", "redetect", **{"from": "openai"})()
    return log_key("detected")


def _change_provider_after() -> Key:
    _details("detected", "redetect", to="openai")()
    return log_key("detected")


CORRECTION_DRIFTS = (
    Drift("deleted void", LOGS, partial(_delete_adjustment, "voided", "void")),
    Drift("deleted re-pricing", LOGS, partial(_delete_adjustment, "unpriced", "reprice")),
    Drift("deleted redetection", LOGS, partial(_delete_adjustment, "detected", "redetect")),
    Drift("deleted revert", ADJUSTMENTS, _delete_revert),
    Drift("deleted correction of an archived call", BATCHES, _delete_of_archived),
    Drift("amount of an adjustment", ADJUSTMENTS, _changed("voided", "void", delta_nano=-1)),
    Drift("kind of an adjustment", ADJUSTMENTS, _changed("voided", "void", kind="credit")),
    Drift("reason of an adjustment", ADJUSTMENTS, _changed("voided", "void", reason="other")),
    Drift("actor of an adjustment", ADJUSTMENTS, _changed("voided", "void", actor="bob")),
    Drift("period of an adjustment", ADJUSTMENTS, _changed("voided", "void", period=date(2026, 10, 15))),
    Drift("period of a late adjustment", ADJUSTMENTS, _changed("stated", "void", period=date(2026, 9, 15))),
    Drift("corrected period", ADJUSTMENTS, _changed("voided", "void", corrects_period=date(2026, 8, 15))),
    Drift("late adjustment made timely", ADJUSTMENTS, _changed("stated", "void", late_at=None)),
    Drift("timely adjustment made late", "usage_days", _make_late),
    Drift(
        "time at which an adjustment was late", ADJUSTMENTS, _changed("stated", "void", late_at=F("late_at") + SECOND)
    ),
    Drift(
        "instant of a corrected call",
        ADJUSTMENTS,
        _changed("stated", "void", counts_at=datetime(2026, 9, 1, tzinfo=UTC)),
    ),
    Drift("revert that does not exist", ADJUSTMENTS, _changed("voided", "void", reverted_by=OTHER_ID)),
    Drift("reverted adjustment made active", ADJUSTMENTS, _reactivate),
    Drift("cost before a void", ADJUSTMENTS, _details("voided", "void", before={"nano": 1})),
    Drift("part of a re-priced cost", ADJUSTMENTS, _details("unpriced", "reprice", input=1)),
    Drift(
        "price state before a re-pricing",
        ADJUSTMENTS,
        _details("unpriced", "reprice", before={"nano": 0, "priced": True}),
    ),
    Drift(
        "reason before a re-pricing",
        ADJUSTMENTS,
        _details("unpriced", "reprice", before={"nano": 0, "priced": False, "unpriced_reason": None}),
    ),
    Drift("reason after a re-pricing", ADJUSTMENTS, _details("unpriced", "reprice", unpriced_reason="price_unknown")),
    Drift("part of a resolved cost", ADJUSTMENTS, _details("resolved", "resolve", input=1)),
    Drift("state after a re-pricing", LOGS, _change_state_after),
    Drift("provider before a redetection", LOGS, _change_provider_before),
    Drift("provider after a redetection", LOGS, _change_provider_after),
    Drift("target of a revert", ADJUSTMENTS, _details("november", "revert", reverts=str(OTHER_ID))),
    Drift("log of an adjustment", ADJUSTMENTS, _exchange_log),
    Drift("account of an adjustment", ADJUSTMENTS, _exchange_account),
    Drift("log of a correction of an archived call", ADJUSTMENTS, partial(_archived_adjustment, log_id=OTHER_ID)),
    Drift("invented adjustment of no log", ADJUSTMENTS, _invent_adjustment),
    Drift("deleted batch", ADJUSTMENTS, _delete_batch),
    Drift("logs of a batch", BATCHES, partial(_change_batch, logs=2)),
    Drift("amount of a batch", BATCHES, partial(_change_batch, delta_nano=F("delta_nano") + 1)),
    Drift("batch marked as reverted", BATCHES, partial(_change_batch, reverted_at=datetime(2026, 12, 1, tzinfo=UTC))),
)

DRIFTS = (*LOG_DRIFTS, *PROJECTION_DRIFTS, *CORRECTION_DRIFTS)
