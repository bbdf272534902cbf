"""Providers and detection rules in the admin, and the Try it box, which answers from the book in force."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path

from providers import price_book, rulebook
from providers.admin.prices import LinesField
from providers.detection import CATEGORIES, HOST, PATH, Call, label_key
from providers.models import DetectionRule, Provider

LONGEST_GLOB = 5  # stars; more are a mistake
WHAT_WOULD_CHANGE = "To see how many would be named otherwise: manage.py backfill_actual_providers --redetect --dry-run"


class TryForm(forms.Form):
    declared = forms.CharField(label="Declared provider", max_length=50, required=False)
    model = forms.CharField(max_length=200, required=False)
    endpoint = forms.CharField(max_length=2000, required=False)
    served_by = forms.CharField(label="Served by", max_length=100, required=False)

    def call(self) -> Call:
        asked = self.cleaned_data
        return Call(asked["declared"], asked["model"], asked["endpoint"], asked["served_by"])


class ProviderForm(forms.ModelForm):  # type: ignore[type-arg]  # cannot be subscripted at run time
    aliases = LinesField(required=False, help_text="Other names under which callers know it, one a line.")

    class Meta:
        model = Provider
        fields = ["slug", "name", "aliases", "is_gateway"]

    def clean_aliases(self) -> list[str]:
        """A name must lead to one provider."""
        aliases: list[str] = self.cleaned_data["aliases"]
        others = Provider.objects.exclude(pk=self.instance.pk)
        taken = {label_key(name): one for one in others for name in (one.slug, one.name, *one.aliases)}
        for alias in aliases:
            if label_key(alias) in taken:
                raise forms.ValidationError(f"{alias!r} is a name of {taken[label_key(alias)]} already.")
        return aliases


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]
    declared = LinesField(required=False, help_text="Declared labels that it is for, one a line; empty: all.")
    category = forms.ChoiceField(
        choices=[("", "---------"), *((name, name) for name in CATEGORIES)],
        required=False,
        help_text="Category of such a call, where the label does not tell.",
    )

    class Meta:
        model = DetectionRule
        fields = [
            *("slug", "evidence", "pattern", "declared", "provider", "ignore_host"),
            *("category", "order", "active", "note"),
        ]

    def clean_pattern(self) -> str:
        pattern = str(self.cleaned_data["pattern"]).strip().lower()
        if pattern.count("*") > LONGEST_GLOB:
            raise forms.ValidationError(f"A pattern has at most {LONGEST_GLOB} stars.")
        return pattern

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        evidence, pattern = cleaned.get("evidence"), cleaned.get("pattern", "")
        if evidence == HOST and any(sign in pattern for sign in "/:@ "):
            self.add_error("pattern", "The host alone, such as llm.acme.example: no scheme, port or path.")
        if evidence in (HOST, PATH) and not any(sign.isalnum() for sign in pattern):
            self.add_error("pattern", "A pattern without a letter or digit would fit everything.")
        if cleaned.get("provider") and cleaned.get("ignore_host"):
            self.add_error("ignore_host", "Either the rule names a provider, or it takes a host out of the evidence.")
        if not cleaned.get("provider") and not cleaned.get("ignore_host"):
            self.add_error("provider", "Name a provider, or mark the host as one to ignore.")
        return cleaned


class _BookAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """What stands in the rule book: every change is in force with each worker's next request."""

    def get_readonly_fields(self, _request: HttpRequest, obj: Model | None = None) -> list[str]:
        """Logs refer to the slug for ever."""
        return ["slug"] if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401 - Django's own type
        """A shipped row would come back with the next upgrade: rules can be switched off instead."""
        return super().has_delete_permission(request, obj) and not (obj and obj.shipped)

    def save_model(self, request: HttpRequest, obj: Model, form: forms.ModelForm[Any], change: bool) -> None:
        obj.save(update_fields=form.changed_data if change else None)
        _in_force(request)

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        obj.delete()
        _in_force(request)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        queryset.delete()
        _in_force(request)


def _in_force(request: HttpRequest) -> None:
    """Both books are read anew, and the operator is told what that does to stored logs: nothing, and how to see more."""
    rulebook.changed()
    price_book.changed()
    messages.info(request, f"Calls are named by it from now on; no stored log has changed. {WHAT_WOULD_CHANGE}")


@admin.register(Provider)
class ProviderAdmin(_BookAdmin):
    """Rules and prices both know a provider by its aliases."""

    form = ProviderForm
    list_display = ["name", "slug", "known_as", "is_gateway", "shipped"]
    list_filter = ["is_gateway", "shipped"]
    search_fields = ["name", "slug"]

    @admin.display(description="Aliases")
    def known_as(self, provider: Provider) -> str:
        return ", ".join(provider.aliases)


@admin.register(DetectionRule)
class DetectionRuleAdmin(_BookAdmin):
    form = RuleForm
    list_display = ["pattern", "evidence", "provider", "labels", "category", "order", "active", "shipped"]
    list_filter = ["evidence", "active", "shipped", "provider"]
    list_select_related = ["provider"]
    search_fields = ["slug", "pattern", "provider__slug"]

    @admin.display(description="For the labels")
    def labels(self, rule: DetectionRule) -> str:
        return ", ".join(rule.declared) or "all"

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.try_it)
        return [path("try/", view, name="providers_detectionrule_try"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"try_form": TryForm()} | (extra_context or {}))

    def try_it(self, request: HttpRequest) -> HttpResponse:
        """The answer for a call, and the rules that fit it among those that were considered."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = TryForm(request.GET or None)
        context = self.admin_site.each_context(request) | {"title": "Try it", "opts": self.opts, "try_form": form}
        if form.is_valid():
            context |= _answer(form.call())
        return TemplateResponse(request, "admin/providers/detectionrule/try.html", context)


def _answer(call: Call) -> dict[str, Any]:
    book = rulebook.current()
    considered = book.rules.considered(call)
    counts = Counter(rule.evidence for rule, _ in considered)
    found = book.detect(call)
    return {
        "found": found,
        "label": book.label(found.actual_provider),
        "fitting": [(rule, book.label(rule.provider or "")) for rule, fits in considered if fits],
        "considered": ", ".join(f"{count} by {evidence}" for evidence, count in counts.items()),
    }
