"""API keys: made here, shown once, revoked; what is stored can't be used to call."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from billing.accounts import access
from billing.models import ApiKey


class KeyForm(forms.ModelForm):  # type: ignore[type-arg]
    scopes = forms.MultipleChoiceField(choices=ApiKey.Scope.choices, widget=forms.CheckboxSelectMultiple)

    class Meta:
        model = ApiKey
        fields = ("name", "scopes", "account", "expires_at")


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = KeyForm
    list_display = ("name", "token_start", "reach", "scope_words", "created_at", "last_used_at", "state")
    list_select_related = ("account",)
    search_fields = ("name__icontains", "prefix__startswith")
    autocomplete_fields = ("account",)
    actions = ("revoke",)

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        told = ("token_start", "created_at", "last_used_at", "revoked_at") if obj else ()
        return ("name", "scopes", "account", "expires_at", *told)

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        """What a key may do is fixed when it is made: another right is another key."""
        return ("scopes", "account", "token_start", "created_at", "last_used_at", "revoked_at") if obj else ()

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:  # noqa: ANN401
        if change:
            obj.save(update_fields=["name", "expires_at"])
            return
        made, token = access.create_key(
            name=obj.name, scopes=obj.scopes, at=timezone.now(), account=obj.account, expires_at=obj.expires_at
        )
        obj.pk, obj.prefix = made.pk, made.prefix
        messages.warning(request, f"The key, shown only now: {token}")

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    @admin.action(description="Revoke the selected keys", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        keys = list(queryset.filter(revoked_at=None))
        for key in keys:
            access.revoke(key, at=timezone.now())
        messages.success(request, f"{len(keys)} revoked; they are refused from now on.")

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
        return "usable" if key.usable(timezone.now()) else "expired, or its account is inactive"
