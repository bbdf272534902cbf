"""Prices in the admin: operators read and write USD; saving makes a new revision, so an old charge stays explained."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from lib import money
from providers import costing, price_edits
from providers.models import Price, PriceRate


class LinesField(forms.CharField):
    """A list of texts, one a line, in lower case."""

    widget = forms.Textarea(attrs={"rows": 3})

    def prepare_value(self, value: Any) -> Any:  # noqa: ANN401 - Django's own type
        return "\n".join(value) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:  # noqa: ANN401
        return bool(list(initial or []) != self.clean(data))

    def clean(self, value: Any) -> Any:  # noqa: ANN401
        lines = (line.strip().lower() for line in (super().clean(value) or "").splitlines())
        return list(dict.fromkeys(line for line in lines if line))


class PriceForm(forms.ModelForm):  # type: ignore[type-arg]  # cannot be subscripted at run time
    aliases = LinesField(required=False, help_text="Other ids of the same model at this provider, one a line.")

    class Meta:
        model = Price
        fields = ["provider", "pattern", "aliases", "category", "valid_from", "source"]

    def clean_pattern(self) -> str:
        return str(self.cleaned_data["pattern"]).strip().lower()

    def clean_aliases(self) -> list[str]:
        aliases: list[str] = self.cleaned_data["aliases"]
        if any("*" in alias for alias in aliases):
            raise forms.ValidationError("An alias is a whole id; a glob is a price of its own.")
        return aliases


class RateForm(forms.ModelForm):  # type: ignore[type-arg]
    unit = forms.ChoiceField(choices=[("", "---------"), *((unit, unit) for unit in costing.UNITS)])
    usd_per_million = forms.DecimalField(
        label="USD per million units", min_value=Decimal(0), max_digits=18, decimal_places=9
    )

    class Meta:
        model = PriceRate
        fields = ["unit", "variant", "above"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        if self.instance.nano_per_million is not None:
            self.initial["usd_per_million"] = Decimal(money.text(self.instance.nano_per_million))

    def clean_variant(self) -> str:
        """The conditions in one spelling, so that no rate stands twice."""
        conditions = sorted(costing.conditions(self.cleaned_data["variant"]))
        keys = [key for key, _ in conditions]
        if len(set(keys)) < len(keys) or not set(keys) <= set(costing.Variant._fields):
            raise forms.ValidationError(
                "Write resolution=…, quality=… or service_tier=…, each once, with commas between."
            )
        return ",".join(f"{key}={value}" for key, value in conditions)

    def clean_usd_per_million(self) -> Decimal:
        usd: Decimal = self.cleaned_data["usd_per_million"]
        self.instance.nano_per_million = money.nano(usd)
        return usd


class RateInline(admin.TabularInline):  # type: ignore[type-arg]
    model = PriceRate
    form = RateForm
    fields = ["unit", "variant", "above", "usd_per_million"]
    extra = 1


@admin.register(Price)
class PriceAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = PriceForm
    inlines = [RateInline]
    list_display = ["pattern", "provider", "category", "valid_from", "revision", "asked", "source"]
    list_filter = ["provider", "category"]
    list_select_related = ["provider"]
    search_fields = ["pattern"]
    readonly_fields = ["revision", "created_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Price]:
        return super().get_queryset(request).prefetch_related("rates")

    def get_readonly_fields(self, _request: HttpRequest, obj: Model | None = None) -> list[str]:
        """Another provider or model is another price, not a revision of this one."""
        return [*self.readonly_fields, *(["provider", "pattern"] if obj else [])]

    def has_delete_permission(self, *_args: object, **_kwargs: object) -> bool:
        """Logs point at prices for ever; a revision without rates takes a price out of force."""
        return False

    @admin.display(description="USD per million units")
    def asked(self, price: Price) -> str:
        rates = sorted(price.rates.all(), key=lambda rate: (rate.above, rate.variant, rate.unit))
        return ", ".join(_in_words(rate) for rate in rates)

    def save_model(self, request: HttpRequest, obj: Price, form: forms.ModelForm[Price], change: bool) -> None:
        """Nothing yet: a price is stored whole, with its rates."""

    def save_related(
        self,
        _request: HttpRequest,
        form: forms.ModelForm[Price],
        formsets: list[forms.BaseModelFormSet[Any, Any]],
        change: bool,
    ) -> None:
        """A new revision, unless nothing was changed."""
        (rates,) = formsets
        rates.save(commit=False)
        if change and not form.has_changed() and not rates.has_changed():
            return
        kept = [
            each for each in rates.forms if each not in rates.deleted_forms and (each.instance.pk or each.has_changed())
        ]
        price_edits.record(price=form.instance, rates=[each.instance for each in kept])


def _in_words(rate: PriceRate) -> str:
    """ "input_tokens 2.5 (above 200000)", as the changelist shows it."""
    limits = [rate.variant, f"above {rate.above}" if rate.above else ""]
    stated = ", ".join(limit for limit in limits if limit)
    return f"{rate.unit} {money.text(rate.nano_per_million)}" + (f" ({stated})" if stated else "")
