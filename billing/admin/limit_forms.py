"""Forms for the limits of a plan and of an account: unlimited, not allowed, or an amount."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.db.models import QuerySet
from django.http import HttpRequest

from billing.limits.limit_status import NOT_ALLOWED, UNLIMITED
from billing.models import LimitOverride, Meter, PlanLimit
from billing.models.rollups import MAX_NANO
from lib import money

AMOUNT = "an amount"
HARD = "hard"


class LimitForm(forms.ModelForm):  # type: ignore[type-arg]  # cannot be subscripted at run time
    """Edits a limit in words and USD; stores null (unlimited), 0 (not allowed) or the amount, costs in nano-USD."""

    allowance = forms.ChoiceField(choices=[(label, label) for label in (AMOUNT, UNLIMITED, NOT_ALLOWED)])
    quantity = forms.DecimalField(
        label="Amount",
        required=False,
        min_value=Decimal(0),
        max_digits=21,
        decimal_places=9,
        help_text="Calls or tokens; USD for a cost.",
    )
    kind = forms.ChoiceField(choices=[(HARD, "hard: refuses"), ("soft", "soft: only counts")])

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        if self.instance.pk is None:
            return
        amount: int | None = self.instance.amount
        self.initial["kind"] = HARD if self.instance.hard else "soft"
        self.initial["allowance"] = UNLIMITED if amount is None else AMOUNT if amount else NOT_ALLOWED
        if amount:
            is_cost = self.instance.meter.unit == Meter.Unit.COST
            self.initial["quantity"] = Decimal(money.exact_usd(amount)) if is_cost else Decimal(amount)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        meter, allowance = cleaned.get("meter"), cleaned.get("allowance")
        if meter is not None and allowance is not None and "quantity" in cleaned:
            self.instance.amount = self._amount(meter, allowance, cleaned["quantity"])
            self.instance.hard = cleaned.get("kind") == HARD
        return cleaned

    def _amount(self, meter: Meter, allowance: str, quantity: Decimal | None) -> int | None:
        if allowance != AMOUNT:
            if quantity:
                self.add_error("quantity", f"Leave the amount empty for “{allowance}”.")
            return None if allowance == UNLIMITED else 0
        is_cost = meter.unit == Meter.Unit.COST
        amount = (money.nano_from_usd(quantity) if is_cost else int(quantity)) if quantity else 0
        if not amount:
            self.add_error("quantity", "Enter an amount, or choose “not allowed”.")
        elif not is_cost and amount != quantity:
            self.add_error("quantity", "Enter a whole number of calls or tokens.")
        elif amount > MAX_NANO:
            self.add_error("quantity", "This amount is too large to count. Enter a smaller one, or choose “unlimited”.")
        return amount


class PlanLimitForm(LimitForm):
    class Meta:
        model = PlanLimit
        fields = ("meter", "per")


class OverrideForm(LimitForm):
    class Meta:
        model = LimitOverride
        fields = ("meter", "per", "expires_on", "reason")


class LimitInline(admin.TabularInline):  # type: ignore[type-arg]
    """Limits as table rows, without links to edit the meter."""

    extra = 0

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("meter")

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        formset = super().get_formset(request, obj, **kwargs)
        widget = formset.form.base_fields["meter"].widget if "meter" in formset.form.base_fields else None
        if isinstance(widget, RelatedFieldWidgetWrapper):
            widget.can_add_related = widget.can_change_related = widget.can_view_related = False
        return formset
