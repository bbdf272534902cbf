"""What the OpenAPI document says of trends and dashboards."""

from __future__ import annotations

from billing.api.schema import DATE, INT, MONEY, PERCENT, SUMMARY, TEXT, TIME, Schema, array, null, obj
from billing.api.schema_limits import ALERT, LIMITS, METER
from billing.api.schema_subscriptions import TERMS

_STEPS = {"calls": array(INT), "tokens": array(INT), "cost_usd": array(MONEY)}
TREND = obj(
    account=null(TEXT),
    unit={"type": "string", "enum": ["month", "day"]},
    periods={**array(TEXT), "description": "Oldest first, none missing; the other lists have an entry for each."},
    **_STEPS,
    providers={"type": "object", "additionalProperties": obj(label=TEXT, **_STEPS)},
)
SUBSCRIPTION: Schema = null(obj(**TERMS))
DASHBOARD = obj(
    summary=SUMMARY,
    trends={**TREND, "description": "The last six periods."},
    days={**TREND, "description": "The days of the period, of a running one up to today."},
    subscription=SUBSCRIPTION,
    limits=LIMITS,
    meters=array(METER),
    alerts={**array(ALERT), "description": "The newest unread ones."},
    projection=obj(
        cost_usd=null({**MONEY, "description": "By the period's end at this rate; null: over, or younger than a day."}),
        percent=null({**PERCENT, "description": "Of the cap on cost."}),
        days_left=null({**INT, "description": "Whole days until the cap is used up at this rate."}),
        exhausted_on=null({**DATE, "description": "The local day of that, where it lies in this period."}),
    ),
    as_of=TIME,
)
