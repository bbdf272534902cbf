"""A log's page: its charge explained, and the two corrections that an operator makes there, void and revert."""

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
from billing.corrections import corrections
from billing.dashboards import charge_page
from billing.dashboards.charge_page import Correction
from billing.errors import Refused
from billing.events import events
from billing.models import UsageLog
from billing.reports import log_rows
from providers import rulebook


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=corrections.REASON,
        widget=forms.Textarea({"rows": 3, "aria-describedby": "reason-help"}),
        help_text="Kept with the correction, and shown to the customer.",
    )

    def clean_reason(self) -> str:
        """One line, of what every database can store."""
        reason = " ".join(self.cleaned_data["reason"].split())
        try:
            events.check_text(reason, "reason")
        except Refused as refused:
            raise ValidationError(refused.detail) from refused
        return reason


def page(request: HttpRequest, log: UsageLog) -> dict[str, Any]:
    """What the log's page shows, with what an operator may do there."""
    shown = charge_page.shown(log)
    allowed = request.user.has_perm(corrections.MAY_CORRECT)
    return {
        **shown,
        "title": "Usage log",
        "may_correct": allowed,
        "may_void": allowed and not shown["row"]["voided"],
    }


def correct(
    request: HttpRequest, site: dict[str, Any], log_id: UUID, adjustment_id: UUID | None = None
) -> HttpResponse:
    """Ask for the reason, then void the log, or take one of its corrections back. Raises PermissionDenied and Http404."""
    if not request.user.has_perm(corrections.MAY_CORRECT):
        raise PermissionDenied
    log = get_object_or_404(UsageLog.objects.select_related("account"), pk=log_id)
    labels = rulebook.current().labels
    undone = _open(log, adjustment_id, labels) if adjustment_id else None
    form = ReasonForm(request.POST or None)
    if form.is_valid():
        _do(request, log, undone, form.cleaned_data["reason"], labels)
        return HttpResponseRedirect(reverse("admin:billing_usagelog_change", args=[log.pk]))
    asked = {
        "title": "Revert a correction" if undone else "Void a call",
        "log": log,
        "provider": labels.get(log.shown_provider, log.shown_provider),
        "now": explanation_text.worth(charge_history.current_value(log)),
        "undone": undone,
        "form": form,
    }
    return TemplateResponse(request, "admin/billing/usagelog/correct.html", {**site, **asked})


def _do(request: HttpRequest, log: UsageLog, undone: Correction | None, reason: str, labels: Labels) -> None:
    """Correct, and tell what changed."""
    actor, now = request.user.get_username(), timezone.now()
    try:
        if undone:
            corrections.revert_one(undone.one, reason=reason, actor=actor, at=now)
        else:
            corrections.void(log, reason=reason, actor=actor, at=now)
    except corrections.NotReverted as refused:
        messages.error(request, f"Nothing was reverted. {refused}")
        return
    except Refused as refused:
        messages.error(request, f"Nothing was voided. {refused.detail}")
        return
    log.refresh_from_db()
    last = charge_page.corrections_of(log, log_rows.of(log)[1], labels)[-1]
    messages.success(request, f"Call {log.event_id}: {last.what}.")


def _open(log: UsageLog, adjustment_id: UUID, labels: Labels) -> Correction:
    """The log's correction, where it can be reverted now."""
    for correction in charge_page.corrections_of(log, log_rows.of(log)[1], labels):
        if correction.one.pk == adjustment_id and correction.can_revert:
            return correction
    raise Http404
