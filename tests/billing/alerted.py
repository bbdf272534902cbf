"""Alerts and deliveries for tests, without a sweep."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from billing.alerts import deliveries
from billing.models import Account, Delivery, UsageAlert, Webhook
from lib.money import NANO

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def alert(account: Account, threshold: int = 80, **other: Any) -> UsageAlert:
    """$20 of $25, unless it is said otherwise."""
    values = {"period": date(2026, 11, 1), "meter": "monthly_cost", "label": "Monthly cost", "unit": "cost"}
    amounts = {"cap": 25 * NANO, "used": 20 * NANO, "threshold": threshold, "raised_at": NOW}
    return UsageAlert.objects.create(account=account, **(values | amounts | other))


def webhook(url: str, account: Account | None = None) -> Webhook:
    return Webhook.objects.create(account=account, url=url, created_at=NOW)


def planned(account: Account, url: str = "") -> Delivery:
    """An alert on its way to a webhook."""
    if url:
        webhook(url)
    deliveries.plan(account, [alert(account)], NOW)
    return Delivery.objects.get()
