"""OpenAPI schemas of request bodies and responses; the event's schema is generated from its struct."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from drf_standardized_errors.openapi import AutoSchema

from billing.events.events import Event
from billing.models import UnpricedReason, UsageState
from billing.reports import log_rows
from lib import query_string, struct_schema

Schema = dict[str, Any]


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # its base registers subclasses
    target_class = "billing.api.auth.KeyAuthentication"
    name = "key"

    def get_security_definition(self, auto_schema: object) -> Schema:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "tg_<prefix>_<secret>"}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # as above
    target_class = "billing.api.auth.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: object) -> Schema:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}


class ParametersSchema(AutoSchema):
    """Describes the query parameters that a view declares."""

    def get_override_parameters(self) -> list[Any]:
        declared = query_string.schemas(self.view.query_parameters)  # type: ignore[attr-defined]  # an ApiView
        return [_describe_parameter(name, schema) for name, schema in declared.items()]


def _describe_parameter(name: str, schema: Schema) -> OpenApiParameter:
    kind = {key: value for key, value in schema.items() if key not in ("description", "default")}
    return OpenApiParameter(name, kind, description=schema.get("description", ""), default=schema.get("default"))


Method = TypeVar("Method", bound=Callable[..., Any])


def operation(
    *,
    summary: str,
    example: Schema | None = None,
    **options: Any,  # noqa: ANN401 - extend_schema's own
) -> Callable[[Method], Method]:
    """Documents a view's method, for OpenAPI and for the browsable API; `example` is a body that works.

    Unlike extend_schema alone, needs no schema class in the settings.
    """
    if example is not None:
        options["examples"] = [OpenApiExample("Example", value=example, request_only=True)]

    def document(method: Method) -> Method:
        documented: Any = method
        documented.schema, documented.summary, documented.example = ParametersSchema, summary, example
        return extend_schema(summary=summary, **options)(method)

    return document


TEXT: Schema = {"type": "string"}
INT: Schema = {"type": "integer"}
BOOL: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "format": "date-time"}
DATE: Schema = {"type": "string", "format": "date"}
UUID: Schema = {"type": "string", "format": "uuid"}
MONEY: Schema = {
    "type": "string",
    "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?$",
    "description": "USD, exact decimal.",
    "examples": ["0.0105"],  # otherwise the documentation page invents twenty digits
}
PERCENT: Schema = {"type": "number", "description": "Percent, with two decimals."}
FREE_FORM: Schema = {"type": "object", "additionalProperties": True}


def obj(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def nullable(schema: Schema) -> Schema:
    """Returns the schema that also allows null."""
    if "oneOf" in schema:
        return {**schema, "oneOf": [*schema["oneOf"], {"type": "null"}]}
    values = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [schema["type"], "null"], **values}


EVENT = struct_schema.from_struct(Event)
EVENT_OR_BATCH = {
    "application/json": {
        "oneOf": [
            EVENT,
            {
                "type": "object",
                "properties": {"events": {**array(EVENT), "minItems": 1, "maxItems": 1000}},
                "required": ["events"],
                "additionalProperties": False,
            },
        ]
    }
}
EXAMPLE_CALLS: Schema = {
    "account": "acct_42",
    "operations": [
        {"provider": "gemini", "model": "gemini-2.5-flash", "estimate": {"input_tokens": 1200, "output_tokens": 300}}
    ],
}
EXAMPLE_EVENT = {
    "event_id": "chatcmpl-9f2",
    "account": "acct_42",
    "provider": "video",
    "model": "alibaba/wan-2.5/text-to-video",
    "endpoint": "/video-generation/wavespeed",
    "usage": {"seconds": "5"},
    "variant": {"resolution": "720p"},
    "response_time_ms": 8120,
}

ERROR_ENTRY = obj(code=TEXT, detail=TEXT, attr=nullable(TEXT))
ERROR = obj(type=TEXT, errors=array(ERROR_ENTRY))
USAGE_STATE = {"type": "string", "enum": list(UsageState.values)}
UNPRICED_REASON = {"type": "string", "enum": list(UnpricedReason.values)}
_OUTCOME = {
    "status": {"type": "string", "enum": ["accepted", "duplicate", "conflict", "rejected"]},
    "id": nullable(UUID),
    "actual_provider": nullable(TEXT),
    "confidence": nullable(TEXT),
    "cost_usd": nullable(MONEY),
    "priced": nullable(BOOL),
    "usage_state": nullable(USAGE_STATE),
    "unpriced_reason": nullable(UNPRICED_REASON),
}
RESULT = obj(event_id=TEXT, **_OUTCOME)
BATCH_RESULT = obj(
    accepted=INT,
    duplicates=INT,
    rejected=INT,
    results=array(obj(index=INT, event_id=nullable(TEXT), **_OUTCOME, errors=array(ERROR_ENTRY))),
)
READ_ERRORS = dict.fromkeys((401, 403, 404, 422, 429, 503), ERROR)
WRITE_ERRORS = dict.fromkeys((400, 401, 403, 404, 413, 415, 422, 429, 503), ERROR)
USAGE_ERRORS = {
    **dict.fromkeys((400, 401, 403, 409, 413, 415, 429, 503), ERROR),
    422: {"oneOf": [ERROR, BATCH_RESULT]},
}

_TOTALS = {"calls": INT, "tokens": INT, "cost_usd": MONEY}
SUMMARY = obj(
    account=nullable(TEXT),
    period=TEXT,
    starts_at=TIME,
    ends_at=TIME,
    total_cost_usd=MONEY,
    total_calls=INT,
    total_tokens=INT,
    errors=INT,
    error_rate=nullable(PERCENT),
    avg_response_time_ms=nullable(INT),
    unpriced_calls=INT,
    estimated_calls=INT,
    fallback_calls=INT,
    prior_adjustments_usd=MONEY,
    budget=obj(
        limit_usd=nullable(MONEY),
        used_usd=MONEY,
        reserved_usd=MONEY,
        remaining_usd=nullable(MONEY),
        percent=nullable(PERCENT),
        status={"type": "string", "enum": ["ok", "notice", "warning", "critical", "exceeded"]},
    ),
    provider_breakdown=array(
        obj(
            provider=TEXT,
            label=TEXT,
            **_TOTALS,
            percent=nullable(PERCENT),
            errors=INT,
            unpriced_calls=INT,
            estimated_calls=INT,
            categories=array(obj(category=TEXT, **_TOTALS)),
        )
    ),
    category_breakdown=array(
        obj(
            category=TEXT,
            label=TEXT,
            **_TOTALS,
            percent=nullable(PERCENT),
            providers=array(obj(provider=TEXT, label=TEXT, **_TOTALS)),
        )
    ),
    top_providers=array(obj(provider=TEXT, label=TEXT, cost_usd=MONEY, display=TEXT)),
)
ADJUSTMENT = obj(
    id=UUID,
    kind={"type": "string", "enum": ["void", "reprice", "redetect", "credit", "resolve", "revert"]},
    delta_usd=MONEY,
    from_usd=nullable(MONEY),
    to_usd=nullable(MONEY),
    from_provider=nullable(TEXT),
    to_provider=nullable(TEXT),
    reason=TEXT,
    at=TIME,
    batch=nullable(UUID),
    reverts=nullable(UUID),
    reverted_by=nullable(UUID),
)
_LOG_TYPES = {  # of columns other than plain text
    "id": UUID,
    "timestamp": TIME,
    "received_at": TIME,
    "late_for": nullable(TEXT),
    "tokens_input": INT,
    "tokens_output": INT,
    "tokens_total": INT,
    "usage": FREE_FORM,
    "cost_usd": nullable(MONEY),
    "original_cost_usd": nullable(MONEY),
    "priced": BOOL,
    "voided": BOOL,
    "adjustments": array(ADJUSTMENT),
    "response_time_ms": INT,
    "status": {"type": "string", "enum": ["success", "failed"]},
    "status_code": INT,
    "retry_count": INT,
    "metadata": FREE_FORM,
    "calls": INT,
    "usage_state": USAGE_STATE,
    "unpriced_reason": nullable(UNPRICED_REASON),
}
LOG_FIELDS = {name: _LOG_TYPES.get(name, TEXT) for name in log_rows.COLUMNS}
LOG_PAGE = obj(next=nullable(TEXT), previous=nullable(TEXT), results=array(obj(**LOG_FIELDS)))
EXPLANATION = obj(
    price=nullable(obj(id=INT, provider=TEXT, model=TEXT, valid_from=DATE, source=TEXT, matched_by=TEXT)),
    lines=array(obj(unit=TEXT, quantity=TEXT, rate_usd_per_million=TEXT, cost_usd=TEXT, variant=TEXT, above=INT)),
    unrounded_usd=nullable(TEXT),
    rounding_usd=nullable(TEXT),
    detection=obj(rule=TEXT, evidence=TEXT, confidence=TEXT),
    text=array(TEXT),
)
READING = obj(
    reader=TEXT,
    model=TEXT,
    variant={"type": "object", "additionalProperties": TEXT},
    response_id=TEXT,
    cost_usd=nullable(TEXT),
    ignored=array(TEXT),
    ignored_reasons={"type": "object", "additionalProperties": TEXT},
    unread=array(TEXT),
    unread_values={"type": "object", "additionalProperties": {"oneOf": [INT, TEXT]}},
    mapped={"type": "object", "additionalProperties": TEXT},
)
LOG = obj(**LOG_FIELDS, reading=nullable(READING), explanation=EXPLANATION)
ACCOUNT = obj(
    external_id=TEXT, name=TEXT, timezone=TEXT, anchor_day=INT, active=BOOL, billed_from=DATE, created_at=TIME
)
