"""`GET plans/`, and an account's plan, limits and meters on `GET accounts/{external_id}/`."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from billing.models import Account, Meter, Per, Plan, PlanLimit
from billing.plans import plans, shipped_plans
from tests.billing.plan_limits import override_limit, set_limits
from tests.billing.usage import record
from tests.conftest import Api

pytestmark = pytest.mark.django_db

LIMITS = """
monthly_cost              "2"    "25"   "100"   "500"
ai_text_generation_calls  50     500    3000    null
gemini_calls              50     1000   5000    null
openai_calls              0      500    2500    null
anthropic_calls           0      200    1000    null
mistral_calls             0      500    2500    null
tavily_calls              10     200    1000    null
serper_calls              10     200    1000    null
metaphor_calls            0      100    500     null
firecrawl_calls           0      100    500     null
stability_calls           10     25     100     null
exa_calls                 10     100    500     null
video_calls               2      10     30      null
image_edit_calls          5      25     100     null
audio_calls               10     100    100     null
wavespeed_calls           0      200    500     null
gemini_tokens             50000  100000 5000000 null
openai_tokens             0      100000 2500000 null
anthropic_tokens          0      100000 1000000 null
mistral_tokens            0      100000 2500000 null
"""
ROWS = [line.split() for line in LIMITS.strip().splitlines()]
KEYS = [row[0] for row in ROWS]
PRICES = {"free": ("0", "0"), "basic": ("29", "290"), "pro": ("79", "790"), "enterprise": ("199", "1990")}


def test_anyone_can_list_the_shipped_plans_with_every_limit(db: None) -> None:
    response = Client().get("/api/v1/plans/")

    assert response.status_code == 200
    listed = {plan["slug"]: plan for plan in response.json()["results"]}
    assert list(listed) == list(PRICES)
    for column, (slug, prices) in enumerate(PRICES.items(), start=1):
        assert (listed[slug]["price_monthly_usd"], listed[slug]["price_yearly_usd"]) == prices
        assert listed[slug]["limits"] == {row[0]: json.loads(row[column]) for row in ROWS}
        assert listed[slug]["version"] == 1


def test_inactive_plans_and_older_versions_are_not_listed(db: None) -> None:
    set_limits({"video_calls": 3})
    plans.supersede(plan=Plan(slug="pro", name="Pro", active=False), limits=[], at=timezone.now())

    listed = {plan["slug"]: plan for plan in Client().get("/api/v1/plans/").json()["results"]}
    assert sorted(listed) == ["basic", "enterprise", "free"]
    assert (listed["free"]["version"], listed["free"]["limits"]["video_calls"]) == (2, 3)
    assert listed["free"]["limits"]["openai_calls"] is None


def test_custom_meters_and_daily_limits_have_their_own_keys(db: None) -> None:
    meter = Meter.objects.create(slug="flux_calls", label="Flux", scope="actual", values=["bfl"], unit="calls")
    rows = [PlanLimit(meter=meter, amount=7), PlanLimit(meter=meter, per=Per.DAY, amount=2)]
    plans.supersede(plan=Plan(slug="free", name="Free"), limits=rows, at=timezone.now())

    (free, *_) = [plan for plan in Client().get("/api/v1/plans/").json()["results"] if plan["slug"] == "free"]
    assert (free["limits"]["flux_calls"], free["limits"]["flux_calls_per_day"]) == (7, 2)


def test_the_list_of_plans_is_public_but_throttled(db: None, settings: Any) -> None:
    settings.ANONYMOUS_RATE = "2/hour"
    statuses = [Client(REMOTE_ADDR="192.0.2.77").get("/api/v1/plans/").status_code for _ in range(3)]
    assert statuses == [200, 200, 429]


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_an_account_shows_its_plan_limits_and_usage(bound: Api, account: Account, now: datetime) -> None:
    record(account, now, {"provider": "video", "category": "video", "cost_usd": "0.5"})
    override_limit(account, "openai_calls", 5)

    body = bound.get("accounts/acct_42/").json()
    assert body["plan"] == {
        "slug": "free",
        "name": "Free",
        "version": 1,
        "price_monthly_usd": "0",
        "price_yearly_usd": "0",
    }
    assert list(body["limits"]) == KEYS
    assert (body["limits"]["openai_calls"], body["limits"]["monthly_cost"]) == (5, "2")
    meters = {line["meter"]: line for line in body["meters"]}
    assert list(meters) == KEYS
    assert meters["monthly_cost"] == {
        "meter": "monthly_cost",
        "per": "period",
        "limit": "2",
        "used": "0.5",
        "reserved": "0",
        "remaining": "1.5",
        "percent": 25.0,
        "resets_at": "2026-12-01T00:00:00Z",
    }
    assert (meters["video_calls"]["used"], meters["video_calls"]["remaining"]) == (1, 1)
    assert meters["wavespeed_calls"]["percent"] is None


def test_an_unlimited_limit_is_null(bound: Api, account: Account) -> None:
    override_limit(account, "video_calls", None)

    meters = {line["meter"]: line for line in bound.get("accounts/acct_42/").json()["meters"]}
    assert [meters["video_calls"][name] for name in ("limit", "used", "remaining", "percent")] == [None, 0, None, None]


def test_a_missing_default_plan_limits_nothing(bound: Api, account: Account, settings: Any) -> None:
    settings.DEFAULT_PLAN = "gone"
    assert set(bound.get("accounts/acct_42/").json()["limits"].values()) == {None}


def test_loading_the_shipped_plans_again_changes_nothing(db: None, now: datetime) -> None:
    set_limits({"video_calls": 3})
    Meter.objects.filter(slug="video_calls").update(label="Films")
    assert shipped_plans.load(at=now) == (0, 0)
    assert Plan.objects.filter(slug="free").count() == 2
    assert Meter.objects.get(slug="video_calls").label == "Films"


def test_missing_shipped_plans_are_loaded(db: None, now: datetime) -> None:
    before = {plan["slug"]: plan for plan in Client().get("/api/v1/plans/").json()["results"]}
    PlanLimit.objects.all().delete()
    Plan.objects.all().delete()
    Meter.objects.filter(slug="video_calls").delete()

    assert shipped_plans.load(at=now) == (1, 4)
    assert {plan["slug"]: plan for plan in Client().get("/api/v1/plans/").json()["results"]} == before
