"""The limits of an account as rows of a page, and a limit as text."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billing.limits import limits
from billing.limits.decisions import format_amount
from billing.models import Account, Meter
from billing.plans import meters
from billing.plans.meters import Limit
from lib.percent import percentage

UNLIMITED, NOT_ALLOWED = "unlimited", "not allowed"


@dataclass(frozen=True, slots=True)
class LimitRow:
    """One limit of an account. Amounts are nano-USD where `money`, else calls or tokens."""

    label: str
    money: bool
    used: int
    reserved: int
    cap: str
    percent: Decimal | None
    resets_at: datetime

    @property
    def tone(self) -> str:
        return "" if self.percent is None else meters.usage_tone(self.percent)


def limit_rows(account: Account, at: datetime) -> list[LimitRow]:
    return [
        LimitRow(
            label=status.limit.meter.label,
            money=status.limit.meter.unit == "cost",
            used=status.used,
            reserved=status.reserved,
            cap=describe_limit(status.limit),
            percent=percentage(status.used, status.limit.amount or 0),
            resets_at=status.resets_at,
        )
        for status in limits.statuses(account, at)
    ]


def describe_limit(limit: Limit) -> str:
    """ "unlimited", "not allowed", "$2", "50 calls a day, soft"."""
    if limit.amount is None:
        return UNLIMITED
    unit = "" if limit.meter.unit == Meter.Unit.COST else f" {limit.meter.unit}"
    text = f"{format_amount(limit, limit.amount)}{unit}" if limit.amount else NOT_ALLOWED
    return text + (" a day" if limit.per == "day" else "") + ("" if limit.hard else ", soft")
