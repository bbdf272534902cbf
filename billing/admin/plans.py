"""Admin pages of plans with their limits, meters and reservations. Saving a plan creates its next version."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from billing.admin.limit_forms import LimitInline, PlanLimitForm
from billing.limits import reservations
from billing.limits.limit_status import NOT_ALLOWED, UNLIMITED, describe_limit
from billing.models import Category, Meter, Plan, PlanLimit, UsageReservation
from billing.plans import plans
from billing.plans.meters import DAILY_SUFFIX, MONTHLY_COST
from lib import money
from lib.changelist import ReadOnlyAdmin
from lib.form_admin import FormAdmin
from providers.admin.prices import LinesField

CYCLES = ("monthly", "yearly")


class PlanForm(forms.ModelForm):  # type: ignore[type-arg]  # cannot be subscripted at run time
    price_monthly = forms.DecimalField(
        label="Price per month (USD)", min_value=Decimal(0), max_digits=18, decimal_places=9
    )
    price_yearly = forms.DecimalField(
        label="Price per year (USD)", min_value=Decimal(0), max_digits=18, decimal_places=9
    )

    class Meta:
        model = Plan
        fields = ("slug", "name", "price_monthly", "price_yearly", "active", "position")

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        for cycle in CYCLES if self.instance.pk else ():
            self.initial[f"price_{cycle}"] = Decimal(money.exact_usd(getattr(self.instance, f"price_{cycle}_nano")))

    def clean_slug(self) -> str:
        slug: str = self.cleaned_data["slug"]
        if Plan.objects.filter(slug=slug).exists():
            raise forms.ValidationError("A plan with this slug already exists. Edit that plan, or choose another slug.")
        return slug

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for cycle in CYCLES:
            if f"price_{cycle}" in cleaned:
                setattr(self.instance, f"price_{cycle}_nano", money.nano_from_usd(cleaned[f"price_{cycle}"]))
        return cleaned


class PlanLimitInline(LimitInline):
    model = PlanLimit
    form = PlanLimitForm
    fields = ("meter", "per", "allowance", "quantity", "kind")
    verbose_name_plural = "Limits (a meter without a limit is unlimited)"


@admin.register(Plan)
class PlanAdmin(FormAdmin):
    form = PlanForm
    inlines = (PlanLimitInline,)
    list_display = ("name", "slug", "version", "state", "price_monthly", "price_yearly", "budget", "other_limits")
    list_filter = ("active",)
    actions = None
    sortable_by = ()

    def get_readonly_fields(self, request: HttpRequest, obj: Plan | None = None) -> tuple[str, ...]:
        """The slug identifies the plan across versions."""
        return ("slug", "version") if obj else ()

    def get_fields(self, request: HttpRequest, obj: Plan | None = None) -> tuple[str, ...]:
        version = ("version",) if obj else ()
        return ("slug", *version, "name", "price_monthly", "price_yearly", "active", "position")

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Refuses a version that somebody else has stored since the form was opened, and stores nothing."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except IntegrityError:
            messages.error(request, "Somebody else saved this plan at the same time. Check it, then save again.")
            return redirect("admin:billing_plan_changelist")

    def has_change_permission(self, request: HttpRequest, obj: Plan | None = None) -> bool:
        """Only the latest version can be changed."""
        return super().has_change_permission(request, obj) and (obj is None or _is_latest(obj))

    def has_delete_permission(self, request: HttpRequest, obj: Plan | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Plan, form: Any, change: bool) -> None:  # noqa: ANN401
        """Does nothing: save_related stores the plan together with its limits."""

    def save_related(self, request: HttpRequest, form: Any, formsets: list[Any], change: bool) -> None:  # noqa: ANN401
        """Stores the next version if anything changed."""
        (formset,) = formsets
        formset.save(commit=False)
        if change and not form.has_changed() and not formset.has_changed():
            return
        limits = [
            limit_form.instance
            for limit_form in formset.forms
            if limit_form not in formset.deleted_forms and (limit_form.instance.pk or limit_form.has_changed())
        ]
        plans.supersede(plan=form.instance, limits=limits, at=timezone.now())

    @admin.display(description="State")
    def state(self, plan: Plan) -> str:
        if not _is_latest(plan):
            return "superseded"
        return "offered" if plan.active else "not offered"

    @admin.display(description="Per month")
    def price_monthly(self, plan: Plan) -> str:
        return money.format_usd(plan.price_monthly_nano)

    @admin.display(description="Per year")
    def price_yearly(self, plan: Plan) -> str:
        return money.format_usd(plan.price_yearly_nano)

    @admin.display(description="Budget")
    def budget(self, plan: Plan) -> str:
        return next((text for slug, text in _describe_limits(plan) if slug == MONTHLY_COST), UNLIMITED)

    @admin.display(description="Other limits")
    def other_limits(self, plan: Plan) -> str:
        """ "11 capped, 8 not allowed, 1 unlimited"; the plan's page lists them."""
        kinds = [
            text if text in (NOT_ALLOWED, UNLIMITED) else "capped"
            for slug, text in _describe_limits(plan)
            if slug != MONTHLY_COST
        ]
        return ", ".join(f"{count} {kind}" for kind, count in Counter(kinds).items()) or UNLIMITED


def _describe_limits(plan: Plan) -> list[tuple[str, str]]:
    return [(limit.meter.slug, describe_limit(limit)) for limit in plans.current().plans[plan.pk].limits]


def _is_latest(plan: Plan) -> bool:
    latest = plans.current().latest.get(plan.slug)
    return latest is not None and latest.id == plan.pk


class MeterForm(forms.ModelForm):  # type: ignore[type-arg]
    values = LinesField(
        required=False,
        help_text="Categories or provider slugs, one per line. Leave empty if the scope is “everything”.",
    )

    class Meta:
        model = Meter
        fields = ("slug", "label", "scope", "values", "unit", "position")

    def clean_slug(self) -> str:
        """Refuses a slug that would equal the key of another meter's daily limit."""
        slug: str = self.cleaned_data["slug"]
        if slug.endswith(DAILY_SUFFIX):
            raise forms.ValidationError(
                f"Choose a slug that does not end in {DAILY_SUFFIX}: daily limits use that ending."
            )
        return slug

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        scope, values = cleaned.get("scope"), cleaned.get("values")
        if scope == Meter.Scope.ALL and values:
            self.add_error("values", "Leave this empty: the scope counts everything.")
        elif scope and scope != Meter.Scope.ALL and not values:
            self.add_error("values", "Enter at least one category or provider slug.")
        elif scope == Meter.Scope.CATEGORY and not set(values or ()) <= set(Category.values):
            self.add_error("values", f"Use only these categories: {', '.join(Category.values)}.")
        return cleaned


@admin.register(Meter)
class MeterAdmin(FormAdmin):
    form = MeterForm
    list_display = ("label", "slug", "unit", "counts", "position")
    actions = None

    def get_readonly_fields(self, request: HttpRequest, obj: Meter | None = None) -> tuple[str, ...]:
        """Clients refer to a meter by its slug, and stored amounts are in its unit."""
        return ("slug", "unit") if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: Meter | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Meter, form: Any, change: bool) -> None:  # noqa: ANN401
        if change:
            obj.save(update_fields=form.changed_data)
        else:
            obj.save(force_insert=True)
        plans.invalidate()

    @admin.display(description="Counts")
    def counts(self, meter: Meter) -> str:
        return f"{meter.get_scope_display()} {', '.join(meter.values)}".strip()


@admin.register(UsageReservation)
class ReservationAdmin(ReadOnlyAdmin):
    empty_state = "No reservations yet. Calls reserve usage with POST reservations/ or metered_call."
    list_display = ("reservation_id", "account", "state_now", "over", "estimate", "created_at", "expires_at")
    list_filter = ("state",)
    list_select_related = ("account",)
    ordering = ("-id",)
    exclude = ("reservation_key", "digest")

    @admin.display(description="State")
    def state_now(self, reservation: UsageReservation) -> str:
        return reservations.state_at(reservation, timezone.now())

    @admin.display(description="Estimate")
    def estimate(self, reservation: UsageReservation) -> str:
        calls = sum(operation["allowed"] for operation in reservation.grant["operations"])
        return f"{calls} operation{'s' if calls != 1 else ''}, ${reservation.grant['estimated_cost_usd']}"
