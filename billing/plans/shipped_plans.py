"""Loads the meters and plans that ship with a release. Existing rows are never changed.

Every upgrade runs this again: it adds new slugs and keeps what an operator has changed or superseded.
"""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from billing.models import Meter, Plan, PlanLimit
from billing.plans import plans
from lib import money, retry

DATA = Path(__file__).resolve().parents[1] / "data" / "plans.json"


@retry.atomic
def load(*, at: datetime) -> tuple[int, int]:
    """Add the meters and plans whose slug has no row. Returns the number of meters and of plans added."""
    shipped: dict[str, list[dict[str, Any]]] = json.loads(DATA.read_text(encoding="utf-8"))
    stored = set(Meter.objects.values_list("slug", flat=True))
    new_meters = [Meter(shipped=True, **row) for row in shipped["meters"] if row["slug"] not in stored]
    Meter.objects.bulk_create(new_meters)
    meters = {meter.slug: meter for meter in Meter.objects.all()}
    stored = set(Plan.objects.values_list("slug", flat=True))
    new_plans = [row for row in shipped["plans"] if row["slug"] not in stored]
    for row in new_plans:
        _add(row, meters, at)
    if new_meters or new_plans:
        plans.invalidate()
    return len(new_meters), len(new_plans)


def _add(row: dict[str, Any], meters: dict[str, Meter], at: datetime) -> None:
    """Add a plan with its limits; limits of a meter that an operator removed are skipped."""
    limits = row.pop("limits")
    monthly, yearly = (money.nano_from_usd(Decimal(row.pop(f"price_{cycle}_usd"))) for cycle in ("monthly", "yearly"))
    plan = Plan(shipped=True, created_at=at, price_monthly_nano=monthly, price_yearly_nano=yearly, **row)
    plan.save(force_insert=True)
    PlanLimit.objects.bulk_create(
        PlanLimit(plan=plan, meter=meters[slug], amount=_amount(amount))
        for slug, amount in limits.items()
        if slug in meters
    )


def _amount(amount: int | str | None) -> int | None:
    """USD text becomes nano-USD; calls and tokens are integers already."""
    return money.nano_from_usd(Decimal(amount)) if isinstance(amount, str) else amount
