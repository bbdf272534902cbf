"""OpenAPI schemas of subscriptions and statements."""

from __future__ import annotations

from billing.api.schema import BOOL, DATE, INT, MONEY, TEXT, TIME, UUID, Schema, array, nullable, obj
from billing.api.schema_limits import LIMITS, METER

PLAN = obj(slug=TEXT, name=TEXT, version=INT, price_monthly_usd=MONEY, price_yearly_usd=MONEY)
CYCLE: Schema = {"type": "string", "enum": ["monthly", "yearly"]}
STATUS: Schema = {"type": "string", "enum": ["active", "past_due", "suspended", "cancelled"]}
PERIOD_END: Schema = {**DATE, "description": "The account's local day on which the next period starts."}
TERMS = {
    "account": TEXT,
    "plan": PLAN,
    "cycle": CYCLE,
    "status": STATUS,
    "period_start": DATE,
    "period_end": PERIOD_END,
    "auto_renew": BOOL,
    "amount_due_usd": {
        **MONEY,
        "description": "Fee of the last change or renewal; its statement follows at the period's end.",
    },
    "prorated_from": nullable(
        {**DATE, "description": "First day covered by a prorated fee; null if the fee is for the whole cycle."}
    ),
    "pending": nullable(obj(plan=PLAN, cycle=CYCLE)),
    "grace_until": nullable(TIME),
}
SUBSCRIPTION = obj(**TERMS, limits=LIMITS, meters=array(METER))
SUBSCRIPTION_EVENT = obj(
    id=UUID,
    kind=TEXT,
    at=TIME,
    plan=PLAN,
    pending_plan=nullable(PLAN),
    cycle=CYCLE,
    status=STATUS,
    period_start=DATE,
    period_end=PERIOD_END,
    amount_usd=MONEY,
    lines=array(obj(text=TEXT, amount_usd=MONEY)),
    usage=obj(calls=INT, tokens=INT, cost_usd=MONEY),
)
_AMOUNTS = {"amount_usd": MONEY, "rounded_usd": {**MONEY, "description": "Rounded to cents; adds up to the total."}}
SEGMENT = obj(
    plan=nullable(PLAN),
    starts_at=TIME,
    ends_at=TIME,
    included_usd=nullable({**MONEY, "description": "A full period's included usage; null: no overage is charged."}),
    used_usd={**MONEY, "description": "Usage at cost in this part of the period."},
    overage_usd={**MONEY, "description": "The part of it above what was included and not used before."},
)
STATEMENT = obj(
    id=UUID,
    period=TEXT,
    period_start=DATE,
    period_end=PERIOD_END,
    plan=nullable(PLAN),
    fee_usd=MONEY,
    overage_usd=MONEY,
    adjustments_usd=MONEY,
    total_usd=MONEY,
    amount_due_usd={**MONEY, "description": "The total, rounded to cents."},
    usage_usd=MONEY,
    calls=INT,
    tokens=INT,
    included_usd=nullable(
        {**MONEY, "description": "What the plan included at the end of the period; null: all usage."}
    ),
    rules={**INT, "description": "Version of the rules that it was made by. 2: overage is charged by segment."},
    segments=array(SEGMENT),
    lines=array(obj(kind=TEXT, text=TEXT, period=TEXT, **_AMOUNTS)),
    usage=array(obj(provider=TEXT, label=TEXT, calls=INT, tokens=INT, **_AMOUNTS)),
    closed_at=TIME,
    due_at=nullable(TIME),
    status={"type": "string", "enum": ["open", "paid", "nothing_due"]},
    paid_at=nullable(TIME),
)
