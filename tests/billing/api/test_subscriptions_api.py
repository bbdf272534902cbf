"""The subscription endpoints: the full response, idempotency, permissions and refusals."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from billing.models import Account, IdempotencyKey, Membership, Plan, Subscription, SubscriptionEvent
from billing.plans import idempotency, subscriptions
from billing.statements import statements
from tests.billing.subscribers import create_soft_plan, set_billing_anchor
from tests.billing.usage import record
from tests.conftest import Api
from tests.frozen_clock import Clock, utc

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at("2026-11-22T12:00")]

SUBSCRIBE, SUBSCRIPTION = "accounts/acct_42/subscribe/", "accounts/acct_42/subscription/"
KEYS = [
    *("ai_text_generation_calls", "gemini_calls", "openai_calls", "anthropic_calls", "mistral_calls"),
    *("tavily_calls", "serper_calls", "metaphor_calls", "firecrawl_calls", "stability_calls", "exa_calls"),
    *("video_calls", "image_edit_calls", "audio_calls", "wavespeed_calls"),
    *("gemini_tokens", "openai_tokens", "anthropic_tokens", "mistral_tokens", "monthly_cost"),
]
BASIC = {"plan": "basic", "cycle": "monthly"}


def stored() -> tuple[int, int, int, list[int]]:
    versions = list(Account.objects.values_list("config_version", flat=True))
    return Subscription.objects.count(), SubscriptionEvent.objects.count(), IdempotencyKey.objects.count(), versions


def test_subscribing_returns_the_full_subscription(service: Api, account: Account) -> None:
    response = service.post(SUBSCRIBE, BASIC)

    body = response.json()
    assert response.status_code == 201
    assert sorted(body["limits"]) == sorted(KEYS)
    assert (body["limits"]["exa_calls"], body["limits"]["video_calls"], body["limits"]["monthly_cost"]) == (
        100,
        10,
        "25",
    )
    (cost,) = [line for line in body["meters"] if line["meter"] == "monthly_cost"]
    assert cost == {
        "meter": "monthly_cost",
        "per": "period",
        "limit": "25",
        "used": "0",
        "reserved": "0",
        "remaining": "25",
        "percent": 0,
        "resets_at": "2026-12-01T00:00:00Z",
    }
    assert {name: body[name] for name in body if name not in ("limits", "meters")} == {
        "account": "acct_42",
        "plan": {
            "slug": "basic",
            "name": "Basic",
            "version": 1,
            "price_monthly_usd": "29",
            "price_yearly_usd": "290",
        },
        "cycle": "monthly",
        "status": "active",
        "period_start": "2026-11-01",
        "period_end": "2026-12-01",
        "auto_renew": True,
        "amount_due_usd": "8.7",
        "prorated_from": "2026-11-22",
        "pending": None,
        "grace_until": None,
    }
    assert service.get(SUBSCRIPTION).json() == body
    assert service.get("accounts/acct_42/").json()["plan"]["slug"] == "basic"


def test_unlimited_is_null_and_not_allowed_is_0(service: Api, account: Account) -> None:
    enterprise = service.post(SUBSCRIBE, {"plan": "enterprise"}).json()["limits"]
    assert enterprise["video_calls"] is None

    free = service.get("plans/").json()["results"][0]["limits"]
    assert (free["openai_calls"], free["wavespeed_calls"]) == (0, 0)


def test_an_account_without_a_subscription_has_the_default_plan(bound: Api) -> None:
    body = bound.get(SUBSCRIPTION).json()

    assert sorted(body["limits"]) == sorted(KEYS)
    assert (body["plan"]["slug"], body["cycle"], body["status"], body["amount_due_usd"]) == (
        "free",
        "monthly",
        "active",
        "0",
    )
    assert (body["period_start"], body["period_end"]) == ("2026-11-01", "2026-12-01")


def test_a_yearly_subscribers_budget_resets_monthly(bound: Api, clock: Clock) -> None:
    body = bound.post(SUBSCRIBE, {"plan": "basic", "cycle": "yearly"}).json()

    assert (body["period_end"], {line["resets_at"] for line in body["meters"]}) == (
        "2027-11-01",
        {"2026-12-01T00:00:00Z"},
    )
    clock.move_to(utc("2027-03-10"))
    assert {line["resets_at"] for line in bound.get(SUBSCRIPTION).json()["meters"]} == {"2027-04-01T00:00:00Z"}


def test_a_downgrade_is_pending(bound: Api) -> None:
    bound.post(SUBSCRIBE, {"plan": "pro"})
    response = bound.post(SUBSCRIBE, BASIC)

    body = response.json()
    assert (response.status_code, body["plan"]["slug"], body["amount_due_usd"]) == (200, "pro", "0")
    assert (body["pending"]["plan"]["slug"], body["pending"]["cycle"]) == ("basic", "monthly")


def test_cancelling_twice_cancels_once_and_subscribing_again_resumes(bound: Api) -> None:
    bound.post(SUBSCRIBE, BASIC)
    first, second = bound.post("accounts/acct_42/cancel/", {}), bound.post("accounts/acct_42/cancel/", {})

    assert (first.status_code, first.json()["auto_renew"], second.json()) == (200, False, first.json())
    assert bound.post(SUBSCRIBE, BASIC).json()["auto_renew"] is True
    kinds = [event["kind"] for event in bound.get("accounts/acct_42/renewals/").json()["results"]]
    assert kinds == ["resumed", "cancel_planned", "subscribed"]


def test_renewals_show_fee_and_usage(bound: Api, account: Account, now: datetime) -> None:
    bound.post(SUBSCRIBE, BASIC)
    record(account, now, {"cost_usd": "1.5", "usage": {"input_tokens": 3}})
    subscriptions.renew_due(utc("2026-12-01"))

    renewed, subscribed = bound.get("accounts/acct_42/renewals/").json()["results"]
    assert (renewed["kind"], renewed["at"], renewed["amount_usd"]) == ("renewed", "2026-12-01T00:00:00Z", "29")
    assert renewed["usage"] == {"calls": 1, "tokens": 3, "cost_usd": "1.5"}
    assert subscribed["lines"] == [
        {"text": "Basic, monthly, 2026-11-22 to 2026-11-30, 9 of 30 days of $29.00", "amount_usd": "8.7"}
    ]


def test_statements_show_exact_amounts_and_cents(bound: Api, account: Account, now: datetime) -> None:
    set_billing_anchor(account, billed_from="2026-11-01")
    create_soft_plan("team", 1)
    bound.post(SUBSCRIBE, {"plan": "team"})
    record(account, now, {"cost_usd": "1.333333333"})
    statements.close_due(utc("2026-12-04T01:00"))

    (statement,) = bound.get("accounts/acct_42/statements/").json()["results"]
    assert {
        name: statement[name] for name in ("period", "total_usd", "amount_due_usd", "usage_usd", "included_usd")
    } == {
        "period": "2026-11",
        "total_usd": "3.333333333",
        "amount_due_usd": "3.33",
        "usage_usd": "1.333333333",
        "included_usd": "1",
    }
    assert [(line["kind"], line["amount_usd"], line["rounded_usd"]) for line in statement["lines"]] == [
        ("fee", "3", "3"),
        ("overage", "0.333333333", "0.33"),
    ]
    assert (statement["status"], statement["due_at"]) == ("open", "2026-12-18T01:00:00Z")


# Idempotency


def test_a_repeated_key_and_request_get_the_first_response(bound: Api, account: Account, now: datetime) -> None:
    first = bound.post(SUBSCRIBE, BASIC, **{"Idempotency-Key": "k1"})
    record(account, now, {"cost_usd": "1"})
    bound.post(SUBSCRIBE, {"plan": "pro"})
    before = stored()
    repeated = bound.post(SUBSCRIBE, BASIC, **{"Idempotency-Key": "k1"})

    assert (repeated.status_code, repeated.content) == (201, first.content)
    assert stored() == before


def test_the_same_key_with_another_request_is_refused(bound: Api) -> None:
    bound.post(SUBSCRIBE, BASIC, **{"Idempotency-Key": "k1"})
    before = stored()
    response = bound.post(SUBSCRIBE, {"plan": "pro"}, **{"Idempotency-Key": "k1"})

    assert (response.status_code, response.json()["errors"][0]["code"]) == (409, "idempotency_conflict")
    assert stored() == before


def test_keys_are_per_account_and_a_refusal_is_not_remembered(service: Api, bound: Api) -> None:
    service.post("accounts/", {"external_id": "other"})
    assert service.post("accounts/other/subscribe/", {"plan": "never"}, **{"Idempotency-Key": "k"}).status_code == 422
    assert service.post("accounts/other/subscribe/", BASIC, **{"Idempotency-Key": "k"}).status_code == 201
    assert bound.post(SUBSCRIBE, {"plan": "pro"}, **{"Idempotency-Key": "k"}).status_code == 201


def test_old_keys_are_pruned(bound: Api, now: datetime) -> None:
    bound.post(SUBSCRIBE, BASIC, **{"Idempotency-Key": "k1"})

    assert idempotency.prune(now + timedelta(days=400)) == 0
    assert idempotency.prune(now + timedelta(days=400, seconds=1)) == 1


# Permissions


def test_a_key_without_manage_may_read_but_not_change(account: Account) -> None:
    reader = Api("read", "ingest", "limits", account=account)

    assert reader.get(SUBSCRIPTION).status_code == 200
    for path in (SUBSCRIBE, "accounts/acct_42/cancel/"):
        assert reader.post(path, BASIC).status_code == 403
    assert stored() == (0, 0, 0, [1])


@pytest.mark.parametrize(("group", "status"), [("Operator", 201), ("Viewer", 403), (None, 403)])
def test_staff_need_the_permission(account: Account, group: str | None, status: int) -> None:
    user = User.objects.create_user("staff", is_staff=True)
    if group:
        user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)

    response = client.post(f"/api/v1/{SUBSCRIBE}", BASIC, content_type="application/json")
    assert (response.status_code, Subscription.objects.count()) == (status, int(status == 201))


def test_a_customer_may_read_but_not_subscribe(account: Account) -> None:
    user = User.objects.create_user("customer")
    Membership.objects.create(account=account, user=user)
    client = Client()
    client.force_login(user)

    for path in ("subscription", "renewals", "statements"):
        assert client.get(f"/api/v1/accounts/acct_42/{path}/").status_code == 200
    assert client.post(f"/api/v1/{SUBSCRIBE}", BASIC, content_type="application/json").status_code == 403
    assert stored() == (0, 0, 0, [1])


# Refusals


@pytest.mark.parametrize(
    ("body", "code", "attr"),
    [
        ({}, "required", "plan"),
        ({"plan": "never"}, "unknown_plan", "plan"),
        ({"plan": ""}, "min_length", "plan"),
        ({"plan": "x" * 51}, "max_length", "plan"),
        ({"plan": 5}, "invalid", "plan"),
        ({"plan": "a\x00"}, "invalid", "plan"),
        ({"plan": "a\ud800"}, "invalid", "plan"),
        ({"plan": "BASIC"}, "unknown_plan", "plan"),
        ({"plan": "basic", "cycle": "weekly"}, "invalid", "cycle"),
        ({"plan": "basic", "cycle": None}, "null", "cycle"),
        ({"plan": "basic", "price": "0"}, "unknown_field", "price"),
    ],
)
def test_a_bad_field_is_refused(bound: Api, body: dict[str, Any], code: str, attr: str) -> None:
    response = bound.post(SUBSCRIBE, body)

    assert response.status_code == 422
    assert [(error["code"], error["attr"]) for error in response.json()["errors"]] == [(code, attr)]
    assert stored() == (0, 0, 0, [1])


@pytest.mark.parametrize("key", ["", "x" * 257])
def test_a_bad_key_is_refused(bound: Api, key: str) -> None:
    response = bound.post(SUBSCRIBE, BASIC, **{"Idempotency-Key": key})

    assert (response.status_code, response.json()["errors"][0]["attr"]) == (422, "Idempotency-Key")
    assert stored() == (0, 0, 0, [1])


def test_cancelling_without_a_subscription_or_with_a_body_is_refused(bound: Api) -> None:
    assert bound.post("accounts/acct_42/cancel/", {}).json()["errors"][0]["code"] == "no_subscription"
    bound.post(SUBSCRIBE, BASIC)
    assert bound.post("accounts/acct_42/cancel/", {"at_once": True}).json()["errors"][0]["code"] == "unknown_field"
    assert Subscription.objects.get().auto_renew is True


@pytest.mark.parametrize("status", ["suspended", "past_due"])
def test_an_unpaid_account_is_402_everywhere(bound: Api, account: Account, now: datetime, status: str) -> None:
    bound.post(SUBSCRIBE, BASIC)
    Subscription.objects.update(status=status, grace_until=now)
    Account.objects.update(config_version=99)
    for path, body in (
        (SUBSCRIBE, {"plan": "pro"}),
        ("reservations/", {"reservation_id": "r1", "operations": [{"provider": "exa", "count": 1}]}),
    ):
        response = bound.post(path, body)
        assert (response.status_code, response.json()["errors"][0]["code"]) == (402, "subscription_inactive")
    assert Plan.objects.get(pk=Subscription.objects.get().plan_id).slug == "basic"
