"""Confirmation pages: sentences that say what will happen, a form, and one button."""

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
    form_class: type[forms.Form],
    action: Callable[[dict[str, Any]], str],
    parent_title: str,
    back_url: str,
) -> HttpResponse:
    """Show the confirmation page, or run `action` on a valid POST and redirect to `back_url`.

    `action` takes the form's cleaned data and returns a success message; a Refused is shown on the page.
    """
    form = form_class(request.POST) if request.method == "POST" else form_class()
    if form.is_bound and form.is_valid():
        try:
            messages.success(request, action(form.cleaned_data))
        except Refused as refused:
            form.add_error(None, refused.detail)
        else:
            return redirect(back_url)
    context = {
        **admin.site.each_context(request),
        "title": title,
        "sentences": sentences,
        "form": form,
        "parent_title": parent_title,
        "back_url": back_url,
    }
    return render(request, "admin/billing/confirm.html", context)
