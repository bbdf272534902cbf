"""Creates alerts, webhooks and deliveries for tests, without an alert sweep."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from billing.alerts import deliveries
from billing.models import Account, Delivery, UsageAlert, Webhook
from lib.money import NANO

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def create_alert(account: Account, threshold: int = 80, **fields: Any) -> UsageAlert:
    """An alert at $20 of $25, with the given fields replaced."""
    defaults = {"period": date(2026, 11, 1), "meter": "monthly_cost", "label": "Monthly cost", "unit": "cost"}
    amounts = {"cap": 25 * NANO, "used": 20 * NANO, "threshold": threshold, "raised_at": NOON}
    return UsageAlert.objects.create(account=account, **(defaults | amounts | fields))


def create_webhook(url: str, account: Account | None = None) -> Webhook:
    return Webhook.objects.create(account=account, url=url, created_at=NOON)


def enqueue_delivery(account: Account, url: str = "") -> Delivery:
    """Creates an alert and its pending delivery: by e-mail, or to a webhook at `url`."""
    if url:
        create_webhook(url)
    deliveries.enqueue(account, [create_alert(account)], NOON)
    return Delivery.objects.get()
