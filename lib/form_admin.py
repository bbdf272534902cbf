"""Admin forms that are saved again after a deadlock."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.messages import get_messages
from django.http import HttpRequest, HttpResponse

from lib import retry


class FormAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # cannot be subscripted at run time
    """Django saves a form, its inlines and its log entry in one transaction; here a deadlock repeats it."""

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        # Django has no public name for them; what a failed attempt says must not be shown.
        queued: list[Any] = getattr(get_messages(request), "_queued_messages", [])
        before = len(queued)

        def save() -> HttpResponse:
            del queued[before:]
            return super(FormAdmin, self).changeform_view(request, object_id, form_url, extra_context)

        return retry.on_deadlock(save)
