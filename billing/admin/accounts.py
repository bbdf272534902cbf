"""Accounts: who is billed. An account is deactivated, never deleted; its external id never changes."""

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
from billing.admin.limit_forms import LimitInline, OverrideForm
from billing.dashboards import account_page
from billing.events import events
from billing.limits.limit_status import limit_rows
from billing.models import Account, LimitOverride, Membership
from billing.plans import anchor_changes, overrides, plans, subscriptions
from lib import money
from lib.form_admin import FormAdmin


class AccountForm(forms.ModelForm):  # type: ignore[type-arg]  # cannot be subscripted at run time
    def clean_external_id(self) -> str:
        """Validates the id as the API does, and refuses one that exists."""
        external_id: str = self.cleaned_data["external_id"]
        try:
            events.check_account_id(external_id, "external_id")
        except errors.Refused as refused:
            raise ValidationError(refused.detail) from refused
        if accounts.get(external_id):
            raise ValidationError("An account with this external id already exists. Choose another id.")
        return external_id


class MembershipInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Membership
    extra = 0
    autocomplete_fields = ("user",)
    verbose_name_plural = "Users with access to this account"


class OverrideInline(LimitInline):
    model = LimitOverride
    form = OverrideForm
    fields = ("meter", "per", "allowance", "quantity", "kind", "expires_on", "reason")
    verbose_name_plural = "Account limits (they override the plan's limits)"


@admin.register(Account)
class AccountAdmin(FormAdmin):
    empty_state = "No accounts yet. Add an account for each customer you bill."
    form = AccountForm
    list_display = ("external_id", "name", "timezone", "anchor_day", "billed_from", "active", "usage")
    list_filter = ("active", "unpriced_policy")
    search_fields = ("external_id__startswith", "name__icontains")
    inlines = (OverrideInline, MembershipInline)
    show_full_result_count = False
    actions = None

    def get_urls(self) -> list[Any]:
        usage = path("<int:account>/usage/", self.admin_site.admin_view(self.usage_view), name="billing_account_usage")
        return [usage, *super().get_urls()]

    def usage_view(self, request: HttpRequest, account: int) -> HttpResponseBase:
        if not request.user.has_perm("billing.view_usagelog"):
            raise PermissionDenied
        return account_page.render_account(request, get_object_or_404(Account, pk=account))

    @admin.display(description="Usage")
    def usage(self, account: Account) -> str:
        return format_html('<a href="{}">View usage</a>', reverse("admin:billing_account_usage", args=[account.pk]))

    def get_fields(self, request: HttpRequest, obj: Account | None = None) -> tuple[str, ...]:
        read_only = ("billed_from", "created_at") if obj else ()
        editable = ("external_id", "name", "timezone", "anchor_day", "unpriced_policy", "may_state_cost", "active")
        return (*editable, *read_only)

    def get_readonly_fields(self, request: HttpRequest, obj: Account | None = None) -> tuple[str, ...]:
        """Fields that decide which period stored usage counts in; anchor and time zone change future periods only."""
        return ("external_id", "billed_from", "created_at") if obj else ()

    def save_model(self, request: HttpRequest, obj: Account, form: ModelForm[Account], change: bool) -> None:
        if not change:
            account = accounts.build(
                external_id=obj.external_id, at=timezone.now(), timezone=obj.timezone, anchor_day=obj.anchor_day
            )
            obj.external_key, obj.created_at, obj.billed_from = (
                account.external_key,
                account.created_at,
                account.billed_from,
            )
            obj.save(force_insert=True)
            return
        schedule_fields = {"timezone", "anchor_day"} & set(form.changed_data)
        if other_fields := [name for name in form.changed_data if name not in schedule_fields]:
            obj.save(update_fields=other_fields)
            plans.bump_config_version(obj)
        if schedule_fields:
            self._change_schedule(request, obj)

    def _change_schedule(self, request: HttpRequest, account: Account) -> None:
        """Changes anchor and time zone, and tells the operator what the subscription's moved end costs."""
        before, at, actor = subscriptions.for_account(account), timezone.now(), request.user.get_username()
        first_day = anchor_changes.change(
            account, anchor_day=account.anchor_day, timezone=account.timezone, at=at, actor=actor
        )
        messages.info(request, f"Usage periods follow the new anchor and time zone from {first_day} on.")
        after = subscriptions.for_account(account)
        if before and after and before.period_end != after.period_end:
            fee = money.format_usd(after.fee_nano)
            messages.info(
                request, f"The subscription's cycle now ends on {after.period_end}. Fee for the difference: {fee}."
            )

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:  # noqa: ANN401
        """A changed account limit applies from the next decision on."""
        if formset.model is not LimitOverride:
            formset.save()
            return
        saved = formset.save(commit=False)
        if formset.has_changed():
            overrides.change(form.instance, saved=saved, deleted=formset.deleted_objects, at=timezone.now())

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Adds the account's plan and limit statuses above the form."""
        account, at = self.get_object(request, unquote(object_id)), timezone.now()
        extra = {"plan": plans.for_account(account, at), "meters": limit_rows(account, at)} if account else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **extra})

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401
        return False
