"""The demonstration's reservations, calls of unknown usage, alerts, failed delivery, invitation and price proposals."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings

from billing.accounts import accounts, invitations
from billing.alerts import alerts, deliveries
from billing.corrections import unread_sightings
from billing.demo.calls import ACME, LATE_MODEL, OPENAI, ORBIT, SOLO, UNPRICED_MODEL
from billing.events import call_failures, event_responses
from billing.limits import reservations
from billing.limits.operations import Estimate, Operation
from billing.limits.reservations import ReservationRequest
from billing.models import Account, Delivery, Membership, UsageReservation, Webhook
from billing.recording import metering
from billing.recording.metering import EventSource
from providers import price_sync
from providers.costing import Rate
from providers.models import PriceProposal
from providers.price_sources import Offer

ACTOR = "seed_demo"
MINUTE = timedelta(minutes=1)
# An address that RFC 5737 reserves for documentation. The delivery is refused before anything is sent.
WEBHOOK_URL = "https://192.0.2.10/demo/alerts"
MODEL: dict[str, Any] = {"provider": "openai", "model": "gpt-4o", "endpoint": OPENAI}


def create(at: datetime, *, since: date) -> None:
    """Add them to the demonstration's accounts at the time `at`; `since` is the day of the first calls."""
    by_id = accounts.find([ACME, ORBIT, SOLO])
    _reserve(by_id[ACME], at)
    _record_unknown(by_id[ACME], at)
    _alert(by_id[ORBIT], at)
    invitations.invite(by_id[SOLO], email="solo@demo.example", role=Membership.Role.OWNER, by=ACTOR, at=at)
    _propose_prices(at, since)


def _reserve(account: Account, at: datetime) -> None:
    """Create one reservation in each state. The held one has the longest time to live."""
    _reservation(account, "demo-reservation-expired", count=4, ttl_seconds=300, at=at - 30 * MINUTE)
    reservations.expire(at - 20 * MINUTE)
    _reservation(account, "demo-reservation-settled", count=1, ttl_seconds=900, at=at - 12 * MINUTE)
    _settle(account, "demo-reservation-settled", at - 11 * MINUTE)
    released = _reservation(account, "demo-reservation-released", count=2, ttl_seconds=900, at=at - 8 * MINUTE)
    reservations.release(released, at - 7 * MINUTE)
    _reservation(account, "demo-reservation-held", count=6, ttl_seconds=reservations.MAX_TTL_SECONDS, at=at)


def _reservation(account: Account, name: str, *, count: int, ttl_seconds: int, at: datetime) -> UsageReservation:
    operation = Operation(**MODEL, count=count, estimate=Estimate(input_tokens=2000, output_tokens=500))
    reservation, _ = reservations.reserve(account, ReservationRequest(name, [operation], ttl_seconds), at)
    return reservation


def _settle(account: Account, name: str, at: datetime) -> None:
    """Record the call of a reservation."""
    usage = {"input_tokens": 1820, "output_tokens": 344}
    event = {"event_id": "demo-settled", "reservation_id": name, "usage": usage, "response_time_ms": 1240}
    _record(account, {**event, "status_code": 200}, at)


def _record_unknown(account: Account, at: datetime) -> None:
    """Record a call with a number that no reader knows, and two aborted ones: with a reservation and without."""
    usage = {"prompt_tokens": 1200, "completion_tokens": 300, "total_tokens": 1500, "demo_units": 42}
    response = {"id": "demo-response", "object": "chat.completion", "model": "gpt-4o", "usage": usage}
    _record(account, {"event_id": "demo-unread", "response": response}, at)
    _reservation(account, "demo-reservation-aborted", count=1, ttl_seconds=900, at=at)
    aborted = {"status_code": call_failures.CANCELLED, "error_message": "demo: the client went away"}
    _record(account, {"event_id": "demo-estimated", "reservation_id": "demo-reservation-aborted", **aborted}, at)
    _record(account, {"event_id": "demo-aborted", **aborted}, at)
    unread_sightings.gather(at)


def _record(account: Account, raw: dict[str, Any], at: datetime) -> None:
    event = {**MODEL, "occurred_at": at.isoformat(), "metadata": {"demo": True}, **raw}
    metering.record([event_responses.parse(event)], source=EventSource(account=account, live=False), at=at)


def _alert(account: Account, at: datetime) -> None:
    """Raise the due alerts, and attempt one webhook delivery, which fails.

    Nothing is sent: if the settings allow private addresses or another delivery is pending, the job does the delivery.
    """
    webhook = Webhook.objects.create(account=account, url=WEBHOOK_URL, created_at=at)
    alerts.sweep(at)
    others = Delivery.objects.filter(state=Delivery.State.PENDING).exclude(webhook=webhook)
    if not settings.WEBHOOK_ALLOW_PRIVATE and not others.exists():
        deliveries.deliver(at)


def _propose_prices(at: datetime, since: date) -> None:
    """Propose a price for the unpriced model, and a lower price for a priced model."""
    offers = [_offer(UNPRICED_MODEL, 1_100_000_000, 4_400_000_000), _offer(LATE_MODEL, 2_000_000_000, 8_000_000_000)]
    price_sync.run(offers, source=PriceProposal.Source.LITELLM, at=at, new_from=since)


def _offer(model: str, input_nano: int, output_nano: int) -> Offer:
    rates = (
        Rate("cached_input_tokens", "", 0, input_nano // 10),
        Rate("input_tokens", "", 0, input_nano),
        Rate("output_tokens", "", 0, output_nano),
    )
    return Offer("openai", "OpenAI", model, (), "text", None, rates, "demonstration, not a real price")
