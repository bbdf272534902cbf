"""What the OpenAPI document says of plans, limits, reservations and alerts."""

from __future__ import annotations

from billing.api import schema
from billing.api.schema import (
    BATCH_RESULT,
    BOOL,
    DATE,
    ERROR,
    ERRORS_OF_WRITING,
    EVENT,
    INT,
    MONEY,
    PERCENT,
    RESULT,
    TEXT,
    TIME,
    UUID,
    Schema,
    array,
    null,
    obj,
)

AMOUNT: Schema = {"oneOf": [INT, MONEY], "description": "A number of calls or tokens, or USD as a decimal string."}
LIMIT: Schema = {**null(AMOUNT), "description": "null: unlimited; 0: not allowed."}
LIMITS: Schema = {
    "type": "object",
    "additionalProperties": LIMIT,
    "description": "Every meter by its slug; one with a daily limit also as `<slug>_per_day`.",
}
PER: Schema = {"type": "string", "enum": ["period", "day"]}
STANDING = obj(meter=TEXT, limit=LIMIT, used=AMOUNT, reserved=AMOUNT, requested=AMOUNT, resets_at=TIME)
METER = obj(
    meter=TEXT,
    per=PER,
    limit=LIMIT,
    used=AMOUNT,
    reserved=AMOUNT,
    remaining=LIMIT,
    percent=null(PERCENT),
    resets_at=TIME,
)
_ASKED = obj(
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
            estimated_cost_usd=null(MONEY),
            priced=BOOL,
            actual_provider=TEXT,
            meters=array(_ASKED),
            code=null(TEXT),
            reason=null(TEXT),
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
REFUSED = {**ERROR, "properties": {**ERROR["properties"], "limit": STANDING}}
REFUSALS = {**ERRORS_OF_WRITING, 402: ERROR, 403: REFUSED, 409: ERROR, 429: REFUSED}
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
    period={**DATE, "description": "Start of the usage period; of a daily limit, the day."},
    meter=TEXT,
    kind={"type": "string", "enum": ["threshold", "projected"]},
    threshold={**null(INT), "description": "In per cent of the limit; null: projected to exceed it."},
    limit=AMOUNT,
    used=AMOUNT,
    percent=PERCENT,
    projected={**null(AMOUNT), "description": "At this rate, by the period's end."},
    message=TEXT,
    raised_at=TIME,
    read=BOOL,
    read_at=null(TIME),
)
ALERT_PAGE = obj(next=null(TEXT), results=array(ALERT))
