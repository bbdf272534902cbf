"""What the OpenAPI document says of subscriptions and statements."""

from __future__ import annotations

from billing.api.schema import BOOL, DATE, INT, MONEY, TEXT, TIME, UUID, Schema, array, null, obj
from billing.api.schema_limits import LIMITS, METER

PLAN = obj(slug=TEXT, name=TEXT, version=INT, price_monthly_usd=MONEY, price_yearly_usd=MONEY)
CYCLE: Schema = {"type": "string", "enum": ["monthly", "yearly"]}
STATUS: Schema = {"type": "string", "enum": ["active", "past_due", "suspended", "cancelled"]}
LAST: Schema = {**DATE, "description": "The account's local day on which the next period starts."}
TERMS = {
    "account": TEXT,
    "plan": PLAN,
    "cycle": CYCLE,
    "status": STATUS,
    "period_start": DATE,
    "period_end": LAST,
    "auto_renew": BOOL,
    "amount_due_usd": {
        **MONEY,
        "description": "What the last step asked for; its statement follows at the period's end.",
    },
    "prorated_from": null({**DATE, "description": "The first day of the fee; null: it is for the whole cycle."}),
    "pending": null(obj(plan=PLAN, cycle=CYCLE)),
    "grace_until": null(TIME),
}
SUBSCRIPTION = obj(**TERMS, limits=LIMITS, meters=array(METER))
STEP = obj(
    id=UUID,
    kind=TEXT,
    at=TIME,
    plan=PLAN,
    pending_plan=null(PLAN),
    cycle=CYCLE,
    status=STATUS,
    period_start=DATE,
    period_end=LAST,
    amount_usd=MONEY,
    lines=array(obj(text=TEXT, amount_usd=MONEY)),
    usage=obj(calls=INT, tokens=INT, cost_usd=MONEY),
)
_AMOUNTS = {"amount_usd": MONEY, "rounded_usd": {**MONEY, "description": "Whole cents; they add up to the total."}}
STATEMENT = obj(
    id=UUID,
    period=TEXT,
    period_start=DATE,
    period_end=LAST,
    plan=null(PLAN),
    fee_usd=MONEY,
    overage_usd=MONEY,
    adjustments_usd=MONEY,
    total_usd=MONEY,
    amount_due_usd={**MONEY, "description": "The total in whole cents."},
    usage_usd=MONEY,
    calls=INT,
    tokens=INT,
    included_usd=null(MONEY),
    lines=array(obj(kind=TEXT, text=TEXT, period=TEXT, **_AMOUNTS)),
    usage=array(obj(provider=TEXT, label=TEXT, calls=INT, tokens=INT, **_AMOUNTS)),
    closed_at=TIME,
    due_at=null(TIME),
    status={"type": "string", "enum": ["open", "paid", "nothing_due"]},
    paid_at=null(TIME),
)
