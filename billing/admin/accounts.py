"""Accounts: who is billed. Deactivated, never deleted; the external id never changes."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html

from billing import errors
from billing.accounts import accounts
from billing.admin.limit_forms import CapInline, OverrideForm
from billing.dashboards import account_page
from billing.events import events
from billing.limits.limit_status import meter_lines
from billing.models import Account, LimitOverride, Membership
from billing.plans import anchor_changes, plans


class AccountForm(forms.ModelForm):  # type: ignore[type-arg]  # cannot be subscripted at run time
    def clean_external_id(self) -> str:
        """As the API takes it; an id that is taken is told here, and not by the database."""
        external_id: str = self.cleaned_data["external_id"]
        try:
            events.check_account_id(external_id, "external_id")
        except errors.Refused as refused:
            raise ValidationError(refused.detail) from refused
        if accounts.get(external_id):
            raise ValidationError("There is an account with this id.")
        return external_id


class MembershipInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Membership
    extra = 0
    autocomplete_fields = ("user",)
    verbose_name_plural = "Users who may see this account"


class OverrideInline(CapInline):
    model = LimitOverride
    form = OverrideForm
    fields = ("meter", "per", "allowance", "quantity", "kind", "expires_on", "reason")
    verbose_name_plural = "Its own limits, in place of its plan's"


@admin.register(Account)
class AccountAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = AccountForm
    list_display = ("external_id", "name", "timezone", "anchor_day", "billed_from", "active", "usage")
    list_filter = ("active", "unpriced_policy")
    search_fields = ("external_id__startswith", "name__icontains")
    inlines = (OverrideInline, MembershipInline)
    show_full_result_count = False
    actions = None

    def get_urls(self) -> list[Any]:
        own = path("<int:account>/usage/", self.admin_site.admin_view(self.usage_view), name="billing_account_usage")
        return [own, *super().get_urls()]

    def usage_view(self, request: HttpRequest, account: int) -> HttpResponseBase:
        if not request.user.has_perm("billing.view_usagelog"):
            raise PermissionDenied
        return account_page.account_page(request, get_object_or_404(Account, pk=account))

    @admin.display(description="Usage")
    def usage(self, account: Account) -> str:
        return format_html('<a href="{}">Show</a>', reverse("admin:billing_account_usage", args=[account.pk]))

    def get_fields(self, request: HttpRequest, obj: Account | None = None) -> tuple[str, ...]:
        fixed = ("billed_from", "created_at") if obj else ()
        asked = ("external_id", "name", "timezone", "anchor_day", "unpriced_policy", "may_state_cost", "active")
        return (*asked, *fixed)

    def get_readonly_fields(self, request: HttpRequest, obj: Account | None = None) -> tuple[str, ...]:
        """What decides where stored usage counts stays; anchor and zone change for periods that are to come."""
        return ("external_id", "billed_from", "created_at") if obj else ()

    def save_model(self, request: HttpRequest, obj: Account, form: ModelForm[Account], change: bool) -> None:
        if not change:
            made = accounts.new(
                external_id=obj.external_id, at=timezone.now(), timezone=obj.timezone, anchor_day=obj.anchor_day
            )
            obj.external_key, obj.created_at, obj.billed_from = made.external_key, made.created_at, made.billed_from
            obj.save(force_insert=True)
            return
        moved = {"timezone", "anchor_day"} & set(form.changed_data)
        if rest := [name for name in form.changed_data if name not in moved]:
            obj.save(update_fields=rest)
            plans.configuration_changed(obj)
        if moved:
            begins = anchor_changes.change(obj, anchor_day=obj.anchor_day, timezone=obj.timezone, at=timezone.now())
            messages.info(request, f"Usage periods follow the new anchor and time zone from {begins} on.")

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:  # noqa: ANN401
        """An account's own limit counts for the next decision."""
        formset.save()
        if formset.model is LimitOverride and formset.has_changed():
            plans.configuration_changed(form.instance)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Where the account stands, above what can be changed."""
        account, at = self.get_object(request, unquote(object_id)), timezone.now()
        told = {"plan": plans.of_account(account, at), "meters": meter_lines(account, at)} if account else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **told})

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401
        return False
