"""A usage log's admin page: its charge explained, and the confirmation pages to void it or revert a correction."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from billing.charges import charge_history, explanation_text
from billing.charges.explanation_text import Labels
from billing.corrections import corrections, resolution
from billing.dashboards import charge_page
from billing.dashboards.charge_page import CorrectionRow
from billing.errors import Refused
from billing.events import events
from billing.models import UsageLog
from billing.reports import log_rows
from providers import rulebook


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=corrections.MAX_REASON_LENGTH,
        widget=forms.Textarea({"rows": 3, "aria-describedby": "reason-help"}),
        help_text="Stored with the correction and shown to the customer.",
    )

    def clean_reason(self) -> str:
        """The reason on one line; rejects text that a database cannot store."""
        reason = " ".join(self.cleaned_data["reason"].split())
        try:
            events.check_text(reason, "reason")
        except Refused as refused:
            raise ValidationError(refused.detail) from refused
        return reason


def context_for(request: HttpRequest, log: UsageLog) -> dict[str, Any]:
    """The template context of the log's page, with the actions that the user may take."""
    context = charge_page.context_for(log)
    may_correct = request.user.has_perm(corrections.CORRECT_PERMISSION)
    return {
        **context,
        "title": "Usage log",
        "may_correct": may_correct,
        "may_void": may_correct and not context["row"]["voided"],
        "may_resolve": may_correct and resolution.is_open(log),
    }


def correct(
    request: HttpRequest, site: dict[str, Any], log_id: UUID, adjustment_id: UUID | None = None
) -> HttpResponse:
    """Ask for a reason, then void the log or revert one of its corrections. Raises PermissionDenied, Http404."""
    if not request.user.has_perm(corrections.CORRECT_PERMISSION):
        raise PermissionDenied
    log = get_object_or_404(UsageLog.objects.select_related("account"), pk=log_id)
    labels = rulebook.current().labels
    correction = _revertible_correction(log, adjustment_id, labels) if adjustment_id else None
    form = ReasonForm(request.POST or None)
    if form.is_valid():
        _apply(request, log, correction, form.cleaned_data["reason"], labels)
        return HttpResponseRedirect(reverse("admin:billing_usagelog_change", args=[log.pk]))
    context = {
        "title": "Revert correction" if correction else "Void call",
        "log": log,
        "provider": rulebook.provider_label(log.display_provider, labels),
        "current_charge": explanation_text.format_value(charge_history.current_value(log)),
        "correction": correction,
        "form": form,
    }
    return TemplateResponse(request, "admin/billing/usagelog/correct.html", {**site, **context})


def _apply(request: HttpRequest, log: UsageLog, correction: CorrectionRow | None, reason: str, labels: Labels) -> None:
    """Void the log or revert the correction, and report the change as a message."""
    actor, now = request.user.get_username(), timezone.now()
    try:
        if correction:
            corrections.revert_adjustment(correction.adjustment, reason=reason, actor=actor, at=now)
        else:
            corrections.void(log, reason=reason, actor=actor, at=now)
    except corrections.NotReverted as refused:
        messages.error(request, f"Nothing was reverted. {refused}")
        return
    except Refused as refused:
        messages.error(request, f"Nothing was voided. {refused.detail}")
        return
    log.refresh_from_db()
    last = charge_page.correction_rows(log, log_rows.load(log)[1], labels)[-1]
    messages.success(request, f"Call {log.event_id}: {last.summary}.")


def _revertible_correction(log: UsageLog, adjustment_id: UUID, labels: Labels) -> CorrectionRow:
    """The log's correction with that id. Raises Http404 if it cannot be reverted now."""
    for correction in charge_page.correction_rows(log, log_rows.load(log)[1], labels):
        if correction.adjustment.pk == adjustment_id and correction.can_revert:
            return correction
    raise Http404
