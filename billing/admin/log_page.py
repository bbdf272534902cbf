"""A log's page: its charge explained, and the two corrections that an operator makes there, void and revert."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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

from billing import corrections, events, explanation, rating, sentences, standing
from billing.api import rows
from billing.events import Refused
from billing.explanation import Priced
from billing.models import CostSource, UsageAdjustment, UsageLog
from billing.sentences import Labels
from providers import rulebook

Kind = UsageAdjustment.Kind
REVERTED = (Kind.VOID, Kind.REPRICE, Kind.REDETECT)  # what a revert can undo; of a voided call its void first


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


@dataclass(frozen=True, slots=True)
class Billed:
    """A row of the table of units and rates."""

    unit: str
    conditions: list[str]
    quantity: str
    rate: str
    usd: str


@dataclass(frozen=True, slots=True)
class Correction:
    """A row of the table of corrections; `can_revert` says whether that is possible now."""

    one: UsageAdjustment
    what: str
    can_revert: bool


def page(request: HttpRequest, log: UsageLog) -> dict[str, Any]:
    """What the log's page shows, of the same functions that the API answers with."""
    row, edition = rows.of(log), rating.books()
    labels = edition.rules.labels
    why = explanation.explain(*row, edition)
    told, explained = rows.log(row, labels), rows.explained(log, why, labels)
    allowed = request.user.has_perm(corrections.MAY_CORRECT)
    return {
        "title": "Usage log",
        "log": log,
        "row": told,
        "why": explained,
        "charge": sentences.charge(log, why, labels),
        "detection": sentences.detection(log, labels),
        "billed": [_billed(line, why.priced) for line in explained["lines"]] if why.priced else [],
        "cost_source": CostSource(told["cost_source"]).label,
        "corrections": _corrections(log, row[1], labels),
        "may_correct": allowed,
        "may_void": allowed and not told["voided"],
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
        "now": sentences.worth(standing.worth(log)),
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
    log.refresh_from_db()
    last = _corrections(log, rows.of(log)[1], labels)[-1]
    messages.success(request, f"Call {log.event_id}: {last.what}.")


def _open(log: UsageLog, adjustment_id: UUID, labels: Labels) -> Correction:
    """The log's correction, where it can be reverted now."""
    for correction in _corrections(log, rows.of(log)[1], labels):
        if correction.one.pk == adjustment_id and correction.can_revert:
            return correction
    raise Http404


def _corrections(log: UsageLog, adjustments: Sequence[UsageAdjustment], labels: Labels) -> list[Correction]:
    last = {one.kind: one.pk for one in adjustments if one.reverted_by is None}
    possible = {last.get(kind) for kind in REVERTED if not (log.voided_at and kind == Kind.REPRICE)}
    steps = standing.history(log, adjustments)
    return [Correction(step.adjustment, sentences.done(step, labels), step.adjustment.pk in possible) for step in steps]


def _billed(line: dict[str, Any], priced: Priced) -> Billed:
    """A line of the API's explanation, with its unit and rate in words."""
    conditions = [sentences.variant(line["variant"])] if line["variant"] else []
    conditions += [f"above {line['above']:,} input tokens"] if line["above"] else []
    rate = sentences.rate(line["unit"], priced.rates[line["unit"]].nano_per_million)
    return Billed(sentences.unit(line["unit"]), conditions, line["quantity"], rate, line["cost_usd"])
