"""An account's subscription: show, subscribe, change, cancel; its history, and the statements of closed periods."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api import plans as plans_api
from billing.api import schema, schema_subscriptions
from billing.api.api_view import ApiView
from billing.api.parsers import json_body
from billing.api.renderers import FastJSONRenderer
from billing.errors import Refused
from billing.events import events
from billing.limits import limits
from billing.models import Account, Statement, Subscription, SubscriptionEvent
from billing.plans import idempotency, plans, subscriptions
from billing.plans.plans import Catalog, Plan
from billing.statements import segments
from billing.statements.segments import Segment
from lib import money, periods, struct_schema

MAY_CHANGE = "billing.change_subscription"
MAX_RESULTS = 500  # events or statements per response: forty years of months


class SubscribeBody(msgspec.Struct, forbid_unknown_fields=True):
    plan: Annotated[str, msgspec.Meta(min_length=1, max_length=50)]
    cycle: Literal["monthly", "yearly"] = "monthly"


class EmptyBody(msgspec.Struct, forbid_unknown_fields=True):
    """A body without fields."""


class SubscribeView(ApiView):
    """Subscribes an account to a plan or changes its plan. Upgrades take effect immediately, downgrades when the cycle ends.

    Fees are prorated by day and rounded half-even to cents; days that are already paid are credited. Subscribing to the
    current plan revokes a pending cancellation or change. With an `Idempotency-Key`, repeating the request returns the first
    response and does nothing.
    """

    required_scope = "manage"
    staff_permission = MAY_CHANGE

    @schema.operation(
        operation_id="subscribe",
        summary="Subscribe to a plan",
        parameters=[OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER)],
        request={"application/json": struct_schema.from_struct(SubscribeBody)},
        example={"plan": "pro", "cycle": "monthly"},
        responses={
            200: schema_subscriptions.SUBSCRIPTION,
            201: schema_subscriptions.SUBSCRIPTION,
            **schema.WRITE_ERRORS,
            402: schema.ERROR,
            409: schema.ERROR,
        },
    )
    def post(self, request: Request, external_id: str) -> Response:
        account = named(self.account)
        body = events.convert(json_body(request), SubscribeBody)
        events.check_text(body.plan, "plan")
        at, actor = self.at, self.caller.name

        def subscribe() -> dict[str, Any]:
            _, created = subscriptions.subscribe(account, plan=body.plan, cycle=body.cycle, actor=actor, at=at)
            return {"status": 201 if created else 200, "body": _as_sent(_detail(account, at))}

        description = f"subscribe {body.plan} {body.cycle}"
        response = idempotency.run_once(account, _idempotency_key(request), description, subscribe, at=at)
        return Response(response["body"], status=response["status"])


class CancelView(ApiView):
    """Cancels a subscription at the end of its cycle. The account then has the default plan. There is no refund."""

    required_scope = "manage"
    staff_permission = MAY_CHANGE

    @schema.operation(
        operation_id="cancel_subscription",
        summary="Cancel the subscription",
        request=None,
        responses={200: schema_subscriptions.SUBSCRIPTION, **schema.WRITE_ERRORS},
    )
    def post(self, request: Request, external_id: str) -> Response:
        account, at = named(self.account), self.at
        events.convert(dict(request.data), EmptyBody)
        subscriptions.cancel(account, actor=self.caller.name, at=at)
        return Response(_detail(account, at))


class SubscriptionView(ApiView):
    """Returns an account's subscription; without one, the default plan with monthly periods."""

    required_scope = "read"

    @schema.operation(
        operation_id="subscription",
        summary="Show the subscription",
        responses={200: schema_subscriptions.SUBSCRIPTION, **schema.READ_ERRORS},
    )
    def get(self, request: Request, external_id: str) -> Response:
        return Response(_detail(named(self.account), self.at))


class RenewalsView(ApiView):
    """Lists all changes and renewals of an account's subscription, newest first, with fee and usage so far."""

    required_scope = "read"

    @schema.operation(
        operation_id="renewals",
        summary="List subscription changes and renewals",
        responses={
            200: schema.obj(results=schema.array(schema_subscriptions.SUBSCRIPTION_EVENT)),
            **schema.READ_ERRORS,
        },
    )
    def get(self, request: Request, external_id: str) -> Response:
        account = named(self.account)
        history = subscriptions.history(account)[:MAX_RESULTS]
        return Response({"results": [_event_as_json(event) for event in history]})


class StatementsView(ApiView):
    """Lists the statements of an account's closed usage periods, newest first."""

    required_scope = "read"

    @schema.operation(
        operation_id="statements",
        summary="List statements",
        responses={200: schema.obj(results=schema.array(schema_subscriptions.STATEMENT)), **schema.READ_ERRORS},
    )
    def get(self, request: Request, external_id: str) -> Response:
        account = named(self.account)
        newest = Statement.objects.filter(account=account).select_related("account").order_by("-period")[:MAX_RESULTS]
        catalog = plans.current()
        return Response({"results": [_statement_as_json(statement, catalog) for statement in newest]})


def named(account: Account | None) -> Account:
    """Returns the account of a view whose path names one."""
    if account is None:
        raise LookupError("the path always names an account")
    return account


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key) <= idempotency.MAX_KEY_LENGTH:
        raise Refused(
            "max_length", f"The key must have 1 to {idempotency.MAX_KEY_LENGTH} characters.", "Idempotency-Key"
        )
    return key


def _as_sent(body: dict[str, Any]) -> dict[str, Any]:
    """Converts the body to plain JSON types, as sent, so that it can be stored and sent again."""
    sent: dict[str, Any] = msgspec.json.decode(FastJSONRenderer().render(body))
    return sent


def _detail(account: Account, at: datetime) -> dict[str, Any]:
    account.refresh_from_db()
    catalog = plans.current()
    plan, statuses = plans.for_account(account, at, catalog), limits.statuses(account, at)
    return {
        **subscription_as_json(account, plan, subscriptions.for_account(account), at),
        "limits": plans_api.limits_as_json(status.limit for status in statuses),
        "meters": plans_api.meters_as_json(statuses),
    }


def subscription_as_json(
    account: Account, plan: Plan, subscription: Subscription | None, at: datetime
) -> dict[str, Any]:
    """Returns the plan and its terms, without limits."""
    return {
        "account": account.external_id,
        "plan": plans_api.plan_as_json(plan),
        **_terms_as_json(account, subscription, at),
    }


def _terms_as_json(account: Account, subscription: Subscription | None, at: datetime) -> dict[str, Any]:
    if subscription is None or subscription.status == Subscription.Status.CANCELLED:
        return _default_terms_as_json(account, subscription, at)
    pending = plans.current().plans.get(subscription.pending_plan_id or 0)
    return {
        "cycle": subscription.cycle,
        "status": subscription.status,
        "period_start": subscription.period_start,
        "period_end": subscription.period_end,
        "auto_renew": subscription.auto_renew,
        "amount_due_usd": money.exact_usd(subscription.fee_nano),
        "prorated_from": subscription.prorated_from,
        "pending": {"plan": plans_api.plan_as_json(pending), "cycle": subscription.pending_cycle} if pending else None,
        "grace_until": subscription.grace_until,
    }


def _default_terms_as_json(account: Account, subscription: Subscription | None, at: datetime) -> dict[str, Any]:
    """Returns the terms of the default plan: no fee, renewed with the usage period."""
    start = periods.period_start(account.schedule, periods.local_day(account.schedule, at))
    return {
        "cycle": "monthly",
        "status": subscription.status if subscription else Subscription.Status.ACTIVE.value,
        "period_start": start,
        "period_end": periods.next_period_start(account.schedule, start),
        "auto_renew": subscription is None,
        "amount_due_usd": "0",
        "prorated_from": None,
        "pending": None,
        "grace_until": None,
    }


def _event_as_json(event: SubscriptionEvent) -> dict[str, Any]:
    catalog = plans.current()
    pending = catalog.plans.get(event.next_plan_id or 0)
    return {
        "id": event.id,
        "kind": event.kind,
        "at": event.effective_at,
        "plan": plans_api.plan_as_json(catalog.plans[event.plan_id]),
        "pending_plan": plans_api.plan_as_json(pending) if pending else None,
        "cycle": event.cycle,
        "status": event.status,
        "period_start": event.period_start,
        "period_end": event.period_end,
        "amount_usd": money.exact_usd(event.fee_nano),
        "lines": [{"text": line["text"], "amount_usd": money.exact_usd(line["nano"])} for line in event.fee_lines],
        "usage": {
            "calls": event.usage["calls"],
            "tokens": event.usage["tokens"],
            "cost_usd": money.exact_usd(event.usage["cost_nano"]),
        },
    }


def _statement_as_json(statement: Statement, catalog: Catalog) -> dict[str, Any]:
    plan = catalog.plans.get(statement.plan_id or 0)
    return {
        "id": statement.id,
        "period": f"{statement.period:%Y-%m}",
        "period_start": statement.period,
        "period_end": statement.period_end,
        "plan": plans_api.plan_as_json(plan) if plan else None,
        "fee_usd": money.exact_usd(statement.fee_nano),
        "overage_usd": money.exact_usd(statement.overage_nano),
        "adjustments_usd": money.exact_usd(statement.adjustments_nano),
        "total_usd": money.exact_usd(statement.total_nano),
        "amount_due_usd": money.exact_usd(statement.total_cents * money.CENT),
        "usage_usd": money.exact_usd(statement.usage_nano),
        "calls": statement.calls,
        "tokens": statement.tokens_total,
        "included_usd": money.exact_usd_or_none(statement.allowance_nano),
        "rules": statement.rules,
        "segments": [_segment_as_json(segment, catalog) for segment in segments.for_statement(statement)],
        "lines": [
            {"kind": line["kind"], "text": line["text"], "period": line["period"], **_amounts_as_json(line)}
            for line in statement.lines
        ],
        "usage": [
            {name: line[name] for name in ("provider", "label", "calls", "tokens")} | _amounts_as_json(line)
            for line in statement.usage
        ],
        "closed_at": statement.closed_at,
        "due_at": statement.due_at,
        "status": statement.state,
        "paid_at": statement.paid_at,
    }


def _segment_as_json(segment: Segment, catalog: Catalog) -> dict[str, Any]:
    plan = catalog.plans.get(segment.plan or 0)
    return {
        "plan": plans_api.plan_as_json(plan) if plan else None,
        "starts_at": segment.starts_at,
        "ends_at": segment.ends_at,
        "included_usd": money.exact_usd_or_none(segment.allowance_nano),
        "used_usd": money.exact_usd(segment.used_nano),
        "overage_usd": money.exact_usd(segment.overage_nano),
    }


def _amounts_as_json(line: dict[str, Any]) -> dict[str, str]:
    """Returns the exact amount, and its share of the total in whole cents."""
    return {"amount_usd": money.exact_usd(line["nano"]), "rounded_usd": money.exact_usd(line["cents"] * money.CENT)}
