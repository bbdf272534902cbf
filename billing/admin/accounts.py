"""Accounts: who is billed. Deactivated, never deleted; the external id never changes."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import F
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone

from billing import accounts, events
from billing.models import Account, Membership


class AccountForm(forms.ModelForm):  # type: ignore[type-arg]  # cannot be subscripted at run time
    def clean_external_id(self) -> str:
        """As the API takes it; an id that is taken is told here, and not by the database."""
        external_id: str = self.cleaned_data["external_id"]
        try:
            events.check_account_id(external_id, "external_id")
        except events.Refused as refused:
            raise ValidationError(refused.detail) from refused
        if accounts.get(external_id):
            raise ValidationError("There is an account with this id.")
        return external_id


class MembershipInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Membership
    extra = 0
    autocomplete_fields = ("user",)
    verbose_name_plural = "Users who may see this account"


@admin.register(Account)
class AccountAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = AccountForm
    list_display = ("external_id", "name", "timezone", "anchor_day", "billed_from", "active")
    list_filter = ("active", "unpriced_policy")
    search_fields = ("external_id__startswith", "name__icontains")
    inlines = (MembershipInline,)
    show_full_result_count = False
    actions = None

    def get_fields(self, request: HttpRequest, obj: Account | None = None) -> tuple[str, ...]:
        fixed = ("billed_from", "created_at") if obj else ()
        asked = ("external_id", "name", "timezone", "anchor_day", "unpriced_policy", "may_state_cost", "active")
        return (*asked, *fixed)

    def get_readonly_fields(self, request: HttpRequest, obj: Account | None = None) -> tuple[str, ...]:
        """What decides where stored usage counts stays as it was when the account was made."""
        return ("external_id", "timezone", "anchor_day", "billed_from", "created_at") if obj else ()

    def save_model(self, request: HttpRequest, obj: Account, form: ModelForm[Account], change: bool) -> None:
        if not change:
            made = accounts.new(
                external_id=obj.external_id, at=timezone.now(), timezone=obj.timezone, anchor_day=obj.anchor_day
            )
            obj.external_key, obj.created_at, obj.billed_from = made.external_key, made.created_at, made.billed_from
            obj.save(force_insert=True)
        elif form.changed_data:
            obj.save(update_fields=form.changed_data)
            Account.objects.filter(pk=obj.pk).update(config_version=F("config_version") + 1)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401
        return False
