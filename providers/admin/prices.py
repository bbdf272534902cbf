"""Prices in the admin: operators read and write USD; saving makes a new revision, so an old charge stays explained.

The list has one row a model, and a price's page tells the time line of its model.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme

from lib import csv_stream, money
from providers import costing, price_edits, price_history
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
            self.initial["usd_per_million"] = Decimal(money.exact_usd(self.instance.nano_per_million))

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
        self.instance.nano_per_million = money.nano_from_usd(usd)
        return usd


class RateInline(admin.TabularInline):  # type: ignore[type-arg]
    model = PriceRate
    form = RateForm
    fields = ["unit", "variant", "above", "usd_per_million"]

    def get_extra(self, request: HttpRequest, obj: Model | None = None, **_: object) -> int:
        return 1 + (0 if obj else len(_asked_for(request)))


class ShownFilter(admin.SimpleListFilter):
    """One row a model, unless every revision is asked for."""

    title = "date"
    parameter_name = "shown"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - Django's own
        return [("all", "Every date and revision")]

    def choices(self, changelist: Any) -> Iterator[Any]:  # noqa: ANN401
        for choice in super().choices(changelist):
            yield choice if choice["display"] == "Every date and revision" else choice | {"display": "In force today"}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Price]) -> QuerySet[Price]:
        return queryset if self.value() == "all" else price_history.standing(queryset, timezone.now().date())


CSV_COLUMNS = (
    *("provider", "model", "aliases", "category", "valid_from", "revision"),
    *("unit", "variant", "above", "usd_per_million", "source"),
)


@admin.register(Price)
class PriceAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = PriceForm
    inlines = [RateInline]
    list_display = ["pattern", "provider", "category", "since", "asked"]
    list_filter = [ShownFilter, ("provider", admin.RelatedOnlyFieldListFilter), "category"]
    list_select_related = ["provider"]
    search_fields = ["pattern"]  # shows the box; get_search_results looks at aliases too
    search_help_text = "A part of a model's id or of one of its aliases"
    readonly_fields = ["revision", "created_at"]
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    actions = None

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.export)
        return [path("export/", view, name="providers_price_export"), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Price]:
        return super().get_queryset(request).prefetch_related("rates")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Price], search_term: str
    ) -> tuple[QuerySet[Price], bool]:
        term = search_term.strip().lower()
        return queryset.filter(Q(pattern__contains=term) | Q(aliases__icontains=term)) if term else queryset, False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        query = request.GET.urlencode()
        export = reverse("admin:providers_price_export") + (f"?{query}" if query else "")
        return super().changelist_view(request, {**(extra_context or {}), "export_url": export})

    def export(self, request: HttpRequest) -> HttpResponseBase:
        """The prices that the page's filters show, one line a rate."""
        if not self.has_view_permission(request):
            return HttpResponse(status=403)
        found = self.get_changelist_instance(request).get_queryset(request)
        return csv_stream.response("prices.csv", CSV_COLUMNS, _csv_lines(found))

    def get_fields(self, _request: HttpRequest, obj: Model | None = None) -> list[Any]:
        asked = ["provider", "pattern", "aliases", "category", "valid_from", "source"]
        return [*asked, *(self.readonly_fields if obj else [])]

    def get_inlines(self, request: HttpRequest, obj: Model | None) -> list[Any]:
        """Who may only look reads the rates in the time line."""
        may_edit = self.has_change_permission(request) or self.has_add_permission(request)
        return [RateInline] if may_edit else []

    def get_readonly_fields(self, _request: HttpRequest, obj: Model | None = None) -> list[str]:
        """Another provider or model is another price, not a revision of this one."""
        return [*self.readonly_fields, *(["provider", "pattern"] if obj else [])]

    def has_delete_permission(self, *_args: object, **_kwargs: object) -> bool:
        """Logs point at prices for ever; a revision without rates takes a price out of force."""
        return False

    @admin.display(description="From")
    def since(self, price: Price) -> str:
        """The first day, and the day of the next price where one is known."""
        change = getattr(price, "changes_on", None)
        if price.valid_from > timezone.now().date():
            return format_html('{} <span class="declared">to come</span>', price.valid_from)
        if change:
            return format_html('{} <span class="declared">changes on {}</span>', price.valid_from, change)
        revision = f"revision {price.revision}" if price.revision > 1 else ""
        return format_html('{} <span class="declared">{}</span>', price.valid_from, revision)

    @admin.display(description="USD per million units")
    def asked(self, price: Price) -> str:
        return price_history.in_words(price)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        price = self.get_object(request, object_id)
        extra = _page(price) if isinstance(price, Price) else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **extra})

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """What the address asks for: fields by name, or another price of the model of the price `after`."""
        before = _price_before(request)
        if before is None:
            return super().get_changeform_initial_data(request)
        told = {name: getattr(before, name) for name in ("provider", "pattern", "aliases", "category")}
        return told | {"valid_from": timezone.now().date()}

    def get_formset_kwargs(self, request: HttpRequest, obj: Any, inline: Any, prefix: str) -> dict[str, Any]:  # noqa: ANN401
        """Rates to begin with: filled in, so that they are new to the form when it comes back."""
        kwargs = super().get_formset_kwargs(request, obj, inline, prefix)
        begun = [] if obj.pk or request.method == "POST" else _asked_for(request)
        return kwargs | ({"initial": begun} if begun else {})

    def response_add(self, request: HttpRequest, obj: Price, post_url_continue: str | None = None) -> HttpResponse:
        """Back to the page that asked for the price, if one of this site did (`next` in the address)."""
        answer = super().response_add(request, obj, post_url_continue)
        page = request.GET.get("next", "")
        ours = url_has_allowed_host_and_scheme(page, {request.get_host()}, require_https=request.is_secure())
        return HttpResponseRedirect(page) if ours and "_save" in request.POST else answer

    def response_change(self, request: HttpRequest, obj: Price) -> HttpResponse:
        """Editing goes on with the revision that was just made."""
        answer = super().response_change(request, obj)
        if "_continue" in request.POST:
            return HttpResponseRedirect(reverse("admin:providers_price_change", args=[obj.pk]))
        return answer

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


def _page(price: Price) -> dict[str, Any]:
    """What a price's page shows besides its form."""
    entries = price_history.of(price, timezone.now().date())
    of_the_day = [entry for entry in entries if entry.price.valid_from == price.valid_from]
    return {
        "title": f"{price.pattern} at {price.provider}",
        "subtitle": None,
        "time_line": entries,
        "newest": of_the_day[0].price,
        "next_revision": of_the_day[0].price.revision + 1,
    }


def _price_before(request: HttpRequest) -> Price | None:
    """The price that another one is to follow, where the address names it."""
    key = request.GET.get("after", "")
    return Price.objects.filter(pk=key).first() if key.isascii() and key.isdigit() and len(key) < 19 else None


def _asked_for(request: HttpRequest) -> list[dict[str, Any]]:
    """The rates that a new price's form begins with: those of the price before, or the `units` of the address."""
    before = _price_before(request)
    if before is None:
        units = request.GET.get("units", "").split(",")
        return [{"unit": unit} for unit in costing.UNITS if unit in units]
    return [
        {
            "unit": rate.unit,
            "variant": rate.variant,
            "above": rate.above,
            "usd_per_million": Decimal(money.exact_usd(rate.nano_per_million)),
        }
        for rate in before.rates.order_by("pk")
    ]


def _csv_lines(prices: QuerySet[Price]) -> Iterator[list[object]]:
    """A price that is out of force has one line without a rate."""
    for price in prices:
        named = (price.provider.slug, price.pattern, " ".join(price.aliases), price.category)
        rates = sorted(price.rates.all(), key=lambda rate: (rate.above, rate.variant, rate.unit))
        asked = [[rate.unit, rate.variant, rate.above, money.exact_usd(rate.nano_per_million)] for rate in rates]
        for rate in asked or [["", "", "", ""]]:
            yield [*named, price.valid_from, price.revision, *rate, price.source]
