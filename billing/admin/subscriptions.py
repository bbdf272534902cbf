"""Subscriptions with their history: start, change, cancel, end and resume, each after a confirmation."""

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
CHANGE_PERMISSION = "billing.change_subscription"
MAX_EVENTS = 200  # shown on a page


def plan_choices() -> list[tuple[str, str]]:
    latest = plans.current().latest.values()
    return [
        (
            plan.slug,
            f"{plan.name} ({money.format_usd(plan.price_monthly_nano)} / {money.format_usd(plan.price_yearly_nano)})",
        )
        for plan in latest
        if plan.active
    ]


class PlanForm(forms.Form):
    plan = forms.ChoiceField(choices=plan_choices, help_text="Prices are per month / per year.")
    cycle = forms.ChoiceField(choices=Cycle.choices)


class SubscribeForm(PlanForm):
    account = forms.CharField(max_length=128, strip=False, help_text="The account's external id.")
    field_order = ("account", "plan", "cycle")

    def clean_account(self) -> Account:
        account = accounts.get(self.cleaned_data["account"])
        if account is None:
            raise forms.ValidationError("No account has this external id. Check the id.")
        return account


class ReasonForm(forms.Form):
    reason = forms.CharField(max_length=500, required=False, widget=forms.TextInput(attrs={"class": "vTextField"}))


class ConfirmedAction(NamedTuple):
    """An action on a subscription: its button, its confirmation page, and `run`, which returns a success message."""

    label: str
    sentences: tuple[str, ...]
    form_class: type[forms.Form]
    run: Callable[[Account, str, dict[str, Any]], str]


@admin.register(Subscription)
class SubscriptionAdmin(changelist.ReadOnlyAdmin):
    empty_state = (
        "No subscriptions yet: every account is on the default plan. Choose “Subscribe an account” to add one."
    )
    list_display = ("account", "plan_name", "cycle", "state", "cycle_dates", "next_step")
    list_filter = ("status", "cycle", "auto_renew")
    list_select_related = ("account", "plan", "pending_plan")
    search_fields = ("account__external_id__startswith",)
    change_form_template = "admin/billing/subscription/change_form.html"
    change_list_template = "admin/billing/subscription/change_list.html"

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("begin/", view(self.subscribe_account), name="billing_subscription_begin"),
            path("<int:account_id>/step/<slug:name>/", view(self.confirm_action), name="billing_subscription_step"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        extra = {"may_change": request.user.has_perm(CHANGE_PERMISSION), "title": "Subscriptions"}
        return super().changelist_view(request, {**(extra_context or {}), **extra})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        subscription = self.get_object(request, object_id)
        may_change = request.user.has_perm(CHANGE_PERMISSION)
        extra = _context(subscription, may_change=may_change) if subscription else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **extra})

    def subscribe_account(self, request: HttpRequest) -> HttpResponse:
        _check(request)
        return confirm.confirm(
            request,
            title="Subscribe an account",
            sentences=(FIRST_FEE_SENTENCE,),
            form_class=SubscribeForm,
            action=lambda values: _subscribe(values.pop("account"), request.user.get_username(), values),
            parent_title="Subscriptions",
            back_url=reverse("admin:billing_subscription_changelist"),
        )

    def confirm_action(self, request: HttpRequest, account_id: int, name: str) -> HttpResponse:
        _check(request)
        account = Account.objects.filter(pk=account_id, subscription__isnull=False).first()
        if account is None or name not in ACTIONS:
            raise Http404
        action = ACTIONS[name]
        return confirm.confirm(
            request,
            title=action.label,
            sentences=action.sentences,
            form_class=action.form_class,
            action=partial(action.run, account, request.user.get_username()),
            parent_title=f"Subscription of {account}",
            back_url=reverse("admin:billing_subscription_change", args=[account_id]),
        )

    @admin.display(description="Plan")
    def plan_name(self, subscription: Subscription) -> str:
        return str(subscription.plan)

    @admin.display(description="Status")
    def state(self, subscription: Subscription) -> str:
        return format_html(
            '<span class="badge {}">{}</span>', BADGES[Status(subscription.status)], subscription.get_status_display()
        )

    @admin.display(description="Cycle dates")
    def cycle_dates(self, subscription: Subscription) -> str:
        return f"{subscription.period_start} to {subscription.period_end - periods.DAY}"

    @admin.display(description="Next")
    def next_step(self, subscription: Subscription) -> str:
        if subscription.status == Status.CANCELLED:
            return "ended"
        if subscription.pending_plan:
            return f"changes to {subscription.pending_plan.name}, {subscription.pending_cycle}"
        return "renews" if subscription.auto_renew else "ends"


def _check(request: HttpRequest) -> None:
    if not request.user.has_perm(CHANGE_PERMISSION):
        raise PermissionDenied


def _context(subscription: Subscription, *, may_change: bool) -> dict[str, Any]:
    events = SubscriptionEvent.objects.filter(account_id=subscription.account_id).select_related("plan", "next_plan")
    history = list(events.order_by("-id")[:MAX_EVENTS])
    return {
        "may_change": may_change,
        "badge": BADGES[Status(subscription.status)],
        "last_day": subscription.period_end - periods.DAY,
        "history": history,
        "fees": sum(event.fee_nano for event in history if event.period_start == subscription.period_start),
        "actions": [(name, ACTIONS[name].label) for name in _allowed_actions(subscription)],
        "title": "Subscription",
    }


def _allowed_actions(subscription: Subscription) -> list[str]:
    if subscription.status == Status.CANCELLED:
        return ["change-plan"]
    if subscription.pending_plan_id or not subscription.auto_renew:
        return ["change-plan", "resume", "end-now"]
    return ["change-plan", "cancel", "end-now"]


def _subscribe(account: Account, actor: str, values: dict[str, Any]) -> str:
    subscription, created = subscriptions.subscribe(account, **values, actor=actor, at=timezone.now())
    fee = money.format_usd(subscription.fee_nano)
    if created:
        return f"{account} is subscribed. Fee for this cycle: {fee}."
    if subscription.pending_plan_id:
        return f"The change takes effect on {subscription.period_end}."
    return f"{account} is on this plan now. Latest fee: {fee}."


def _cancel(account: Account, actor: str, values: dict[str, Any]) -> str:
    subscription = subscriptions.cancel(account, actor=actor, at=timezone.now(), reason=values["reason"])
    return f"The subscription ends on {subscription.period_end}."


def _end_now(account: Account, actor: str, values: dict[str, Any]) -> str:
    subscriptions.cancel(account, actor=actor, at=timezone.now(), immediately=True, reason=values["reason"])
    return "The subscription has ended. The account is on the default plan."


def _resume(account: Account, actor: str, _values: dict[str, Any]) -> str:
    subscription = subscriptions.resume(account, actor=actor, at=timezone.now())
    return f"The subscription continues and renews on {subscription.period_end}."


FIRST_FEE_SENTENCE = (
    "The first fee covers the days left in the current usage period, including today, rounded to the cent. "
    "Days that are already paid are credited."
)
ACTIONS = {
    "change-plan": ConfirmedAction(
        "Change plan",
        (
            "Upgrades and monthly-to-yearly changes take effect immediately.",
            "Their fee covers the days left in the cycle, minus the unused part of the old plan's fee.",
            "Downgrades and yearly-to-monthly changes take effect with the next cycle.",
        ),
        PlanForm,
        _subscribe,
    ),
    "cancel": ConfirmedAction(
        "Cancel subscription",
        (
            "The subscription ends with its current cycle. The account then moves to the default plan. Nothing is refunded.",
        ),
        ReasonForm,
        _cancel,
    ),
    "end-now": ConfirmedAction(
        "End subscription now",
        (
            "The account moves to the default plan immediately. Nothing is refunded, and fees charged so far stay due.",
            "If the account subscribes again, days that are already paid are credited.",
        ),
        ReasonForm,
        _end_now,
    ),
    "resume": ConfirmedAction(
        "Resume subscription", ("The planned cancellation or plan change is dropped.",), forms.Form, _resume
    ),
}
