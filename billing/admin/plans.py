"""Plans with their limits, meters, and the room that is held. A plan is never edited: saving makes its next version."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from billing.admin.limit_forms import CapInline, PlanLimitForm
from billing.limits import reservations
from billing.limits.limit_status import FORBIDDEN, UNLIMITED, in_words
from billing.models import Category, Meter, Plan, PlanLimit, UsageReservation
from billing.plans import plans
from billing.plans.meters import MONTHLY_COST, PER_DAY
from lib import money
from lib.changelist import ReadOnlyAdmin
from providers.admin.prices import LinesField

CYCLES = ("monthly", "yearly")


class PlanForm(forms.ModelForm):  # type: ignore[type-arg]  # cannot be subscripted at run time
    price_monthly = forms.DecimalField(label="USD a month", min_value=Decimal(0), max_digits=18, decimal_places=9)
    price_yearly = forms.DecimalField(label="USD a year", min_value=Decimal(0), max_digits=18, decimal_places=9)

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
            raise forms.ValidationError("There is a plan with this slug: change that one.")
        return slug

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for cycle in CYCLES:
            if f"price_{cycle}" in cleaned:
                setattr(self.instance, f"price_{cycle}_nano", money.nano_from_usd(cleaned[f"price_{cycle}"]))
        return cleaned


class LimitInline(CapInline):
    model = PlanLimit
    form = PlanLimitForm
    fields = ("meter", "per", "allowance", "quantity", "kind")
    verbose_name_plural = "Limits; a meter without one is unlimited"


@admin.register(Plan)
class PlanAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = PlanForm
    inlines = (LimitInline,)
    list_display = ("name", "slug", "version", "state", "price_monthly", "price_yearly", "budget", "other_limits")
    list_filter = ("active",)
    actions = None
    sortable_by = ()

    def get_readonly_fields(self, request: HttpRequest, obj: Plan | None = None) -> tuple[str, ...]:
        """Another slug is another plan."""
        return ("slug", "version") if obj else ()

    def get_fields(self, request: HttpRequest, obj: Plan | None = None) -> tuple[str, ...]:
        version = ("version",) if obj else ()
        return ("slug", *version, "name", "price_monthly", "price_yearly", "active", "position")

    def has_change_permission(self, request: HttpRequest, obj: Plan | None = None) -> bool:
        """A version that has a next one stays as it was."""
        return super().has_change_permission(request, obj) and (obj is None or _is_latest(obj))

    def has_delete_permission(self, request: HttpRequest, obj: Plan | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Plan, form: Any, change: bool) -> None:  # noqa: ANN401
        """Nothing yet: a plan is stored whole, with its limits."""

    def save_related(self, request: HttpRequest, form: Any, formsets: list[Any], change: bool) -> None:  # noqa: ANN401
        """The next version, unless nothing was changed."""
        (lines,) = formsets
        lines.save(commit=False)
        if change and not form.has_changed() and not lines.has_changed():
            return
        kept = [
            each for each in lines.forms if each not in lines.deleted_forms and (each.instance.pk or each.has_changed())
        ]
        plans.supersede(plan=form.instance, limits=[each.instance for each in kept], at=timezone.now())

    @admin.display(description="State")
    def state(self, plan: Plan) -> str:
        if not _is_latest(plan):
            return "superseded"
        return "offered" if plan.active else "not offered"

    @admin.display(description="A month")
    def price_monthly(self, plan: Plan) -> str:
        return money.format_usd(plan.price_monthly_nano)

    @admin.display(description="A year")
    def price_yearly(self, plan: Plan) -> str:
        return money.format_usd(plan.price_yearly_nano)

    @admin.display(description="Budget")
    def budget(self, plan: Plan) -> str:
        return next((words for slug, words in _in_words(plan) if slug == MONTHLY_COST), UNLIMITED)

    @admin.display(description="Other limits")
    def other_limits(self, plan: Plan) -> str:
        """ "11 capped, 8 not allowed, 1 unlimited"; the plan's page has them one by one."""
        words = [
            words if words in (FORBIDDEN, UNLIMITED) else "capped"
            for slug, words in _in_words(plan)
            if slug != MONTHLY_COST
        ]
        return ", ".join(f"{count} {word}" for word, count in Counter(words).items()) or UNLIMITED


def _in_words(plan: Plan) -> list[tuple[str, str]]:
    return [(limit.meter.slug, in_words(limit)) for limit in plans.current().plans[plan.pk].limits]


def _is_latest(plan: Plan) -> bool:
    latest = plans.current().latest.get(plan.slug)
    return latest is not None and latest.id == plan.pk


class MeterForm(forms.ModelForm):  # type: ignore[type-arg]
    values = LinesField(required=False, help_text="Categories, or slugs of providers, one a line; none for everything.")

    class Meta:
        model = Meter
        fields = ("slug", "label", "scope", "values", "unit", "position")

    def clean_slug(self) -> str:
        """The key of another meter's daily limit must not become a meter's own."""
        slug: str = self.cleaned_data["slug"]
        if slug.endswith(PER_DAY):
            raise forms.ValidationError(f"A slug does not end in {PER_DAY}: so daily limits are named.")
        return slug

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        scope, values = cleaned.get("scope"), cleaned.get("values")
        if scope == Meter.Scope.ALL and values:
            self.add_error("values", "Everything needs no list.")
        elif scope and scope != Meter.Scope.ALL and not values:
            self.add_error("values", "Which ones?")
        elif scope == Meter.Scope.CATEGORY and not set(values or ()) <= set(Category.values):
            self.add_error("values", f"A category is one of {', '.join(Category.values)}.")
        return cleaned


@admin.register(Meter)
class MeterAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = MeterForm
    list_display = ("label", "slug", "unit", "counts", "position")
    actions = None

    def get_readonly_fields(self, request: HttpRequest, obj: Meter | None = None) -> tuple[str, ...]:
        """Clients read limits by the slug; amounts are in the unit."""
        return ("slug", "unit") if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: Meter | None = None) -> bool:
        return False

    @transaction.atomic
    def save_model(self, request: HttpRequest, obj: Meter, form: Any, change: bool) -> None:  # noqa: ANN401
        if change:
            obj.save(update_fields=form.changed_data)
        else:
            obj.save(force_insert=True)
        plans.changed()

    @admin.display(description="Counts")
    def counts(self, meter: Meter) -> str:
        return f"{meter.get_scope_display()} {', '.join(meter.values)}".strip()


@admin.register(UsageReservation)
class ReservationAdmin(ReadOnlyAdmin):
    empty_state = "No room is held. A call asks for it by POST reservations/, or metered_call does."
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
