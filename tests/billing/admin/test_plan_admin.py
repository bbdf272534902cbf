"""Plans, meters, overrides and reservations in the admin: told in words, and a plan is never edited."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from billing.limits import limits
from billing.models import Account, LimitOverride, Meter, Plan, PlanLimit, UsageReservation
from tests.billing.caps import cap
from tests.billing.usage import record
from tests.conftest import Api

pytestmark = pytest.mark.django_db
PLANS, METERS, ACCOUNTS = "/admin/billing/plan/", "/admin/billing/meter/", "/admin/billing/account/"
RESERVATIONS = "/admin/billing/usagereservation/"


def line(meter: str, allowance: str, quantity: str = "", *, per: str = "period", kind: str = "hard") -> dict[str, str]:
    pk = str(Meter.objects.get(slug=meter).pk)
    return {"meter": pk, "per": per, "allowance": allowance, "quantity": quantity, "kind": kind}


def inline(prefix: str, *lines: dict[str, str], stored: int = 0) -> dict[str, str]:
    form = {f"{prefix}-TOTAL_FORMS": str(len(lines)), f"{prefix}-INITIAL_FORMS": str(stored)}
    return form | {f"{prefix}-{n}-{name}": value for n, one in enumerate(lines) for name, value in one.items()}


def plan_form(**change: str) -> dict[str, str]:
    return {"name": "Team", "price_monthly": "49.5", "price_yearly": "495", "active": "on", "position": "15"} | change


def amounts(plan: Plan) -> dict[str, tuple[int | None, bool]]:
    return {limit.meter.slug: (limit.amount, limit.hard) for limit in plan.limits.select_related("meter")}


def test_a_plan_is_made_with_its_limits_in_words(operator: Client, now: datetime) -> None:
    rows = [
        line("monthly_cost", "an amount", "12.345678901"),
        line("video_calls", "not allowed"),
        line("openai_calls", "unlimited"),
        line("gemini_tokens", "an amount", "5000000000", kind="soft"),
    ]
    answer = operator.post(f"{PLANS}add/", plan_form(slug="team") | inline("limits", *rows))

    assert answer.status_code == 302
    plan = Plan.objects.get(slug="team")
    assert (plan.version, plan.price_monthly_nano, plan.price_yearly_nano) == (1, 49_500_000_000, 495_000_000_000)
    assert (plan.shipped, plan.created_at) == (False, now)
    assert amounts(plan) == {
        "monthly_cost": (12_345_678_901, True),
        "video_calls": (0, True),
        "openai_calls": (None, True),
        "gemini_tokens": (5_000_000_000, False),
    }
    page = operator.get(PLANS).content.decode()
    assert ("$12.345678901" in page, "1 unlimited, 1 not allowed, 1 capped" in page) == (True, True)


def change_of(plan: Plan, **change: str) -> dict[str, str]:
    """The form of a plan as its page shows it, with one change."""
    rows = []
    for limit in plan.limits.select_related("meter"):
        is_cost = limit.meter.unit == "cost"
        quantity = str(limit.amount // 10**9 if is_cost else limit.amount) if limit.amount else ""
        allowance = "unlimited" if limit.amount is None else "an amount" if limit.amount else "not allowed"
        rows.append({"id": str(limit.pk), **line(limit.meter.slug, allowance, quantity)})
    form = {
        "name": plan.name,
        "price_monthly": "0",
        "price_yearly": "0",
        "active": "on",
        "position": str(plan.position),
    }
    return form | inline("limits", *rows, stored=len(rows)) | change


def test_saving_a_plan_makes_its_next_version_and_keeps_the_old_one(operator: Client) -> None:
    old = Plan.objects.get(slug="free")
    before = amounts(old)
    (index,) = [n for n, limit in enumerate(old.limits.select_related("meter")) if limit.meter.slug == "video_calls"]

    answer = operator.post(f"{PLANS}{old.pk}/change/", change_of(old, **{f"limits-{index}-quantity": "3"}))
    assert answer.status_code == 302
    new = Plan.objects.get(slug="free", version=2)
    assert amounts(new) == before | {"video_calls": (3, True)}
    assert (amounts(old), Plan.objects.get(pk=old.pk).version) == (before, 1)
    assert operator.post(f"{PLANS}{old.pk}/change/", change_of(old, name="Changed")).status_code == 403
    assert Plan.objects.filter(slug="free").count() == 2


def test_a_line_that_is_taken_away_is_not_in_the_next_version(operator: Client) -> None:
    old = Plan.objects.get(slug="free")
    operator.post(f"{PLANS}{old.pk}/change/", change_of(old, **{"limits-0-DELETE": "on"}))

    new = Plan.objects.get(slug="free", version=2)
    assert (PlanLimit.objects.filter(plan=old).count(), PlanLimit.objects.filter(plan=new).count()) == (20, 19)


def test_saving_without_a_change_makes_no_version(operator: Client) -> None:
    plan = Plan.objects.get(slug="free")
    assert operator.post(f"{PLANS}{plan.pk}/change/", change_of(plan)).status_code == 302
    assert Plan.objects.filter(slug="free").count() == 1


@pytest.mark.parametrize(
    ("allowance", "quantity"),
    [
        ("an amount", ""),
        ("an amount", "0"),
        ("an amount", "1.5"),
        ("an amount", "-1"),
        ("unlimited", "5"),
        ("not allowed", "5"),
        ("an amount", "9000000000000000001"),
    ],
)
def test_a_limit_that_cannot_be_meant_is_refused(operator: Client, allowance: str, quantity: str) -> None:
    form = plan_form(slug="team") | inline("limits", line("video_calls", allowance, quantity))
    answer = operator.post(f"{PLANS}add/", form)

    (formset,) = answer.context["inline_admin_formsets"]
    assert list(formset.formset.errors[0]) == ["quantity"]
    assert not Plan.objects.filter(slug="team").exists()


def test_a_slug_that_is_taken_and_a_limit_given_twice_are_refused(operator: Client) -> None:
    twice = inline("limits", line("video_calls", "unlimited"), line("video_calls", "not allowed"))
    for form in (plan_form(slug="free") | inline("limits"), plan_form(slug="team") | twice):
        assert operator.post(f"{PLANS}add/", form).status_code == 200
    assert Plan.objects.count() == 4


def meter_form(**change: str) -> dict[str, str]:
    form = {"slug": "flux_calls", "label": "Flux", "scope": "actual", "values": "BFL\nfal", "unit": "calls"}
    return form | {"position": "500"} | change


def test_a_meter_is_made_and_is_in_force_at_once(operator: Client, account: Account, now: datetime) -> None:
    limits.standing(account, now)
    assert operator.post(f"{METERS}add/", meter_form()).status_code == 302

    assert Meter.objects.get(slug="flux_calls").values == ["bfl", "fal"]
    assert "flux_calls" in {one.limit.meter.slug for one in limits.standing(account, now)}
    assert "actual providers bfl, fal" in operator.get(METERS).content.decode()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"slug": "flux_calls_per_day"}, "slug"),
        ({"values": ""}, "values"),
        ({"scope": "all"}, "values"),
        ({"scope": "category"}, "values"),
        ({"slug": "Flux calls"}, "slug"),
        ({"slug": "video_calls"}, "slug"),
    ],
)
def test_a_meter_that_cannot_be_is_refused(operator: Client, change: dict[str, str], field: str) -> None:
    answer = operator.post(f"{METERS}add/", meter_form(**change))
    assert list(answer.context["adminform"].form.errors) == [field]
    assert Meter.objects.count() == 20


def test_an_override_counts_at_once(operator: Client, account: Account, now: datetime) -> None:
    limits.standing(account, now)
    rows = inline("limit_overrides", {**line("video_calls", "an amount", "7"), "reason": "a trial"})
    kept = {"timezone": "UTC", "anchor_day": "1"}
    form = {"name": "", "unpriced_policy": "", "active": "on"} | kept | inline("memberships") | rows

    assert operator.post(f"{ACCOUNTS}{account.pk}/change/", form).status_code == 302
    row = LimitOverride.objects.get()
    assert (row.account_id, row.amount, row.reason) == (account.pk, 7, "a trial")
    account.refresh_from_db()
    assert {one.limit.meter.slug: one.limit.amount for one in limits.standing(account, now)}["video_calls"] == 7


def test_an_override_says_why(operator: Client, account: Account) -> None:
    rows = inline("limit_overrides", {**line("video_calls", "unlimited"), "reason": ""})
    kept = {"timezone": "UTC", "anchor_day": "1"}
    form = {"name": "", "unpriced_policy": "", "active": "on"} | kept | inline("memberships") | rows
    assert operator.post(f"{ACCOUNTS}{account.pk}/change/", form).status_code == 200
    assert not LimitOverride.objects.exists()


def test_an_accounts_page_shows_its_meters(operator: Client, bound: Api, account: Account, now: datetime) -> None:
    cap({"monthly_cost": 2_000_000_000, "video_calls": 0})
    record(account, now, {"cost_usd": "0.5"})
    bound.post(
        "reservations/", {"reservation_id": "r1", "operations": [{"provider": "x", "estimate": {"cost_usd": "1"}}]}
    )

    page = operator.get(f"{ACCOUNTS}{account.pk}/change/")
    lines = page.context["meters"]
    told = {one.label: (one.used, one.reserved, one.cap, str(one.percent)) for one in lines}
    assert told["Monthly cost"] == (500_000_000, 1_000_000_000, "$2", "25.00")
    assert told["Video calls"] == (0, 0, "not allowed", "None")
    assert told["OpenAI calls"] == (1, 0, "unlimited", "None")
    assert '<td class="num"><span title="$0.5">$0.50</span></td>' in page.content.decode()


def test_reservations_are_looked_at_and_not_changed(operator: Client, bound: Api) -> None:
    bound.post("reservations/", {"reservation_id": "room-1", "operations": [{"provider": "gemini"}]})
    row = UsageReservation.objects.get()

    page = operator.get(RESERVATIONS).content.decode()
    assert "room-1" in page
    assert "1 operation, $0" in page
    assert operator.get(f"{RESERVATIONS}{row.pk}/change/").status_code == 200
    assert operator.get(f"{RESERVATIONS}add/").status_code == 403
    assert operator.post(f"{RESERVATIONS}{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_a_viewer_sees_and_changes_nothing(viewer: Client, account: Account) -> None:
    for path in (PLANS, METERS, RESERVATIONS, f"{ACCOUNTS}{account.pk}/change/"):
        assert viewer.get(path).status_code == 200
    plan: Any = Plan.objects.get(slug="free")
    assert viewer.post(f"{PLANS}{plan.pk}/change/", change_of(plan, name="Changed")).status_code == 403
    assert viewer.post(f"{METERS}add/", meter_form()).status_code == 403
    assert (Plan.objects.count(), Meter.objects.count()) == (4, 20)
