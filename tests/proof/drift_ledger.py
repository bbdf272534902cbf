"""A small ledger with something of everything, in which the proof of the ledger check injects drift."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

from billing.accounts import accounts
from billing.archive import archive_job
from billing.corrections import corrections, redetection, repricing, resolution
from billing.corrections.redetection import RedetectionChoice
from billing.corrections.repricing import RepricingChoice
from billing.events import events
from billing.events.events import Usage
from billing.limits import reservations
from billing.limits.operations import Estimate, Operation
from billing.limits.reservations import ReservationRequest
from billing.models import (
    Account,
    ClosedPeriod,
    CorrectionBatch,
    EndedOverride,
    LimitOverride,
    Meter,
    Statement,
    SubscriptionEvent,
    UsageLog,
    UsageReservation,
)
from billing.plans import anchor_changes, subscriptions
from billing.recording import metering
from billing.recording.metering import EventSource
from billing.statements import statements
from lib import periods
from lib.money import NANO
from providers import rulebook
from providers.models import DetectionRule, Provider
from tests.billing.estimates import record_with_state
from tests.billing.ledger_rows import clear_detection, run, set_price
from tests.billing.subscribers import create_soft_plan
from tests.frozen_clock import Clock, utc

TODAY = "2026-12-20T12:00"
KEEP_LOGS_DAYS = 110  # archives July alone
HOST = "https://drift.example.com/v1"
USAGE = {"input_tokens": 1_000, "output_tokens": 500, "cached_input_tokens": 200}
ESTIMATED = {"account": "paris", "provider": "openai", "model": "drift-1", "cost_usd": None, "usage": USAGE}
READING = {"reader": "openai_chat", "ignored": [], "unread": ["usage.new_tokens"]}
SOURCE = EventSource(may_state_cost=True, may_create_accounts=True)


class Ledger:
    """Records events and runs the service's own functions at moments of the frozen clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.now = clock.today

    def at(self, moment: str) -> datetime:
        self.now = utc(moment)
        self.clock.move_to(self.now)
        return self.now

    def record(self, account: str, event_id: str, *, source: EventSource = SOURCE, **fields: Any) -> UsageLog:
        raw = {"event_id": event_id, "account": account, "provider": "openai", "model": "drift-1", "usage": USAGE}
        (result,) = metering.record([events.parse({**raw, **fields})], source=source, at=self.now)
        assert result.id is not None, result.refused
        return UsageLog.objects.get(pk=result.id)

    def void(self, event_id: str) -> None:
        corrections.void(log_of(event_id), reason=f"void of {event_id}", actor="ann", at=self.now)

    def close(self) -> None:
        statements.close_due(self.now)


def log_of(event_id: str) -> UsageLog:
    return UsageLog.objects.get(event_id=event_id)


def account_of(external_id: str) -> Account:
    return Account.objects.get(external_id=external_id)


def build(clock: Clock, folder: Path, settings: Any) -> None:
    settings.KEEP_LOGS_DAYS, settings.ARCHIVE_DIR = KEEP_LOGS_DAYS, str(folder)
    ledger = Ledger(clock)
    _start(ledger)
    _summer(ledger)
    _september(ledger)
    _october(ledger)
    _november(ledger)
    _reservations(ledger)
    _december(ledger)
    _complete_columns()


def _start(ledger: Ledger) -> None:
    at = ledger.at("2026-07-01T00:00")
    set_price("drift-1", since=date(2026, 1, 1), input_tokens="2", cached_input_tokens="1", output_tokens="10")
    set_price("drift-video", since=date(2026, 1, 1), seconds="500000")
    create_soft_plan("team", 5, monthly_usd=30)
    create_soft_plan("large", 50, monthly_usd=60)
    for name, zone, anchor in (("old", "UTC", 1), ("paris", "Europe/Paris", 15), ("tokyo", "Asia/Tokyo", 1)):
        if name != "old":
            at = ledger.at("2026-09-01T12:00")
        accounts.create(external_id=name, at=at, name=name, timezone=zone, anchor_day=anchor)


def _summer(ledger: Ledger) -> None:
    """Calls of July, which will be archived, one of them voided and one corrected after closing."""
    ledger.at("2026-07-10T10:00")
    for number in range(4):
        ledger.record("old", f"july-{number}", model="drift-1" if number else "GPT-4o")
    ledger.void("july-1")
    ledger.at("2026-08-04T02:00")
    ledger.close()
    ledger.at("2026-08-10")
    ledger.record("old", "august")
    ledger.void("july-2")
    ledger.at("2026-09-04T02:00")
    ledger.close()


def _september(ledger: Ledger) -> None:
    at = ledger.at("2026-09-01T15:00")
    subscriptions.subscribe(account_of("paris"), plan="team", cycle="monthly", actor="ann", at=at)
    subscriptions.subscribe(account_of("tokyo"), plan="team", cycle="yearly", actor="ann", at=at)
    ledger.at("2026-09-20T21:00")
    ledger.record("paris", "priced", metadata={"team": "a", "ratio": 1.5, "big": 10**30}, served_by="openai")
    ledger.record("paris", "stated", cost_usd="12.5", provider="exa", model="", usage={}, response_time_ms=120)
    ledger.record("paris", "failed", status_code=500, usage={}, error_message="timed\nout")
    ledger.record("paris", "video", model="drift-video", usage={"seconds": "8.25"}, variant={"resolution": "720p"})
    ledger.record("paris", "unpriced", model="drift-2")
    ledger.record("paris", "voided", cost_usd="3", request_bytes=10)
    ledger.void("voided")
    ledger.record("tokyo", "tokyo-september", cost_usd="7")
    set_price("drift-2", since=date(2026, 1, 1), input_tokens="3")
    batch = repricing.start(RepricingChoice(unpriced=True), reason="new price", actor="ann", at=ledger.now)
    list(repricing.run(batch, size=100, clock=lambda: ledger.now))
    ledger.at("2026-10-04T02:00")
    ledger.close()


def _october(ledger: Ledger) -> None:
    """Paris' first period ends on the 15th; its statement is paid, and corrected later."""
    ledger.at("2026-10-18T08:00")
    ledger.close()
    statement = Statement.objects.get(account=account_of("paris"), period="2026-09-15")
    assert statements.mark_paid(statement, actor="bob", note="transfer 1", at=ledger.at("2026-10-20"))
    ledger.void("stated")
    ledger.record("paris", "late", occurred_at="2026-09-20T10:00:00Z")
    ledger.record("paris", "october", cost_usd="1")
    ledger.record("paris", "earlier-release")
    ledger.record("paris", "aggregated", model="drift-4", usage={**USAGE, "requests": 10})
    record_with_state({**ESTIMATED, "event_id": "estimated"}, state="incomplete", reading=READING, at=ledger.now)
    record_with_state({**ESTIMATED, "event_id": "unknown", "model": "drift-4"}, state="unknown", at=ledger.now)
    record_with_state({**ESTIMATED, "event_id": "resolved"}, state="incomplete", at=ledger.now)
    resolution.resolve(
        log_of("resolved"), usage=Usage(input_tokens=7), cost_usd=None, reason="r", actor="ann", at=ledger.now
    )
    clear_detection(event_id="earlier-release")
    at = ledger.at("2026-10-25")
    subscriptions.subscribe(account_of("paris"), plan="large", cycle="monthly", actor="ann", at=at)
    ledger.at("2026-11-18T08:00")
    ledger.close()
    run("backfill_actual_providers")  # a first detection after the statement


def _november(ledger: Ledger) -> None:
    """Redetection, a re-pricing and its revert, and a changed schedule."""
    ledger.at("2026-11-20")
    ledger.record("tokyo", "detected", endpoint=HOST, provider="acme")
    ledger.record("tokyo", "detected-back", endpoint=HOST, provider="acme")
    provider = Provider.objects.create(slug="driftco", name="Drift")
    DetectionRule.objects.create(slug="own-drift", evidence="host", pattern="drift.example.com", provider=provider)
    rulebook.invalidate()
    list(redetection.run(RedetectionChoice(redetect=True), size=100, clock=lambda: ledger.now))
    adjustment = log_of("detected-back").usageadjustment_set.get(kind="redetect")
    corrections.revert_adjustment(adjustment, reason="wrong", actor="ann", at=ledger.now)
    ledger.record("tokyo", "november", model="drift-3")
    set_price("drift-3", since=date(2026, 1, 1), input_tokens="4")
    batch = repricing.start(RepricingChoice(unpriced=True, model="drift-3"), reason="p", actor="ann", at=ledger.now)
    list(repricing.run(batch, size=100, clock=lambda: ledger.now))
    list(corrections.revert(CorrectionBatch.objects.get(pk=batch.pk), actor="ann", size=100, clock=lambda: ledger.now))
    anchor_changes.change(account_of("tokyo"), anchor_day=20, timezone="America/New_York", at=ledger.at("2026-11-25"))
    ledger.at("2026-12-05T02:00")
    ledger.close()


def _reservations(ledger: Ledger) -> None:
    account, at = account_of("tokyo"), ledger.at("2026-12-10")
    calls = [Operation(provider="openai", model="drift-1", count=2, estimate=Estimate(input_tokens=1_000))]
    for name in ("held", "settled", "released", "expired"):
        reservations.reserve(account, ReservationRequest(name, calls, 3600), at)
    ledger.at("2026-12-10T00:10")
    ledger.record("tokyo", "settling", reservation_id="settled")
    reservations.release(UsageReservation.objects.get(reservation_id="released"), ledger.now)
    UsageReservation.objects.filter(reservation_id="expired").update(expires_at=utc("2026-12-10T00:20"))
    reservations.expire(ledger.at("2026-12-10T00:30"))
    cost, calls_meter = Meter.objects.get(slug="monthly_cost"), Meter.objects.exclude(slug="monthly_cost")[0]
    first, second = utc("2026-12-06"), utc("2026-12-08")
    EndedOverride.objects.create(account=account, meter=cost, amount=NANO, since=first, until=second, reason="trial")
    LimitOverride.objects.create(account=account, meter=cost, amount=2 * NANO, since=second, reason="more")
    LimitOverride.objects.create(account=account, meter=calls_meter, amount=5, since=None, reason="few")


def _december(ledger: Ledger) -> None:
    ledger.at("2026-12-18T08:00")
    ledger.close()
    subscriptions.renew_due(ledger.now)
    at = ledger.at(TODAY)
    ledger.record("paris", "december", cost_usd="0.5")
    subscriptions.cancel(account_of("paris"), actor="ann", at=at, reason="too dear")
    archive_job.run(at)
    archive_job.run(ledger.at("2026-12-20T13:30"))
    ledger.at("2026-12-20T14:00")


def _complete_columns() -> None:
    """Set what closing and charging fill, in case that they do not yet."""
    for account in Account.objects.all():
        last = ClosedPeriod.objects.filter(account=account).order_by("-period").values_list("period", flat=True).first()
        before = periods.next_period_start(account.schedule, last) if last else None
        Account.objects.filter(pk=account.pk).update(closed_before=before)
    for event in SubscriptionEvent.objects.exclude(fee_lines=[]):
        lines = [{**_dated_keys(event, line), **line} for line in event.fee_lines]
        SubscriptionEvent.objects.filter(pk=event.pk).update(fee_lines=lines)


def _dated_keys(event: SubscriptionEvent, line: dict[str, Any]) -> dict[str, Any]:
    return {"first": "2026-01-01", "end": "2026-01-31", "price_nano": abs(line["nano"]), "cycle_days": 30}
