"""An alert as JSON and as text."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from billing.models import UsageAlert
from billing.models.alerts import PROJECTED
from billing.plans import meters
from billing.plans.meters import DAILY_SUFFIX
from lib import money
from lib.percent import percentage

COST = "cost"


def as_json(alert: UsageAlert) -> dict[str, Any]:
    """The alert as the API and webhooks send it; costs in USD."""
    return {
        "id": alert.id,
        "account": alert.account.external_id,
        "period": alert.period,
        "meter": alert.meter,
        "kind": "projected" if alert.threshold == PROJECTED else "threshold",
        "threshold": alert.threshold or None,
        "limit": meters.amount_as_json(alert.unit, alert.cap),
        "used": meters.amount_as_json(alert.unit, alert.used),
        "percent": percent_used(alert),
        "projected": meters.amount_as_json(alert.unit, alert.projected),
        "message": message(alert),
        "raised_at": alert.raised_at,
        "read": alert.read_at is not None,
        "read_at": alert.read_at,
    }


def percent_used(alert: UsageAlert) -> Decimal | None:
    """Share of the cap that was used when the alert was raised."""
    return percentage(alert.used, alert.cap)


def subject(alert: UsageAlert) -> str:
    """ "acct_42: Video calls: 80 % of the limit reached" """
    return f"{alert.account.external_id}: {headline(alert)}"


def headline(alert: UsageAlert) -> str:
    """ "Video calls: 80 % of the limit reached" """
    if alert.threshold == PROJECTED:
        return f"{alert.label}: projected to exceed the limit"
    return f"{alert.label}: {alert.threshold} % of the limit reached"


def message(alert: UsageAlert) -> str:
    """The headline with the numbers: "... 4 of 5 used (80.00 %) in the usage period starting 2026-11-01." """
    used, cap = format_amount(alert, alert.used), format_amount(alert, alert.cap)
    period = (
        f"on {alert.period}" if alert.meter.endswith(DAILY_SUFFIX) else f"in the usage period starting {alert.period}"
    )
    text = f"{headline(alert)}. {used} of {cap} used ({percent_used(alert)} %) {period}"
    if alert.projected is not None:
        text += f"; at this rate {format_amount(alert, alert.projected)} by the end of the period"
    return f"{text}."


def format_amount(alert: UsageAlert, amount: int) -> str:
    return money.format_usd(amount) if alert.unit == COST else f"{amount:,}"


def badge(alert: UsageAlert) -> str:
    """CSS class of the alert's badge."""
    return "warning" if alert.threshold == PROJECTED else meters.usage_tone(alert.threshold) or "ok"


def threshold_label(alert: UsageAlert) -> str:
    return "projected to exceed" if alert.threshold == PROJECTED else f"{alert.threshold} %"
