"""A step that an operator confirms on a page of its own: what it will do in sentences, what it asks for, and one button."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from billing.errors import Refused


def confirm(
    request: HttpRequest,
    *,
    title: str,
    sentences: Sequence[str],
    form: type[forms.Form],
    work: Callable[[dict[str, Any]], str],
    about: str,
    back: str,
) -> HttpResponse:
    """The page, or what follows it: `work` takes the form's values and says what it did; a refusal stands on the page."""
    bound = form(request.POST) if request.method == "POST" else form()
    if bound.is_bound and bound.is_valid():
        try:
            messages.success(request, work(bound.cleaned_data))
        except Refused as refused:
            bound.add_error(None, refused.detail)
        else:
            return redirect(back)
    context = {
        **admin.site.each_context(request),
        "title": title,
        "sentences": sentences,
        "form": bound,
        "about": about,
        "back": back,
    }
    return render(request, "admin/billing/step.html", context)
