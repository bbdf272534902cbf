"""What an alert says, as JSON and in words: asked by the API, the admin, and what delivers it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from billing.models import UsageAlert
from billing.models.alerts import PROJECTED
from billing.plans import meters
from billing.plans.meters import PER_DAY
from lib import money
from lib.percent import percentage

COST = "cost"
EXCEEDED, NEAR = 100, 80  # per cent from which an alert is critical, or a warning


def told(alert: UsageAlert) -> dict[str, Any]:
    """The alert as callers and webhooks get it."""
    return {
        "id": alert.id,
        "account": alert.account.external_id,
        "period": alert.period,
        "meter": alert.meter,
        "kind": "projected" if alert.threshold == PROJECTED else "threshold",
        "threshold": alert.threshold or None,
        "limit": meters.told(alert.unit, alert.cap),
        "used": meters.told(alert.unit, alert.used),
        "percent": percent(alert),
        "projected": meters.told(alert.unit, alert.projected),
        "message": sentence(alert),
        "raised_at": alert.raised_at,
        "read": alert.read_at is not None,
        "read_at": alert.read_at,
    }


def percent(alert: UsageAlert) -> Decimal | None:
    """How much of the cap was used when it was raised."""
    return percentage(alert.used, alert.cap)


def subject(alert: UsageAlert) -> str:
    """ "acct_42: Video calls: 80 % of the limit" """
    what = "projected to exceed" if alert.threshold == PROJECTED else f"{alert.threshold} % of"
    return f"{alert.account.external_id}: {alert.label}: {what} the limit"


def sentence(alert: UsageAlert) -> str:
    """ "Video calls: 4 of 5 used (80.00 %) in the period from 2026-11-01." """
    used, cap = shown(alert, alert.used), shown(alert, alert.cap)
    when = f"on {alert.period}" if alert.meter.endswith(PER_DAY) else f"in the period from {alert.period}"
    text = f"{alert.label}: {used} of {cap} used ({percent(alert)} %) {when}"
    if alert.projected is not None:
        text += f"; at this rate {shown(alert, alert.projected)} by its end"
    return f"{text}."


def shown(alert: UsageAlert, amount: int) -> str:
    return money.format_usd(amount) if alert.unit == COST else f"{amount:,}"


def badge(alert: UsageAlert) -> str:
    """How it is shown: critical, warning or ok."""
    if alert.threshold >= EXCEEDED:
        return "critical"
    return "warning" if alert.threshold >= NEAR or alert.threshold == PROJECTED else "ok"


def threshold(alert: UsageAlert) -> str:
    return "projected to exceed" if alert.threshold == PROJECTED else f"{alert.threshold} %"
