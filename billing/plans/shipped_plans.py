"""The meters and plans that come with a release, put into the tables without touching any row that is there.

An upgrade loads them again: new ones are added, and what an operator changed or superseded stays as it is.
"""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.db import transaction

from billing.models import Meter, Plan, PlanLimit
from billing.plans import plans
from lib import money

DATA = Path(__file__).resolve().parents[1] / "data" / "plans.json"


@transaction.atomic
def load(*, at: datetime) -> tuple[int, int]:
    """Adds the meters and plans whose slug has no row; how many of each these were."""
    shipped: dict[str, list[dict[str, Any]]] = json.loads(DATA.read_text(encoding="utf-8"))
    stored = set(Meter.objects.values_list("slug", flat=True))
    new = [Meter(shipped=True, **row) for row in shipped["meters"] if row["slug"] not in stored]
    Meter.objects.bulk_create(new)
    meters = {meter.slug: meter for meter in Meter.objects.all()}
    stored = set(Plan.objects.values_list("slug", flat=True))
    missing = [row for row in shipped["plans"] if row["slug"] not in stored]
    for row in missing:
        _add(row, meters, at)
    if new or missing:
        plans.changed()
    return len(new), len(missing)


def _add(row: dict[str, Any], meters: dict[str, Meter], at: datetime) -> None:
    """One plan with its limits; a meter that an operator removed is left out."""
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
    """The file says USD as text, the table nano-USD; calls and tokens are whole numbers in both."""
    return money.nano_from_usd(Decimal(amount)) if isinstance(amount, str) else amount
