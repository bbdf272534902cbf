"""OpenAPI schemas of plans, limits, reservations and alerts."""

from __future__ import annotations

from billing.api import schema
from billing.api.schema import (
    BATCH_RESULT,
    BOOL,
    DATE,
    ERROR,
    EVENT,
    INT,
    MONEY,
    PERCENT,
    RESULT,
    TEXT,
    TIME,
    UUID,
    WRITE_ERRORS,
    Schema,
    array,
    nullable,
    obj,
)

AMOUNT: Schema = {"oneOf": [INT, MONEY], "description": "A number of calls or tokens, or USD as a decimal string."}
LIMIT: Schema = {**nullable(AMOUNT), "description": "null: unlimited; 0: not allowed."}
LIMITS: Schema = {
    "type": "object",
    "additionalProperties": LIMIT,
    "description": "Limits by the meter's slug; daily limits as `<slug>_per_day`.",
}
PER: Schema = {"type": "string", "enum": ["period", "day"]}
LIMIT_STATUS = obj(meter=TEXT, limit=LIMIT, used=AMOUNT, reserved=AMOUNT, requested=AMOUNT, resets_at=TIME)
METER = obj(
    meter=TEXT,
    per=PER,
    limit=LIMIT,
    used=AMOUNT,
    reserved=AMOUNT,
    remaining=LIMIT,
    percent=nullable(PERCENT),
    resets_at=TIME,
)
_REQUESTED_METER = obj(
    per=PER,
    meter=TEXT,
    limit=LIMIT,
    used=AMOUNT,
    reserved=AMOUNT,
    requested=AMOUNT,
    resets_at=TIME,
    remaining=LIMIT,
)
_DECISION = {
    "allowed": BOOL,
    "estimated_cost_usd": MONEY,
    "operations": array(
        obj(
            allowed=BOOL,
            estimated_cost_usd=nullable(MONEY),
            priced=BOOL,
            actual_provider=TEXT,
            meters=array(_REQUESTED_METER),
            code=nullable(TEXT),
            reason=nullable(TEXT),
        )
    ),
    "resets_at": TIME,
}
DECISION = obj(**_DECISION)
_RESERVATION = {
    "id": UUID,
    "reservation_id": TEXT,
    "state": {"type": "string", "enum": ["held", "settled", "released", "expired"]},
    "over": BOOL,
    "expires_at": TIME,
}
RESERVATION = obj(**_RESERVATION)
GRANT = obj(**_RESERVATION, **_DECISION)
LIMIT_ERROR = {**ERROR, "properties": {**ERROR["properties"], "limit": LIMIT_STATUS}}
RESERVE_ERRORS = {**WRITE_ERRORS, 402: ERROR, 403: LIMIT_ERROR, 409: ERROR, 429: LIMIT_ERROR}
SETTLED = {"allOf": [{"oneOf": [RESULT, BATCH_RESULT]}, obj(reservation=RESERVATION)]}
EVENT_OR_EVENTS = {
    "application/json": {
        "oneOf": [
            {**obj(event=EVENT), "additionalProperties": False},
            {**obj(events={**array(EVENT), "minItems": 1, "maxItems": 1000}), "additionalProperties": False},
        ]
    }
}
_PLAN = {"slug": TEXT, "name": TEXT, "version": INT, "price_monthly_usd": MONEY, "price_yearly_usd": MONEY}
PLAN = obj(**_PLAN, limits=LIMITS)
ACCOUNT = obj(**schema.ACCOUNT["properties"], plan=obj(**_PLAN), limits=LIMITS, meters=array(METER))
ALERT = obj(
    id=UUID,
    account=TEXT,
    period={**DATE, "description": "Start of the usage period; for a daily limit, the day."},
    meter=TEXT,
    kind={"type": "string", "enum": ["threshold", "projected"]},
    threshold={**nullable(INT), "description": "Percent of the limit; null: the limit is projected to be exceeded."},
    limit=AMOUNT,
    used=AMOUNT,
    percent=PERCENT,
    projected={**nullable(AMOUNT), "description": "Projected use at the period's end."},
    message=TEXT,
    raised_at=TIME,
    read=BOOL,
    read_at=nullable(TIME),
)
ALERT_PAGE = obj(next=nullable(TEXT), results=array(ALERT))
