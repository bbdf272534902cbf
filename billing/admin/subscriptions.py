"""Subscriptions: who has which plan, with the whole history; begun, moved, cancelled and resumed by confirmed steps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html

from billing.accounts import accounts
from billing.admin import confirm
from billing.models import Account, Cycle, Subscription, SubscriptionEvent
from billing.plans import plans, subscriptions
from lib import changelist, money, periods

Status = Subscription.Status
BADGES = {Status.ACTIVE: "ok", Status.PAST_DUE: "warning", Status.SUSPENDED: "critical", Status.CANCELLED: "plain"}
MAY_CHANGE = "billing.change_subscription"
HISTORY = 200  # steps shown on a page


def offered() -> list[tuple[str, str]]:
    latest = plans.current().latest.values()
    return [
        (
            one.slug,
            f"{one.name} ({money.format_usd(one.price_monthly_nano)} / {money.format_usd(one.price_yearly_nano)})",
        )
        for one in latest
        if one.active
    ]


class PlanForm(forms.Form):
    plan = forms.ChoiceField(choices=offered, help_text="With its price for a month / for a year.")
    cycle = forms.ChoiceField(choices=Cycle.choices)


class BeginForm(PlanForm):
    account = forms.CharField(max_length=128, strip=False, help_text="The account's external id.")
    field_order = ("account", "plan", "cycle")

    def clean_account(self) -> Account:
        found = accounts.get(self.cleaned_data["account"])
        if found is None:
            raise forms.ValidationError("There is no such account.")
        return found


class ReasonForm(forms.Form):
    reason = forms.CharField(max_length=500, required=False, widget=forms.TextInput(attrs={"class": "vTextField"}))


class Step(NamedTuple):
    """What an operator may do with a subscription. `work` says what came of it."""

    label: str
    sentences: tuple[str, ...]
    form: type[forms.Form]
    work: Callable[[Account, str, dict[str, Any]], str]


@admin.register(Subscription)
class SubscriptionAdmin(changelist.ReadOnlyAdmin):
    empty_state = "Nobody has subscribed: every account is on the default plan."
    list_display = ("account", "plan_name", "cycle", "state", "running", "what_follows")
    list_filter = ("status", "cycle", "auto_renew")
    list_select_related = ("account", "plan", "pending_plan")
    search_fields = ("account__external_id__startswith",)
    change_form_template = "admin/billing/subscription/change_form.html"
    change_list_template = "admin/billing/subscription/change_list.html"

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("begin/", view(self.begin), name="billing_subscription_begin"),
            path("<int:account_id>/step/<slug:name>/", view(self.step), name="billing_subscription_step"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        extra = {"may_change": request.user.has_perm(MAY_CHANGE), "title": "Subscriptions"}
        return super().changelist_view(request, {**(extra_context or {}), **extra})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        one = self.get_object(request, object_id)
        extra = _page(one, may_change=request.user.has_perm(MAY_CHANGE)) if one else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **extra})

    def begin(self, request: HttpRequest) -> HttpResponse:
        _check(request)
        return confirm.confirm(
            request,
            title="Subscribe an account",
            sentences=(FIRST_FEE,),
            form=BeginForm,
            work=lambda values: _subscribed(values.pop("account"), request.user.get_username(), values),
            about="Subscriptions",
            back=reverse("admin:billing_subscription_changelist"),
        )

    def step(self, request: HttpRequest, account_id: int, name: str) -> HttpResponse:
        _check(request)
        account = Account.objects.filter(pk=account_id, subscription__isnull=False).first()
        if account is None or name not in STEPS:
            raise Http404
        step = STEPS[name]
        return confirm.confirm(
            request,
            title=step.label,
            sentences=step.sentences,
            form=step.form,
            work=partial(step.work, account, request.user.get_username()),
            about=f"Subscription of {account}",
            back=reverse("admin:billing_subscription_change", args=[account_id]),
        )

    @admin.display(description="Plan")
    def plan_name(self, one: Subscription) -> str:
        return str(one.plan)

    @admin.display(description="Status")
    def state(self, one: Subscription) -> str:
        return format_html('<span class="badge {}">{}</span>', BADGES[Status(one.status)], one.get_status_display())

    @admin.display(description="Cycle from, to")
    def running(self, one: Subscription) -> str:
        return f"{one.period_start} to {one.period_end - periods.DAY}"

    @admin.display(description="Then")
    def what_follows(self, one: Subscription) -> str:
        if one.status == Status.CANCELLED:
            return "ended"
        if one.pending_plan:
            return f"{one.pending_plan.name}, {one.pending_cycle}"
        return "renews" if one.auto_renew else "ends"


def _check(request: HttpRequest) -> None:
    if not request.user.has_perm(MAY_CHANGE):
        raise PermissionDenied


def _page(one: Subscription, *, may_change: bool) -> dict[str, Any]:
    events = SubscriptionEvent.objects.filter(account_id=one.account_id).select_related("plan", "next_plan")
    history = list(events.order_by("-id")[:HISTORY])
    return {
        "may_change": may_change,
        "badge": BADGES[Status(one.status)],
        "last_day": one.period_end - periods.DAY,
        "history": history,
        "fees": sum(event.fee_nano for event in history if event.period_start == one.period_start),
        "steps": [(name, STEPS[name].label) for name in _possible(one)],
        "title": "Subscription",
    }


def _possible(one: Subscription) -> list[str]:
    if one.status == Status.CANCELLED:
        return ["change-plan"]
    if one.pending_plan_id or not one.auto_renew:
        return ["change-plan", "resume", "end-now"]
    return ["change-plan", "cancel", "end-now"]


def _subscribed(account: Account, actor: str, values: dict[str, Any]) -> str:
    one, begun = subscriptions.subscribe(account, **values, actor=actor, at=timezone.now())
    if begun:
        return f"{account} is subscribed; {money.format_usd(one.fee_nano)} for this cycle."
    if one.pending_plan_id:
        return f"The change takes effect on {one.period_end}."
    return f"{account} has the plan now; {money.format_usd(one.fee_nano)} was asked for last."


def _cancelled(account: Account, actor: str, values: dict[str, Any]) -> str:
    one = subscriptions.cancel(account, actor=actor, at=timezone.now(), reason=values["reason"])
    return f"The subscription ends on {one.period_end}."


def _ended(account: Account, actor: str, values: dict[str, Any]) -> str:
    subscriptions.cancel(account, actor=actor, at=timezone.now(), at_once=True, reason=values["reason"])
    return "The subscription has ended; the account has the default plan."


def _resumed(account: Account, actor: str, _values: dict[str, Any]) -> str:
    one = subscriptions.resume(account, actor=actor, at=timezone.now())
    return f"The subscription goes on and renews on {one.period_end}."


FIRST_FEE = "The first fee is for the days that are left of the running usage period, today included, to the cent."
STEPS = {
    "change-plan": Step(
        "Change plan",
        (
            "A dearer plan, or a year instead of a month, counts at once.",
            "Its fee is for the days that are left of the cycle, less what was not used of the old plan.",
            "A cheaper plan or a shorter cycle counts from the next cycle on.",
        ),
        PlanForm,
        _subscribed,
    ),
    "cancel": Step(
        "Cancel",
        ("The subscription ends with its cycle, and the account has the default plan then. Nothing is paid back.",),
        ReasonForm,
        _cancelled,
    ),
    "end-now": Step(
        "End now",
        ("The account has the default plan from this moment on. Nothing is paid back; fees so far stay due.",),
        ReasonForm,
        _ended,
    ),
    "resume": Step("Resume", ("The planned end or change is taken back.",), forms.Form, _resumed),
}
