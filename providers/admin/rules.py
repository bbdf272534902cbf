"""Providers and detection rules in the admin, and the “Try it” form, which uses the current rules."""

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

from lib.form_admin import FormAdmin
from providers import attribution, price_book, rulebook
from providers.admin.prices import LinesField
from providers.detection import CATEGORIES, HOST, PATH, Call, label_key
from providers.models import DetectionRule, Provider

MAX_STARS = 5  # in a glob
REDETECT_HINT = "To see how many would change, run manage.py backfill_actual_providers --redetect --dry-run"


class TryForm(forms.Form):
    declared = forms.CharField(label="Declared provider", max_length=50, required=False)
    model = forms.CharField(max_length=200, required=False)
    endpoint = forms.CharField(max_length=2000, required=False)
    served_by = forms.CharField(label="Served by", max_length=100, required=False)

    def call(self) -> Call:
        data = self.cleaned_data
        return Call(data["declared"], data["model"], data["endpoint"], data["served_by"])


class ProviderForm(forms.ModelForm):  # type: ignore[type-arg]  # cannot be subscripted at run time
    aliases = LinesField(required=False, help_text="Other names that callers use for this provider, one per line.")

    class Meta:
        model = Provider
        fields = ["slug", "name", "aliases", "is_gateway"]

    def clean_aliases(self) -> list[str]:
        """Refuses an alias that is a name of another provider."""
        aliases: list[str] = self.cleaned_data["aliases"]
        others = Provider.objects.exclude(pk=self.instance.pk)
        taken = {
            label_key(name): provider
            for provider in others
            for name in (provider.slug, provider.name, *provider.aliases)
        }
        for alias in aliases:
            if label_key(alias) in taken:
                raise forms.ValidationError(
                    f"{alias!r} already belongs to {taken[label_key(alias)]}. Remove it here or there."
                )
        return aliases


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]
    declared = LinesField(
        required=False, help_text="Declared labels that the rule applies to, one per line. Leave empty for all."
    )
    category = forms.ChoiceField(
        choices=[("", "---------"), *((name, name) for name in CATEGORIES)],
        required=False,
        help_text="Category of the call if its label does not give one.",
    )

    class Meta:
        model = DetectionRule
        fields = [
            *("slug", "evidence", "pattern", "declared", "provider", "ignore_host"),
            *("category", "order", "active", "note"),
        ]

    def clean_pattern(self) -> str:
        pattern = str(self.cleaned_data["pattern"]).strip().lower()
        if pattern.count("*") > MAX_STARS:
            raise forms.ValidationError(f"Use at most {MAX_STARS} stars (*) in a pattern.")
        return pattern

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        evidence, pattern = cleaned.get("evidence"), cleaned.get("pattern", "")
        if evidence == HOST and any(sign in pattern for sign in "/:@ "):
            self.add_error("pattern", "Enter only the host, such as llm.acme.example, without scheme, port or path.")
        if evidence in (HOST, PATH) and not any(sign.isalnum() for sign in pattern):
            self.add_error("pattern", "Enter at least one letter or digit: this pattern would match everything.")
        if cleaned.get("provider") and cleaned.get("ignore_host"):
            self.add_error("ignore_host", "Choose a provider or tick “Ignore host”, not both.")
        if not cleaned.get("provider") and not cleaned.get("ignore_host"):
            self.add_error("provider", "Choose a provider, or tick “Ignore host”.")
        return cleaned


class _RulebookAdmin(FormAdmin):
    """Base of the rulebook's admins: a change applies from each worker's next request on."""

    def get_readonly_fields(self, _request: HttpRequest, obj: Model | None = None) -> list[str]:
        """Logs refer to the slug."""
        return ["slug"] if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401 - Django's own type
        """A shipped row cannot be deleted: the next upgrade would restore it. Rules can be deactivated."""
        return super().has_delete_permission(request, obj) and not (obj and obj.shipped)

    def save_model(self, request: HttpRequest, obj: Model, form: forms.ModelForm[Any], change: bool) -> None:
        changed = list(form.changed_data)
        if isinstance(obj, DetectionRule) and obj.proposed and obj.active:
            obj.proposed = False
            changed.append("proposed")
        obj.save(update_fields=changed if change else None)
        _apply_change(request)

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        obj.delete()
        _apply_change(request)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        queryset.delete()
        _apply_change(request)


def _apply_change(request: HttpRequest) -> None:
    """Reload rules and prices everywhere, and tell the operator that stored logs are unchanged."""
    rulebook.invalidate()
    price_book.invalidate()
    messages.info(request, f"The change applies to new calls. Stored logs are unchanged. {REDETECT_HINT}")


@admin.register(Provider)
class ProviderAdmin(_RulebookAdmin):
    """Detection rules and prices both use a provider's aliases."""

    form = ProviderForm
    list_display = ["name", "slug", "known_as", "is_gateway", "shipped"]
    list_filter = ["is_gateway", "shipped"]
    search_fields = ["name", "slug"]

    @admin.display(description="Aliases")
    def known_as(self, provider: Provider) -> str:
        return ", ".join(provider.aliases)


@admin.register(DetectionRule)
class DetectionRuleAdmin(_RulebookAdmin):
    form = RuleForm
    list_display = ["pattern", "evidence", "provider", "labels", "category", "order", "active", "shipped"]
    list_filter = ["proposed", "evidence", "active", "shipped", "provider"]
    list_select_related = ["provider"]
    search_fields = ["slug", "pattern", "provider__slug"]
    actions = ["accept_proposed", "reject_proposed"]

    @admin.action(description="Accept selected proposed rules", permissions=["change"])
    def accept_proposed(self, request: HttpRequest, queryset: QuerySet[DetectionRule]) -> None:
        if self._decide(request, queryset, active=True):
            _apply_change(request)

    @admin.action(description="Reject selected proposed rules", permissions=["change"])
    def reject_proposed(self, request: HttpRequest, queryset: QuerySet[DetectionRule]) -> None:
        """A rejected rule stays, inactive, so that it is not proposed again."""
        self._decide(request, queryset, active=False)

    def _decide(self, request: HttpRequest, queryset: QuerySet[DetectionRule], *, active: bool) -> int:
        """Decides on the proposed ones of the rules and says how many. Each is saved, for the audit trail."""
        rules = queryset.filter(proposed=True)
        for rule in (decided := list(rules)):
            rule.active, rule.proposed = active, False
            rule.save(update_fields=["active", "proposed"])
        verb = "accepted" if active else "rejected"
        level = messages.SUCCESS if decided else messages.WARNING
        self.message_user(request, f"{len(decided):,} proposed rule{'s'[: len(decided) != 1]} {verb}.", level)
        return len(decided)

    @admin.display(description="Declared labels")
    def labels(self, rule: DetectionRule) -> str:
        return ", ".join(rule.declared) or "all"

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.try_it)
        return [path("try/", view, name="providers_detectionrule_try"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"try_form": TryForm()} | (extra_context or {}))

    def try_it(self, request: HttpRequest) -> HttpResponse:
        """Detects the provider of a call, and lists the matching rules."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = TryForm(request.GET or None)
        context = self.admin_site.each_context(request) | {
            "title": "Try detection rules",
            "opts": self.opts,
            "try_form": form,
        }
        if form.is_valid():
            context |= _detection_context(form.call())
        return TemplateResponse(request, "admin/providers/detectionrule/try.html", context)


def _detection_context(call: Call) -> dict[str, Any]:
    book, prices = attribution.current_books()
    considered = book.rules.considered(call)
    counts = Counter(rule.evidence for rule, _ in considered)
    detected = attribution.detect(call, book, prices)
    return {
        "detected": detected,
        "label": rulebook.provider_label(detected.actual_provider, book.labels),
        "matching": [
            (rule, rulebook.provider_label(rule.provider or "", book.labels)) for rule, matches in considered if matches
        ],
        "considered": ", ".join(f"{count} by {evidence}" for evidence, count in counts.items()),
    }
