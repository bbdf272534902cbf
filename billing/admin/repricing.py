"""Correction batches: the list, a batch's page with Continue and Revert, and the preview from which calls are re-priced."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone
from django.utils.html import format_html
from django.views.decorators.http import require_POST

from billing.accounts import accounts
from billing.corrections import apply_corrections, batch_progress, corrections, repricing
from billing.corrections.repricing import Choice
from billing.models import Account, CorrectionBatch
from lib import changelist, money

MOST_LOOKED = 20_000  # logs that a preview reads, about two seconds; what is more is the command's work
NAME = "billing_correctionbatch"
BADGES = {"running": "warning", "finished": "ok", "reverted": "unknown"}


class Day(forms.DateField):
    widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


class ChoiceForm(forms.Form):
    """Which calls are priced again; an empty field is no condition, and all of them empty no choice."""

    unpriced = forms.BooleanField(label="Only calls without a price", required=False)
    provider = forms.CharField(label="Actual provider", max_length=50, required=False)
    model = forms.CharField(max_length=200, required=False)
    account = forms.CharField(max_length=256, required=False)
    since = Day(label="First day (UTC)", required=False)
    until = Day(label="Last day (UTC)", required=False)

    def clean_provider(self) -> str:
        return str(self.cleaned_data["provider"]).strip().lower()

    def clean_model(self) -> str:
        return str(self.cleaned_data["model"]).strip().lower()

    def clean_account(self) -> Account | None:
        external_id: str = self.cleaned_data["account"]
        found = accounts.get(external_id) if external_id else None
        if external_id and found is None:
            raise forms.ValidationError("There is no account with this id.")
        return found

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and until < since:
            self.add_error("until", "The last day is before the first.")
        if not self.errors and not any(cleaned.values()):
            self.add_error("unpriced", "Say which calls: tick this, or fill in another field.")
        return cleaned

    def choice(self) -> Choice:
        asked = self.cleaned_data
        until: date | None = asked["until"]
        return Choice(
            unpriced=asked["unpriced"],
            provider=asked["provider"],
            model=asked["model"],
            account=asked["account"],
            since=_midnight(asked["since"]),
            until=_midnight(until + timedelta(days=1) if until else None),
        )


class ApplyForm(forms.Form):
    reason = forms.CharField(
        max_length=corrections.REASON,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text="Stands with each correction, for whoever asks why a charge moved.",
    )
    confirm = forms.BooleanField(label="Yes, change what these calls cost")


@admin.register(CorrectionBatch)
class CorrectionBatchAdmin(changelist.ReadOnlyAdmin):
    empty_state = "Nothing was corrected. Voids, re-pricing and their reverts stand here."
    list_display = ("made", "kind", "reason", "actor", "corrected", "difference", "standing")
    list_filter = ("kind",)
    search_fields = ("reason__icontains", "actor__startswith")
    search_help_text = "A part of the reason, or the start of the name of who did it"

    def get_urls(self) -> list[Any]:
        site = self.admin_site
        return [
            path("reprice/", site.admin_view(self.reprice), name=f"{NAME}_reprice"),
            path("<uuid:pk>/continue/", site.admin_view(require_POST(self.carry_on)), name=f"{NAME}_continue"),
            path("<uuid:pk>/revert/", site.admin_view(require_POST(self.revert)), name=f"{NAME}_revert"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        batch = self.get_object(request, object_id)
        extra = _page(request, batch) if isinstance(batch, CorrectionBatch) else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **extra})

    def reprice(self, request: HttpRequest) -> HttpResponse:
        """GET: the form, and what it would change. POST: change it, for some seconds, and go on from the batch's page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            return self._apply(request)
        return self._preview(request, ChoiceForm(request.GET or None), ApplyForm())

    def _apply(self, request: HttpRequest) -> HttpResponse:
        _must_correct(request)
        form, apply = ChoiceForm(request.POST), ApplyForm(request.POST)
        if not (form.is_valid() and apply.is_valid()):
            return self._preview(request, form, apply)
        reason, actor, now = apply.cleaned_data["reason"], request.user.get_username(), timezone.now()
        batch = repricing.start(form.choice(), reason=reason, actor=actor, at=now)
        return _worked(request, batch, lambda: batch_progress.continue_batch(batch, at=now))

    def _preview(self, request: HttpRequest, form: ChoiceForm, apply: ApplyForm) -> HttpResponse:
        context = self.admin_site.each_context(request) | {"title": "Re-price calls", "opts": self.opts, "form": form}
        context |= {"apply": apply, "may_correct": _may_correct(request)}
        if form.is_valid():
            choice = form.choice()
            found = repricing.preview(choice, most=MOST_LOOKED)
            context |= {"preview": found, "outlook": batch_progress.outlook(found), "choice": choice}
            context["command"] = batch_progress.command(choice, apply["reason"].value() or "why it is done")
        return TemplateResponse(request, "admin/billing/correctionbatch/reprice.html", context)

    def carry_on(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        _must_correct(request)
        batch = get_object_or_404(CorrectionBatch, pk=pk)
        if not batch_progress.may_continue(batch):
            messages.error(request, "Nothing of this batch is left for a page to do.")
            return redirect(f"admin:{NAME}_change", batch.pk)
        return _worked(request, batch, lambda: batch_progress.continue_batch(batch, at=timezone.now()))

    def revert(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        _must_correct(request)
        batch = get_object_or_404(CorrectionBatch, pk=pk)
        if not request.POST.get("confirm"):
            messages.error(request, "Nothing was reverted: tick the box to confirm.")
            return redirect(f"admin:{NAME}_change", batch.pk)
        actor = request.user.get_username()
        return _worked(request, batch, lambda: batch_progress.revert(batch, actor=actor, at=timezone.now()))

    @admin.display(description="Made (UTC)")
    def made(self, batch: CorrectionBatch) -> str:
        return f"{batch.created_at:%Y-%m-%d %H:%M}"

    @admin.display(description="Calls")
    def corrected(self, batch: CorrectionBatch) -> str:
        return format_html('<span class="num">{}</span>', f"{batch.logs:,}")

    @admin.display(description="Difference")
    def difference(self, batch: CorrectionBatch) -> str:
        exact, shown = money.exact_usd(batch.delta_nano), money.format_usd(batch.delta_nano)
        return format_html('<span class="num" title="${}">{}</span>', exact, shown)

    @admin.display(description="State")
    def standing(self, batch: CorrectionBatch) -> str:
        word = batch_progress.state(batch)
        return format_html('<span class="badge {}">{}</span>', BADGES[word], word)


def _may_correct(request: HttpRequest) -> bool:
    """As voiding over the API asks it."""
    return request.user.has_perm(corrections.MAY_CORRECT)


def _must_correct(request: HttpRequest) -> None:
    if not _may_correct(request):
        raise PermissionDenied


def _worked(request: HttpRequest, batch: CorrectionBatch, work: Callable[[], bool]) -> HttpResponse:
    """The batch's page after some seconds of work; it says whether that was all."""
    try:
        done = work()
    except apply_corrections.BatchClosed:
        messages.error(request, "Somebody else finished or reverted this batch meanwhile.")
    except corrections.NotReverted as refused:
        messages.error(request, str(refused))
    else:
        if done:
            messages.success(request, "Done.")
        else:
            messages.warning(request, "Not done yet: what is told here is done, the rest goes on with Continue.")
    return redirect(f"admin:{NAME}_change", batch.pk)


def _page(request: HttpRequest, batch: CorrectionBatch) -> dict[str, Any]:
    """What a batch's page shows."""
    may_correct, undo = _may_correct(request), batch_progress.undone_by(batch)
    return {
        "title": "Correction batch",
        "batch": batch,
        "state": batch_progress.state(batch),
        "badge": BADGES[batch_progress.state(batch)],
        "in_words": batch_progress.describe(batch),
        "undo": undo,
        "undo_runs": undo is not None and batch_progress.state(undo) == "running",
        "undoes": batch_progress.undoes(batch),
        "may_continue": may_correct and batch_progress.may_continue(batch),
        "may_revert": may_correct and batch_progress.may_revert(batch),
    }


def _midnight(day: date | None) -> datetime | None:
    return datetime.combine(day, time(), UTC) if day else None
