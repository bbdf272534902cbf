"""Plans, meters, overrides and reservations in the admin: limits are entered in words, and a plan gets versions, not edits."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from billing.limits import limits
from billing.models import Account, LimitOverride, Meter, Plan, PlanLimit, UsageReservation
from tests.billing.plan_limits import set_limits
from tests.billing.usage import record
from tests.conftest import Api

pytestmark = pytest.mark.django_db
PLANS, METERS, ACCOUNTS = "/admin/billing/plan/", "/admin/billing/meter/", "/admin/billing/account/"
RESERVATIONS = "/admin/billing/usagereservation/"


def limit_row(
    meter: str, allowance: str, quantity: str = "", *, per: str = "period", kind: str = "hard"
) -> dict[str, str]:
    pk = str(Meter.objects.get(slug=meter).pk)
    return {"meter": pk, "per": per, "allowance": allowance, "quantity": quantity, "kind": kind}


def inline_form(prefix: str, *rows: dict[str, str], stored: int = 0) -> dict[str, str]:
    form = {f"{prefix}-TOTAL_FORMS": str(len(rows)), f"{prefix}-INITIAL_FORMS": str(stored)}
    return form | {f"{prefix}-{index}-{name}": value for index, row in enumerate(rows) for name, value in row.items()}


def plan_form(**changes: str) -> dict[str, str]:
    return {"name": "Team", "price_monthly": "49.5", "price_yearly": "495", "active": "on", "position": "15"} | changes


def limit_amounts(plan: Plan) -> dict[str, tuple[int | None, bool]]:
    return {limit.meter.slug: (limit.amount, limit.hard) for limit in plan.limits.select_related("meter")}


def test_a_plan_is_created_with_limits_in_words(operator: Client, now: datetime) -> None:
    rows = [
        limit_row("monthly_cost", "an amount", "12.345678901"),
        limit_row("video_calls", "not allowed"),
        limit_row("openai_calls", "unlimited"),
        limit_row("gemini_tokens", "an amount", "5000000000", kind="soft"),
    ]
    response = operator.post(f"{PLANS}add/", plan_form(slug="team") | inline_form("limits", *rows))

    assert response.status_code == 302
    plan = Plan.objects.get(slug="team")
    assert (plan.version, plan.price_monthly_nano, plan.price_yearly_nano) == (1, 49_500_000_000, 495_000_000_000)
    assert (plan.shipped, plan.created_at) == (False, now)
    assert limit_amounts(plan) == {
        "monthly_cost": (12_345_678_901, True),
        "video_calls": (0, True),
        "openai_calls": (None, True),
        "gemini_tokens": (5_000_000_000, False),
    }
    page = operator.get(PLANS).content.decode()
    assert ("$12.345678901" in page, "1 unlimited, 1 not allowed, 1 capped" in page) == (True, True)


def change_form(plan: Plan, **changes: str) -> dict[str, str]:
    """The form data of a plan's page, with changes."""
    rows = []
    for limit in plan.limits.select_related("meter"):
        is_cost = limit.meter.unit == "cost"
        quantity = str(limit.amount // 10**9 if is_cost else limit.amount) if limit.amount else ""
        allowance = "unlimited" if limit.amount is None else "an amount" if limit.amount else "not allowed"
        rows.append({"id": str(limit.pk), **limit_row(limit.meter.slug, allowance, quantity)})
    form = {
        "name": plan.name,
        "price_monthly": "0",
        "price_yearly": "0",
        "active": "on",
        "position": str(plan.position),
    }
    return form | inline_form("limits", *rows, stored=len(rows)) | changes


def test_saving_a_plan_creates_the_next_version_and_keeps_the_old_one(operator: Client) -> None:
    old = Plan.objects.get(slug="free")
    before = limit_amounts(old)
    (index,) = [
        index for index, limit in enumerate(old.limits.select_related("meter")) if limit.meter.slug == "video_calls"
    ]

    response = operator.post(f"{PLANS}{old.pk}/change/", change_form(old, **{f"limits-{index}-quantity": "3"}))
    assert response.status_code == 302
    new = Plan.objects.get(slug="free", version=2)
    assert limit_amounts(new) == before | {"video_calls": (3, True)}
    assert (limit_amounts(old), Plan.objects.get(pk=old.pk).version) == (before, 1)
    assert operator.post(f"{PLANS}{old.pk}/change/", change_form(old, name="Changed")).status_code == 403
    assert Plan.objects.filter(slug="free").count() == 2


def test_a_removed_limit_is_not_in_the_next_version(operator: Client) -> None:
    old = Plan.objects.get(slug="free")
    operator.post(f"{PLANS}{old.pk}/change/", change_form(old, **{"limits-0-DELETE": "on"}))

    new = Plan.objects.get(slug="free", version=2)
    assert (PlanLimit.objects.filter(plan=old).count(), PlanLimit.objects.filter(plan=new).count()) == (20, 19)


def test_saving_without_a_change_creates_no_version(operator: Client) -> None:
    plan = Plan.objects.get(slug="free")
    assert operator.post(f"{PLANS}{plan.pk}/change/", change_form(plan)).status_code == 302
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
def test_an_invalid_limit_is_refused(operator: Client, allowance: str, quantity: str) -> None:
    form = plan_form(slug="team") | inline_form("limits", limit_row("video_calls", allowance, quantity))
    response = operator.post(f"{PLANS}add/", form)

    (formset,) = response.context["inline_admin_formsets"]
    assert list(formset.formset.errors[0]) == ["quantity"]
    assert not Plan.objects.filter(slug="team").exists()


def test_a_duplicate_slug_and_a_duplicate_limit_are_refused(operator: Client) -> None:
    duplicate = inline_form("limits", limit_row("video_calls", "unlimited"), limit_row("video_calls", "not allowed"))
    for form in (plan_form(slug="free") | inline_form("limits"), plan_form(slug="team") | duplicate):
        assert operator.post(f"{PLANS}add/", form).status_code == 200
    assert Plan.objects.count() == 4


def meter_form(**changes: str) -> dict[str, str]:
    form = {"slug": "flux_calls", "label": "Flux", "scope": "actual", "values": "BFL\nfal", "unit": "calls"}
    return form | {"position": "500"} | changes


def test_a_new_meter_takes_effect_immediately(operator: Client, account: Account, now: datetime) -> None:
    limits.statuses(account, now)
    assert operator.post(f"{METERS}add/", meter_form()).status_code == 302

    assert Meter.objects.get(slug="flux_calls").values == ["bfl", "fal"]
    assert "flux_calls" in {status.limit.meter.slug for status in limits.statuses(account, now)}
    assert "actual providers bfl, fal" in operator.get(METERS).content.decode()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"slug": "flux_calls_per_day"}, "slug"),
        ({"values": ""}, "values"),
        ({"scope": "all"}, "values"),
        ({"scope": "category"}, "values"),
        ({"slug": "Flux calls"}, "slug"),
        ({"slug": "video_calls"}, "slug"),
    ],
)
def test_an_invalid_meter_is_refused(operator: Client, changes: dict[str, str], field: str) -> None:
    response = operator.post(f"{METERS}add/", meter_form(**changes))
    assert list(response.context["adminform"].form.errors) == [field]
    assert Meter.objects.count() == 20


def test_an_override_takes_effect_immediately(operator: Client, account: Account, now: datetime) -> None:
    limits.statuses(account, now)
    rows = inline_form("limit_overrides", {**limit_row("video_calls", "an amount", "7"), "reason": "a trial"})
    schedule = {"timezone": "UTC", "anchor_day": "1"}
    form = {"name": "", "unpriced_policy": "", "active": "on"} | schedule | inline_form("memberships") | rows

    assert operator.post(f"{ACCOUNTS}{account.pk}/change/", form).status_code == 302
    override = LimitOverride.objects.get()
    assert (override.account_id, override.amount, override.reason) == (account.pk, 7, "a trial")
    account.refresh_from_db()
    assert {status.limit.meter.slug: status.limit.amount for status in limits.statuses(account, now)}[
        "video_calls"
    ] == 7


def test_an_override_needs_a_reason(operator: Client, account: Account) -> None:
    rows = inline_form("limit_overrides", {**limit_row("video_calls", "unlimited"), "reason": ""})
    schedule = {"timezone": "UTC", "anchor_day": "1"}
    form = {"name": "", "unpriced_policy": "", "active": "on"} | schedule | inline_form("memberships") | rows
    assert operator.post(f"{ACCOUNTS}{account.pk}/change/", form).status_code == 200
    assert not LimitOverride.objects.exists()


def test_an_account_page_shows_its_meters(operator: Client, bound: Api, account: Account, now: datetime) -> None:
    set_limits({"monthly_cost": 2_000_000_000, "video_calls": 0})
    record(account, now, {"cost_usd": "0.5"})
    bound.post(
        "reservations/", {"reservation_id": "r1", "operations": [{"provider": "x", "estimate": {"cost_usd": "1"}}]}
    )

    page = operator.get(f"{ACCOUNTS}{account.pk}/change/")
    meters = page.context["meters"]
    figures = {meter.label: (meter.used, meter.reserved, meter.cap, str(meter.percent)) for meter in meters}
    assert figures["Monthly cost"] == (500_000_000, 1_000_000_000, "$2", "25.00")
    assert figures["Video calls"] == (0, 0, "not allowed", "None")
    assert figures["OpenAI calls"] == (1, 0, "unlimited", "None")
    assert '<td class="num"><span title="$0.5">$0.50</span></td>' in page.content.decode()


def test_reservations_can_be_viewed_but_not_changed(operator: Client, bound: Api) -> None:
    bound.post("reservations/", {"reservation_id": "hold-1", "operations": [{"provider": "gemini"}]})
    reservation = UsageReservation.objects.get()

    page = operator.get(RESERVATIONS).content.decode()
    assert "hold-1" in page
    assert "1 operation, $0" in page
    assert operator.get(f"{RESERVATIONS}{reservation.pk}/change/").status_code == 200
    assert operator.get(f"{RESERVATIONS}add/").status_code == 403
    assert operator.post(f"{RESERVATIONS}{reservation.pk}/delete/", {"post": "yes"}).status_code == 403


def test_a_viewer_sees_the_pages_but_changes_nothing(viewer: Client, account: Account) -> None:
    for path in (PLANS, METERS, RESERVATIONS, f"{ACCOUNTS}{account.pk}/change/"):
        assert viewer.get(path).status_code == 200
    plan: Any = Plan.objects.get(slug="free")
    assert viewer.post(f"{PLANS}{plan.pk}/change/", change_form(plan, name="Changed")).status_code == 403
    assert viewer.post(f"{METERS}add/", meter_form()).status_code == 403
    assert (Plan.objects.count(), Meter.objects.count()) == (4, 20)


@pytest.mark.parametrize("page", ["add/", "change/"])
def test_saving_one_plan_twice_at_once_stores_one_version(
    operator: Client, monkeypatch: pytest.MonkeyPatch, page: str, now: datetime
) -> None:
    """The other operator's version is committed after this one has read the newest version."""
    plan = Plan.objects.get(slug="basic")
    slug, version = ("team", 1) if page == "add/" else ("basic", 2)
    path, form = (page, plan_form(slug=slug)) if page == "add/" else (f"{plan.pk}/change/", plan_form())
    save = Plan.save

    def save_after_the_other(self: Plan, *args: Any, **options: Any) -> None:
        Plan.objects.bulk_create([Plan(slug=slug, version=version, name="Theirs", created_at=now)])
        save(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Plan, "save", save_after_the_other)
        response = operator.post(PLANS + path, form | inline_form("limits"), follow=True)

    assert response.status_code == 200
    assert "Somebody else saved this plan at the same time. Check it, then save again." in response.content.decode()
    assert not Plan.objects.filter(name="Team").exists()
    assert not LogEntry.objects.exists()
