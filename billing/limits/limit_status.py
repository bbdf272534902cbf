"""Where an account stands with each of its limits, and a limit in words: the admin's and the customers' pages show it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billing.limits import limits
from billing.limits.decisions import shown
from billing.models import Account, Meter
from billing.plans.meters import Limit
from lib.percent import percentage

UNLIMITED, FORBIDDEN = "unlimited", "not allowed"


@dataclass(frozen=True, slots=True)
class MeterLine:
    """One limit of an account, and its cap in words. Amounts are nano-USD where it counts money."""

    label: str
    money: bool
    used: int
    reserved: int
    cap: str
    percent: Decimal | None
    resets_at: datetime


def meter_lines(account: Account, at: datetime) -> list[MeterLine]:
    return [
        MeterLine(
            label=one.limit.meter.label,
            money=one.limit.meter.unit == "cost",
            used=one.used,
            reserved=one.reserved,
            cap=in_words(one.limit),
            percent=percentage(one.used, one.limit.amount or 0),
            resets_at=one.resets_at,
        )
        for one in limits.standing(account, at)
    ]


def in_words(limit: Limit) -> str:
    """ "unlimited", "not allowed", "$2", "50 calls a day, soft"."""
    if limit.amount is None:
        return UNLIMITED
    unit = "" if limit.meter.unit == Meter.Unit.COST else f" {limit.meter.unit}"
    words = f"{shown(limit, limit.amount)}{unit}" if limit.amount else FORBIDDEN
    return words + (" a day" if limit.per == "day" else "") + ("" if limit.hard else ", soft")
