"""Prices in the admin, in USD. Saving creates a new revision, so that old charges stay explained.

The list has one row per model; a price's page shows the price history of its model.
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
from lib.form_admin import FormAdmin
from providers import price_conditions, price_edits, price_history
from providers.models import Price, PriceRate
from providers.quantities import UNITS


class LinesField(forms.CharField):
    """A list of strings, one per line, in lower case, without duplicates."""

    widget = forms.Textarea(attrs={"rows": 3})

    def prepare_value(self, value: Any) -> Any:  # noqa: ANN401 - Django's own type
        return "\n".join(value) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:  # noqa: ANN401
        return bool(list(initial or []) != self.clean(data))

    def clean(self, value: Any) -> Any:  # noqa: ANN401
        lines = (line.strip().lower() for line in (super().clean(value) or "").splitlines())
        return list(dict.fromkeys(line for line in lines if line))


class KeysField(forms.MultipleChoiceField):
    """Conditions chosen by checkboxes, stored as a sorted list of their keys."""

    widget = forms.CheckboxSelectMultiple

    def clean(self, value: Any) -> list[str]:  # noqa: ANN401
        return sorted(super().clean(value))


EDITABLE = ("provider", "pattern", "aliases", "category", "valid_from", "source", "holds_for")


class PriceForm(forms.ModelForm):  # type: ignore[type-arg]  # cannot be subscripted at run time
    aliases = LinesField(required=False, help_text="Other ids of the same model at this provider, one per line.")
    holds_for = KeysField(
        label="Same price for every",
        required=False,
        choices=[(key, key.replace("_", " ")) for key in price_conditions.CHOSEN_KEYS],
        help_text=Price._meta.get_field("holds_for").help_text,
    )

    class Meta:
        model = Price
        fields = EDITABLE

    def clean_pattern(self) -> str:
        return str(self.cleaned_data["pattern"]).strip().lower()

    def clean_aliases(self) -> list[str]:
        aliases: list[str] = self.cleaned_data["aliases"]
        if any("*" in alias for alias in aliases):
            raise forms.ValidationError(
                "An alias must be a complete model id. For a pattern with *, add a separate price."
            )
        return aliases


class RateForm(forms.ModelForm):  # type: ignore[type-arg]
    unit = forms.ChoiceField(choices=[("", "---------"), *((unit, unit) for unit in UNITS)])
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
        """The conditions in canonical form, so that no rate is stored twice."""
        variant: str = self.cleaned_data["variant"]
        if problem := price_conditions.problem(variant):
            raise forms.ValidationError(problem)
        return ",".join(f"{key}={value}" for key, value in sorted(price_conditions.parse(variant)))

    def clean_usd_per_million(self) -> Decimal:
        usd: Decimal = self.cleaned_data["usd_per_million"]
        self.instance.nano_per_million = money.nano_from_usd(usd)
        return usd


class RateInline(admin.TabularInline):  # type: ignore[type-arg]
    model = PriceRate
    form = RateForm
    fields = ["unit", "variant", "above", "usd_per_million"]

    def get_extra(self, request: HttpRequest, obj: Model | None = None, **_: object) -> int:
        return 1 + (0 if obj else len(_initial_rates(request)))


class RevisionFilter(admin.SimpleListFilter):
    """Shows one row per model, or every date and revision."""

    title = "date"
    parameter_name = "shown"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - Django's own
        return [("all", "All dates and revisions")]

    def choices(self, changelist: Any) -> Iterator[Any]:  # noqa: ANN401
        for choice in super().choices(changelist):
            yield choice if choice["display"] == "All dates and revisions" else choice | {"display": "In force today"}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Price]) -> QuerySet[Price]:
        return queryset if self.value() == "all" else price_history.current_prices(queryset, timezone.now().date())


CSV_COLUMNS = (
    *("provider", "model", "aliases", "category", "valid_from", "revision"),
    *("unit", "variant", "above", "usd_per_million", "source", "holds_for"),
)


@admin.register(Price)
class PriceAdmin(FormAdmin):
    form = PriceForm
    inlines = [RateInline]
    list_display = ["pattern", "provider", "category", "since", "usd_rates"]
    list_filter = [RevisionFilter, ("provider", admin.RelatedOnlyFieldListFilter), "category"]
    list_select_related = ["provider"]
    search_fields = ["pattern"]  # shows the search box; get_search_results searches aliases too
    search_help_text = "Search by part of a model id or alias"
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
        """The filtered prices as CSV, one row per rate."""
        if not self.has_view_permission(request):
            return HttpResponse(status=403)
        prices = self.get_changelist_instance(request).get_queryset(request)
        return csv_stream.response("prices.csv", CSV_COLUMNS, _csv_rows(prices))

    def get_fields(self, _request: HttpRequest, obj: Model | None = None) -> list[Any]:
        return [*EDITABLE, *(self.readonly_fields if obj else [])]

    def get_inlines(self, request: HttpRequest, obj: Model | None) -> list[Any]:
        """Users without edit permission see the rates in the price history instead."""
        may_edit = self.has_change_permission(request) or self.has_add_permission(request)
        return [RateInline] if may_edit else []

    def get_readonly_fields(self, _request: HttpRequest, obj: Model | None = None) -> list[str]:
        """Provider and pattern identify the price across revisions."""
        return [*self.readonly_fields, *(["provider", "pattern"] if obj else [])]

    def has_delete_permission(self, *_args: object, **_kwargs: object) -> bool:
        """Logs refer to prices. To end a price, save a revision without rates."""
        return False

    @admin.display(description="From")
    def since(self, price: Price) -> str:
        """The first day, and the day of the next price if there is one."""
        changes_on = getattr(price, "changes_on", None)
        if price.valid_from > timezone.now().date():
            return format_html('{} <span class="declared">upcoming</span>', price.valid_from)
        if changes_on:
            return format_html('{} <span class="declared">changes on {}</span>', price.valid_from, changes_on)
        revision = f"revision {price.revision}" if price.revision > 1 else ""
        return format_html('{} <span class="declared">{}</span>', price.valid_from, revision)

    @admin.display(description="USD per million units")
    def usd_rates(self, price: Price) -> str:
        return price_history.describe(price)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        price = self.get_object(request, object_id)
        extra = _context(price) if isinstance(price, Price) else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **extra})

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Initial values from the query: fields by name, or those of the price whose id is `after`."""
        previous = _previous_price(request)
        if previous is None:
            return super().get_changeform_initial_data(request)
        initial = {
            name: getattr(previous, name) for name in ("provider", "pattern", "aliases", "category", "holds_for")
        }
        return initial | {"valid_from": timezone.now().date()}

    def get_formset_kwargs(self, request: HttpRequest, obj: Any, inline: Any, prefix: str) -> dict[str, Any]:  # noqa: ANN401
        """Initial rates of a new price; on POST they must count as new, so they are left out."""
        kwargs = super().get_formset_kwargs(request, obj, inline, prefix)
        rates = [] if obj.pk or request.method == "POST" else _initial_rates(request)
        return kwargs | ({"initial": rates} if rates else {})

    def response_add(self, request: HttpRequest, obj: Price, post_url_continue: str | None = None) -> HttpResponse:
        """Redirect to the `next` parameter if it is a URL of this site."""
        response = super().response_add(request, obj, post_url_continue)
        next_url = request.GET.get("next", "")
        is_safe = url_has_allowed_host_and_scheme(next_url, {request.get_host()}, require_https=request.is_secure())
        return HttpResponseRedirect(next_url) if is_safe and "_save" in request.POST else response

    def response_change(self, request: HttpRequest, obj: Price) -> HttpResponse:
        """“Save and continue editing” opens the new revision."""
        response = super().response_change(request, obj)
        if "_continue" in request.POST:
            return HttpResponseRedirect(reverse("admin:providers_price_change", args=[obj.pk]))
        return response

    def save_model(self, request: HttpRequest, obj: Price, form: forms.ModelForm[Price], change: bool) -> None:
        """Does nothing: save_related stores the price together with its rates."""

    def save_related(
        self,
        _request: HttpRequest,
        form: forms.ModelForm[Price],
        formsets: list[forms.BaseModelFormSet[Any, Any]],
        change: bool,
    ) -> None:
        """Stores a new revision if anything changed."""
        (formset,) = formsets
        formset.save(commit=False)
        if change and not form.has_changed() and not formset.has_changed():
            return
        rates = [
            rate_form.instance
            for rate_form in formset.forms
            if rate_form not in formset.deleted_forms and (rate_form.instance.pk or rate_form.has_changed())
        ]
        price_edits.add_revision(price=form.instance, rates=rates)


def _context(price: Price) -> dict[str, Any]:
    """The template context of a price's page besides its form."""
    entries = price_history.revisions(price, timezone.now().date())
    revisions = [entry for entry in entries if entry.price.valid_from == price.valid_from]
    return {
        "title": f"{price.pattern} at {price.provider}",
        "subtitle": None,
        "time_line": entries,
        "newest": revisions[0].price,
        "next_revision": revisions[0].price.revision + 1,
    }


def _previous_price(request: HttpRequest) -> Price | None:
    """The price whose id is the `after` parameter, if any."""
    key = request.GET.get("after", "")
    return Price.objects.filter(pk=key).first() if key.isascii() and key.isdigit() and len(key) < 19 else None


def _initial_rates(request: HttpRequest) -> list[dict[str, Any]]:
    """Initial rates of a new price: those of the previous price, or one for each unit in the `units` parameter."""
    previous = _previous_price(request)
    if previous is None:
        units = request.GET.get("units", "").split(",")
        return [{"unit": unit} for unit in UNITS if unit in units]
    return [
        {
            "unit": rate.unit,
            "variant": rate.variant,
            "above": rate.above,
            "usd_per_million": Decimal(money.exact_usd(rate.nano_per_million)),
        }
        for rate in previous.rates.order_by("pk")
    ]


def _csv_rows(prices: QuerySet[Price]) -> Iterator[list[object]]:
    """One row per rate; a price without rates has one row."""
    for price in prices:
        identity = (price.provider.slug, price.pattern, " ".join(price.aliases), price.category)
        rates = sorted(price.rates.all(), key=lambda rate: (rate.above, rate.variant, rate.unit))
        cells = [[rate.unit, rate.variant, rate.above, money.exact_usd(rate.nano_per_million)] for rate in rates]
        for rate_cells in cells or [["", "", "", ""]]:
            yield [*identity, price.valid_from, price.revision, *rate_cells, price.source, " ".join(price.holds_for)]
