"""Correction batches: the list, a batch's page (continue, revert), and the page that previews and starts a re-pricing."""

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
from billing.corrections.repricing import RepricingChoice
from billing.models import Account, CorrectionBatch
from lib import changelist, money

MAX_PREVIEW_LOGS = 20_000  # logs that a preview reads, about two seconds; the command handles more
MAX_PROBLEMS = 5  # in a message; the batch's page lists more
URL_PREFIX = "billing_correctionbatch"
BADGES = {"running": "warning", "finished": "ok", "reverted": "unknown"}


class DayField(forms.DateField):
    widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


class RepriceForm(forms.Form):
    """Selects the calls to re-price. An empty field is no condition; at least one field is required."""

    unpriced = forms.BooleanField(label="Unpriced calls only", required=False)
    provider = forms.CharField(label="Actual provider", max_length=50, required=False)
    model = forms.CharField(max_length=200, required=False)
    account = forms.CharField(max_length=256, required=False)
    since = DayField(label="First day (UTC)", required=False)
    until = DayField(label="Last day (UTC)", required=False)

    def clean_provider(self) -> str:
        return str(self.cleaned_data["provider"]).strip().lower()

    def clean_model(self) -> str:
        return str(self.cleaned_data["model"]).strip().lower()

    def clean_account(self) -> Account | None:
        external_id: str = self.cleaned_data["account"]
        account = accounts.get(external_id) if external_id else None
        if external_id and account is None:
            raise forms.ValidationError("No account has this external id. Check the id.")
        return account

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and until < since:
            self.add_error("until", "The last day is before the first day. Choose a later day.")
        if not self.errors and not any(cleaned.values()):
            self.add_error("unpriced", "Select calls: tick this box or fill in another field.")
        return cleaned

    def choice(self) -> RepricingChoice:
        data = self.cleaned_data
        until: date | None = data["until"]
        return RepricingChoice(
            unpriced=data["unpriced"],
            provider=data["provider"],
            model=data["model"],
            account=data["account"],
            since=_midnight(data["since"]),
            until=_midnight(until + timedelta(days=1) if until else None),
        )


class ApplyForm(forms.Form):
    reason = forms.CharField(
        max_length=corrections.MAX_REASON_LENGTH,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text="Stored with each correction to explain why the charge changed.",
    )
    confirm = forms.BooleanField(label="Yes, change the cost of these calls")


@admin.register(CorrectionBatch)
class CorrectionBatchAdmin(changelist.ReadOnlyAdmin):
    empty_state = "No corrections yet. Voids, re-pricings, redetections and reverts are listed here."
    list_display = ("created", "kind", "reason", "actor", "corrected", "difference", "state")
    list_filter = ("kind",)
    search_fields = ("reason__icontains", "actor__startswith")
    search_help_text = "Search by part of the reason or the start of the user name"

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("reprice/", view(self.reprice), name=f"{URL_PREFIX}_reprice"),
            path("<uuid:pk>/continue/", view(require_POST(self.continue_batch)), name=f"{URL_PREFIX}_continue"),
            path("<uuid:pk>/revert/", view(require_POST(self.revert)), name=f"{URL_PREFIX}_revert"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        batch = self.get_object(request, object_id)
        extra = _batch_context(request, batch) if isinstance(batch, CorrectionBatch) else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **extra})

    def reprice(self, request: HttpRequest) -> HttpResponse:
        """GET previews the changes. POST starts a batch, works on it for some seconds and redirects to its page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            return self._apply(request)
        return self._preview(request, RepriceForm(request.GET or None), ApplyForm())

    def _apply(self, request: HttpRequest) -> HttpResponse:
        _check_permission(request)
        form, apply = RepriceForm(request.POST), ApplyForm(request.POST)
        if not (form.is_valid() and apply.is_valid()):
            return self._preview(request, form, apply)
        reason, actor = apply.cleaned_data["reason"], request.user.get_username()
        batch = repricing.start(form.choice(), reason=reason, actor=actor, at=timezone.now())
        return _run(request, batch, lambda: batch_progress.continue_batch(batch, clock=timezone.now))

    def _preview(self, request: HttpRequest, form: RepriceForm, apply: ApplyForm) -> HttpResponse:
        context = self.admin_site.each_context(request) | {"title": "Re-price calls", "opts": self.opts, "form": form}
        context |= {"apply": apply, "may_correct": _may_correct(request)}
        if form.is_valid():
            choice = form.choice()
            preview = repricing.preview(choice, max_logs=MAX_PREVIEW_LOGS)
            context |= {"preview": preview, "summary": batch_progress.summarize_preview(preview), "choice": choice}
            context["command"] = batch_progress.reprice_command(choice, apply["reason"].value() or "reason")
        return TemplateResponse(request, "admin/billing/correctionbatch/reprice.html", context)

    def continue_batch(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        _check_permission(request)
        batch = get_object_or_404(CorrectionBatch, pk=pk)
        if not batch_progress.may_continue(batch):
            messages.error(request, "This batch cannot be continued here: only unfinished re-pricings and reverts can.")
            return redirect(f"admin:{URL_PREFIX}_change", batch.pk)
        return _run(request, batch, lambda: batch_progress.continue_batch(batch, clock=timezone.now))

    def revert(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        _check_permission(request)
        batch = get_object_or_404(CorrectionBatch, pk=pk)
        if not request.POST.get("confirm"):
            messages.error(request, "Nothing was reverted. Tick the box to confirm.")
            return redirect(f"admin:{URL_PREFIX}_change", batch.pk)
        actor = request.user.get_username()
        return _run(request, batch, lambda: batch_progress.revert(batch, actor=actor, clock=timezone.now))

    @admin.display(description="Created (UTC)")
    def created(self, batch: CorrectionBatch) -> str:
        return f"{batch.created_at:%Y-%m-%d %H:%M}"

    @admin.display(description="Calls")
    def corrected(self, batch: CorrectionBatch) -> str:
        return format_html('<span class="num">{}</span>', f"{batch.logs:,}")

    @admin.display(description="Difference")
    def difference(self, batch: CorrectionBatch) -> str:
        exact, rounded = money.exact_usd(batch.delta_nano), money.format_usd(batch.delta_nano)
        return format_html('<span class="num" title="${}">{}</span>', exact, rounded)

    @admin.display(description="State")
    def state(self, batch: CorrectionBatch) -> str:
        state = batch_progress.state(batch)
        return format_html('<span class="badge {}">{}</span>', BADGES[state], state)


def _may_correct(request: HttpRequest) -> bool:
    return request.user.has_perm(corrections.CORRECT_PERMISSION)


def _check_permission(request: HttpRequest) -> None:
    if not _may_correct(request):
        raise PermissionDenied


def _run(request: HttpRequest, batch: CorrectionBatch, action: Callable[[], bool]) -> HttpResponse:
    """Run `action` on the batch, report whether the batch is done, and redirect to the batch's page."""
    try:
        done = action()
    except apply_corrections.BatchClosed:
        messages.error(request, "Someone else finished or reverted this batch in the meantime.")
    except corrections.NotReverted as refused:
        messages.error(request, str(refused))
    else:
        batch.refresh_from_db()
        if not done:
            messages.warning(request, "Not finished yet. Choose “Continue” to process the remaining calls.")
        elif problems := batch_progress.open_problems(batch):
            messages.warning(request, f"Done, except some calls. {'; '.join(problems[:MAX_PROBLEMS])}.")
        else:
            messages.success(request, "Done.")
    return redirect(f"admin:{URL_PREFIX}_change", batch.pk)


def _batch_context(request: HttpRequest, batch: CorrectionBatch) -> dict[str, Any]:
    may_correct, revert = _may_correct(request), batch_progress.reverting_batch(batch)
    return {
        "title": "Correction batch",
        "batch": batch,
        "state": batch_progress.state(batch),
        "badge": BADGES[batch_progress.state(batch)],
        "description": batch_progress.describe(batch),
        "revert": revert,
        "skips": batch_progress.describe_skips(batch.skips),
        "open_problems": batch_progress.open_problems(batch),
        "revert_running": revert is not None and batch_progress.state(revert) == "running",
        "reverted_batch": batch_progress.reverted_batch(batch),
        "may_continue": may_correct and batch_progress.may_continue(batch),
        "may_revert": may_correct and batch_progress.may_revert(batch),
    }


def _midnight(day: date | None) -> datetime | None:
    return datetime.combine(day, time(), UTC) if day else None
