"""OpenAPI schemas of trends and dashboards."""

from __future__ import annotations

from billing.api.schema import DATE, INT, MONEY, PERCENT, SUMMARY, TEXT, TIME, Schema, array, nullable, obj
from billing.api.schema_limits import ALERT, LIMITS, METER
from billing.api.schema_subscriptions import TERMS

_SERIES = {"calls": array(INT), "tokens": array(INT), "cost_usd": array(MONEY)}
TREND = obj(
    account=nullable(TEXT),
    unit={"type": "string", "enum": ["month", "day"]},
    periods={**array(TEXT), "description": "Oldest first, without gaps; the other lists have one entry per period."},
    **_SERIES,
    providers={"type": "object", "additionalProperties": obj(label=TEXT, **_SERIES)},
)
SUBSCRIPTION: Schema = nullable(obj(**TERMS))
DASHBOARD = obj(
    summary=SUMMARY,
    trends={**TREND, "description": "The last six periods."},
    days={**TREND, "description": "The days of the period; up to today if the period is open."},
    subscription=SUBSCRIPTION,
    limits=LIMITS,
    meters=array(METER),
    alerts={**array(ALERT), "description": "The newest unread alerts."},
    projection=obj(
        cost_usd=nullable(
            {
                **MONEY,
                "description": "Projected cost at the period's end; null if the period is over or younger than a day.",
            }
        ),
        percent=nullable({**PERCENT, "description": "Percent of the cost limit."}),
        days_left=nullable({**INT, "description": "Whole days until the cost limit is used up at this rate."}),
        exhausted_on=nullable(
            {**DATE, "description": "The local day on which the limit is used up, if within this period."}
        ),
    ),
    as_of=TIME,
)
