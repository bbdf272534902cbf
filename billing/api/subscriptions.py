"""An account's subscription: shown, begun, moved, cancelled; its history, and the statements of closed periods."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.api import account_scope, schema, schema_subscriptions
from billing.api import plans as plan_shapes
from billing.api.parsers import body_of
from billing.api.renderers import FastJSONRenderer
from billing.errors import Refused
from billing.events import events
from billing.limits import limits
from billing.models import Account, Statement, Subscription, SubscriptionEvent
from billing.plans import idempotency, plans, subscriptions
from billing.plans.plans import Plan
from lib import money, periods

MAY_CHANGE = "billing.change_subscription"
MOST = 500  # steps, or statements, in one answer: forty years of months


class Wish(msgspec.Struct, forbid_unknown_fields=True):
    """What a request to subscribe says."""

    plan: Annotated[str, msgspec.Meta(min_length=1, max_length=50)]
    cycle: Literal["monthly", "yearly"] = "monthly"


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """A body that says nothing."""


class SubscribeView(APIView):
    """Subscribes an account to a plan, or moves it there: a dearer one at once, a cheaper one when the cycle ends.

    Fees are prorated by days and rounded half-even to cents. The plan that it has already stays, and goes on where it
    was to end. With an `Idempotency-Key`, the same request again is answered as the first one and does nothing.
    """

    required_scope = "manage"
    staff_permission = MAY_CHANGE

    @extend_schema(
        operation_id="subscribe",
        summary="Subscribe to a plan",
        parameters=[OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER)],
        request={"application/json": schema.of(Wish)},
        responses={
            200: schema_subscriptions.SUBSCRIPTION,
            201: schema_subscriptions.SUBSCRIPTION,
            **schema.ERRORS_OF_WRITING,
            402: schema.ERROR,
            409: schema.ERROR,
        },
    )
    def post(self, request: Request, external_id: str) -> Response:
        account = named(request, external_id)
        wish = events.converted(body_of(request), Wish)
        events.check_text(wish.plan, "plan")
        at, actor = timezone.now(), account_scope.caller_of(request).name

        def work() -> dict[str, Any]:
            _, begun = subscriptions.subscribe(account, plan=wish.plan, cycle=wish.cycle, actor=actor, at=at)
            return {"status": 201 if begun else 200, "body": _plain(_shown(account, at))}

        asked = f"subscribe {wish.plan} {wish.cycle}"
        answer = idempotency.once(account, _key(request), asked, work, at=at)
        return Response(answer["body"], status=answer["status"])


class CancelView(APIView):
    """Ends an account's subscription with its cycle; the account has the default plan then. Nothing is paid back."""

    required_scope = "manage"
    staff_permission = MAY_CHANGE

    @extend_schema(
        operation_id="cancel_subscription",
        summary="Cancel the subscription",
        request=None,
        responses={200: schema_subscriptions.SUBSCRIPTION, **schema.ERRORS_OF_WRITING},
    )
    def post(self, request: Request, external_id: str) -> Response:
        account, at = named(request, external_id), timezone.now()
        events.converted(dict(request.data), Nothing)
        subscriptions.cancel(account, actor=account_scope.caller_of(request).name, at=at)
        return Response(_shown(account, at))


class SubscriptionView(APIView):
    """An account's subscription. One that has subscribed to nothing is told its default plan, by the month."""

    required_scope = "read"

    @extend_schema(
        operation_id="subscription",
        summary="Show the subscription",
        responses={200: schema_subscriptions.SUBSCRIPTION, **schema.ERRORS_OF_READING},
    )
    def get(self, request: Request, external_id: str) -> Response:
        return Response(_shown(named(request, external_id), timezone.now()))


class RenewalsView(APIView):
    """Every step of an account's subscription, newest first, each with its fee and what had been used by then."""

    required_scope = "read"

    @extend_schema(
        operation_id="renewals",
        summary="List renewals and other steps",
        responses={200: schema.obj(results=schema.array(schema_subscriptions.STEP)), **schema.ERRORS_OF_READING},
    )
    def get(self, request: Request, external_id: str) -> Response:
        account = named(request, external_id)
        steps = subscriptions.history(account)[:MOST]
        return Response({"results": [_step(one) for one in steps]})


class StatementsView(APIView):
    """The statements of an account's closed usage periods, newest first."""

    required_scope = "read"

    @extend_schema(
        operation_id="statements",
        summary="List statements",
        responses={200: schema.obj(results=schema.array(schema_subscriptions.STATEMENT)), **schema.ERRORS_OF_READING},
    )
    def get(self, request: Request, external_id: str) -> Response:
        account = named(request, external_id)
        stored = Statement.objects.filter(account=account).order_by("-period")[:MOST]
        return Response({"results": [_statement(one) for one in stored]})


def named(request: Request, external_id: str) -> Account:
    """The account in the path. What is not the caller's does not exist: Http404."""
    account = account_scope.account_of(request, external_id)
    if account is None:
        raise LookupError("the path always names an account")
    return account


def _key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key) <= idempotency.MOST:
        raise Refused("max_length", f"1 to {idempotency.MOST} characters.", "Idempotency-Key")
    return key


def _plain(body: dict[str, Any]) -> dict[str, Any]:
    """As it is sent, so that it can be kept and sent again."""
    sent: dict[str, Any] = msgspec.json.decode(FastJSONRenderer().render(body))
    return sent


def _shown(account: Account, at: datetime) -> dict[str, Any]:
    account.refresh_from_db()
    catalog = plans.current()
    plan, standings = plans.of_account(account, at, catalog), limits.standing(account, at)
    return {
        **subscription(account, plan, subscriptions.of(account), at),
        "limits": plan_shapes.limits(one.limit for one in standings),
        "meters": plan_shapes.meters(standings),
    }


def subscription(account: Account, plan: Plan, one: Subscription | None, at: datetime) -> dict[str, Any]:
    """The plan and its terms, without limits: what a dashboard tells of it too."""
    return {"account": account.external_id, "plan": plan_shapes.plan(plan), **_terms(account, one, at)}


def _terms(account: Account, one: Subscription | None, at: datetime) -> dict[str, Any]:
    if one is None or one.status == Subscription.Status.CANCELLED:
        return _default_terms(account, one, at)
    pending = plans.current().plans.get(one.pending_plan_id or 0)
    return {
        "cycle": one.cycle,
        "status": one.status,
        "period_start": one.period_start,
        "period_end": one.period_end,
        "auto_renew": one.auto_renew,
        "amount_due_usd": money.exact_usd(one.fee_nano),
        "prorated_from": one.prorated_from,
        "pending": {"plan": plan_shapes.plan(pending), "cycle": one.pending_cycle} if pending else None,
        "grace_until": one.grace_until,
    }


def _default_terms(account: Account, one: Subscription | None, at: datetime) -> dict[str, Any]:
    """The default plan asks for nothing and rolls over with the usage period."""
    start = periods.start_of(account.schedule, periods.local_day(account.schedule, at))
    return {
        "cycle": "monthly",
        "status": one.status if one else Subscription.Status.ACTIVE.value,
        "period_start": start,
        "period_end": periods.next_start(account.schedule, start),
        "auto_renew": one is None,
        "amount_due_usd": "0",
        "prorated_from": None,
        "pending": None,
        "grace_until": None,
    }


def _step(one: SubscriptionEvent) -> dict[str, Any]:
    catalog = plans.current()
    pending = catalog.plans.get(one.next_plan_id or 0)
    return {
        "id": one.id,
        "kind": one.kind,
        "at": one.effective_at,
        "plan": plan_shapes.plan(catalog.plans[one.plan_id]),
        "pending_plan": plan_shapes.plan(pending) if pending else None,
        "cycle": one.cycle,
        "status": one.status,
        "period_start": one.period_start,
        "period_end": one.period_end,
        "amount_usd": money.exact_usd(one.fee_nano),
        "lines": [{"text": part["text"], "amount_usd": money.exact_usd(part["nano"])} for part in one.fee_lines],
        "usage": {
            "calls": one.usage["calls"],
            "tokens": one.usage["tokens"],
            "cost_usd": money.exact_usd(one.usage["cost_nano"]),
        },
    }


def _statement(one: Statement) -> dict[str, Any]:
    plan = plans.current().plans.get(one.plan_id or 0)
    return {
        "id": one.id,
        "period": f"{one.period:%Y-%m}",
        "period_start": one.period,
        "period_end": one.period_end,
        "plan": plan_shapes.plan(plan) if plan else None,
        "fee_usd": money.exact_usd(one.fee_nano),
        "overage_usd": money.exact_usd(one.overage_nano),
        "adjustments_usd": money.exact_usd(one.adjustments_nano),
        "total_usd": money.exact_usd(one.total_nano),
        "amount_due_usd": money.exact_usd(one.total_cents * money.CENT),
        "usage_usd": money.exact_usd(one.usage_nano),
        "calls": one.calls,
        "tokens": one.tokens_total,
        "included_usd": money.exact_usd_or_none(one.allowance_nano),
        "lines": [
            {"kind": line["kind"], "text": line["text"], "period": line["period"], **_amounts(line)}
            for line in one.lines
        ],
        "usage": [
            {name: line[name] for name in ("provider", "label", "calls", "tokens")} | _amounts(line)
            for line in one.usage
        ],
        "closed_at": one.closed_at,
        "due_at": one.due_at,
        "status": one.state,
        "paid_at": one.paid_at,
    }


def _amounts(line: dict[str, Any]) -> dict[str, str]:
    """Exact, and its part of the total in whole cents."""
    return {"amount_usd": money.exact_usd(line["nano"]), "rounded_usd": money.exact_usd(line["cents"] * money.CENT)}
