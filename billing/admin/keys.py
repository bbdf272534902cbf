"""API keys: created, shown once, and revoked. The stored hash cannot be used to call the API."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from billing.accounts import access
from billing.models import ApiKey
from lib.form_admin import FormAdmin


class KeyForm(forms.ModelForm):  # type: ignore[type-arg]
    scopes = forms.MultipleChoiceField(choices=ApiKey.Scope.choices, widget=forms.CheckboxSelectMultiple)

    class Meta:
        model = ApiKey
        fields = ("name", "scopes", "account", "expires_at")


@admin.register(ApiKey)
class ApiKeyAdmin(FormAdmin):
    empty_state = "No API keys yet. Add a key to let a program call the API."
    form = KeyForm
    list_display = ("name", "token_start", "reach", "scope_words", "created_at", "last_used_at", "state")
    list_select_related = ("account",)
    search_fields = ("name__icontains", "prefix__startswith")
    autocomplete_fields = ("account",)
    actions = ("revoke",)

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        read_only = ("token_start", "created_at", "last_used_at", "revoked_at") if obj else ()
        return ("name", "scopes", "account", "expires_at", *read_only)

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        """A key's scopes and account are fixed on creation."""
        return ("scopes", "account", "token_start", "created_at", "last_used_at", "revoked_at") if obj else ()

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:  # noqa: ANN401
        if change:
            obj.save(update_fields=["name", "expires_at"])
            return
        key, token = access.create_key(
            name=obj.name, scopes=obj.scopes, at=timezone.now(), account=obj.account, expires_at=obj.expires_at
        )
        obj.pk, obj.prefix = key.pk, key.prefix
        messages.warning(request, f"Copy the API key now; it will not be shown again: {token}")

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    @admin.action(description="Revoke selected keys", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        keys = list(queryset.filter(revoked_at=None))
        for key in keys:
            access.revoke(key, at=timezone.now())
        messages.success(
            request,
            f"{len(keys)} key{'' if len(keys) == 1 else 's'} revoked. The API refuses revoked keys from now on.",
        )

    @admin.display(description="Key")
    def token_start(self, key: ApiKey) -> str:
        return f"tg_{key.prefix}_…"

    @admin.display(description="Account")
    def reach(self, key: ApiKey) -> str:
        return key.account.external_id if key.account else "all (service key)"

    @admin.display(description="Scopes")
    def scope_words(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    @admin.display(description="State")
    def state(self, key: ApiKey) -> str:
        if key.revoked_at:
            return "revoked"
        return "active" if key.usable(timezone.now()) else "expired or account inactive"
