"""The page that gives a call its real usage or cost: a form, a preview of the difference, and the confirmation."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from auditlog.models import LogEntry
from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from billing.admin.log_page import ReasonForm
from billing.charges import charge_history, explanation_text, rating, unread_decisions
from billing.corrections import corrections, resolution
from billing.corrections.apply_corrections import Correction
from billing.errors import Refused
from billing.events import event_responses, events, unread_fields
from billing.events.events import MAX_COUNT, Usage
from billing.ledger import closed_periods
from billing.models import UsageLog
from lib import money, retry, strict_json
from providers.quantities import MICRO_UNITS

USAGE, RESPONSE, COST = "usage", "response", "cost"
KINDS = {USAGE: "The usage", RESPONSE: "The vendor's response", COST: "The cost"}
MAX_RESPONSE_LENGTH = 1_000_000  # characters of JSON
MAIN_UNITS = ("input_tokens", "output_tokens")
Content = tuple[Usage | None, str | None]  # the usage, or the cost in USD


class ResolveForm(ReasonForm):
    """Takes the usage by unit, a vendor's response as JSON, or the cost. Usage starts with what is recorded."""

    kind = forms.ChoiceField(label="What do you know?", choices=list(KINDS.items()), initial=USAGE)
    response = forms.CharField(
        label="Response (JSON)",
        required=False,
        max_length=MAX_RESPONSE_LENGTH,
        widget=forms.Textarea({"rows": 4, "spellcheck": "false"}),
    )
    cost_usd = forms.CharField(label="Cost (USD)", required=False, max_length=40)

    def __init__(self, log: UsageLog, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self.log, recorded = log, rating.usage_of_log(log)
        listed = [unit for unit in unread_fields.UNITS if unit in MAIN_UNITS or recorded.get(unit)]
        for unit in unread_fields.UNITS:
            self.fields[unit] = _unit_field(unit, recorded.get(unit))
        self.shown_units = [self[unit] for unit in listed]
        self.other_units = [self[unit] for unit in unread_fields.UNITS if unit not in listed]

    def content(self) -> Content:
        """What was stated. Raises Refused if it is not valid, or strict_json.BadJSON."""
        kind = self.cleaned_data["kind"]
        if kind == COST:
            return None, self.cleaned_data["cost_usd"].strip()
        if kind == RESPONSE:
            response = strict_json.decode(self.cleaned_data["response"].encode())
            decisions = unread_decisions.current().decisions
            return event_responses.read_whole_usage(response, decisions, cached_included=self.log.cached_included), None
        stated = {unit: self.cleaned_data[unit] for unit in unread_fields.UNITS}
        usage = {unit: value for unit, value in stated.items() if value not in (None, "")}
        requests = {"requests": self.log.calls} if self.log.calls > 1 else {}
        return events.convert({**usage, **requests}, Usage), None


def _unit_field(unit: str, recorded: int | str | None) -> forms.Field:
    label = explanation_text.unit_label(unit).capitalize()
    if unit in MICRO_UNITS:
        return forms.CharField(label=label, required=False, max_length=20, initial=recorded)
    return forms.IntegerField(label=label, required=False, min_value=0, max_value=MAX_COUNT, initial=recorded)


def resolve(request: HttpRequest, site: dict[str, Any], log_id: UUID) -> HttpResponse:
    """Show the form; preview the difference; store what was previewed. Raises PermissionDenied, Http404."""
    if not request.user.has_perm(corrections.CORRECT_PERMISSION):
        raise PermissionDenied
    log = get_object_or_404(UsageLog.objects.select_related("account"), pk=log_id)
    page = reverse("admin:billing_usagelog_change", args=[log.pk])
    if not resolution.is_open(log):
        messages.error(request, "Nothing was resolved. The call is complete and priced, voided, or resolved before.")
        return HttpResponseRedirect(page)
    form, context = ResolveForm(log, request.POST or None), dict[str, Any]()
    if form.is_valid():
        try:
            content = form.content()
            correction = resolution.preview(log, usage=content[0], cost_usd=content[1])
            key = _key(content, correction)
            if request.POST.get("previewed") == key and "again" not in request.POST:
                messages.success(request, _store(request, log, content, form.cleaned_data["reason"], timezone.now()))
                return HttpResponseRedirect(page)
            context |= {"previewed": key, "sentences": _sentences(log, correction)}
        except (Refused, strict_json.BadJSON) as error:
            form.add_error(None, _describe(error))
    value = explanation_text.format_value(charge_history.current_value(log))
    context |= {"title": "Resolve call", "log": log, "current_charge": value, "form": form}
    context["other_errors"] = any(field.errors for field in form.other_units)
    return TemplateResponse(request, "admin/billing/usagelog/resolve.html", {**site, **context})


def _key(content: Content, correction: Correction) -> str:
    """Stands for what a preview has shown: another content or another cost is previewed again."""
    return hashlib.sha256(msgspec.json.encode((content, correction.values["effective_nano"]))).hexdigest()


def _describe(error: Exception) -> str:
    if isinstance(error, Refused):
        return f"{error.attr}: {error.detail}" if error.attr else error.detail
    return f"The response is not valid JSON: {error}"


def _sentences(log: UsageLog, correction: Correction) -> list[str]:
    """What would change, from the preview."""
    values = correction.values
    after = f"${money.exact_usd(values['effective_nano'])}" if values["is_priced"] else "unpriced"
    before = explanation_text.format_value(charge_history.current_value(log))
    delta = money.exact_usd(correction.delta_nano)
    lines = [f"The charge changes from {before} to {after}: a difference of ${delta}."]
    if log.usage_period in closed_periods.closed_starts(log.account_id):
        lines.append(f"The period {log.usage_period:%Y-%m} is closed: the difference is a line of the next statement.")
    return [*lines, "A call is resolved once. To correct it again, void it."]


@retry.atomic
def _store(request: HttpRequest, log: UsageLog, content: Content, reason: str, at: datetime) -> str:
    """Resolve the call, with an entry in the audit trail. Returns what was done. Raises Refused."""
    usage, cost_usd = content
    actor, before = request.user, explanation_text.format_value(charge_history.current_value(log))
    resolution.resolve(log, usage=usage, cost_usd=cost_usd, reason=reason, actor=actor.get_username(), at=at)
    stored = UsageLog.objects.get(pk=log.pk)
    after = explanation_text.format_value(charge_history.current_value(stored))
    changes = {"charge": [before, after], "usage_state": [log.usage_state, stored.usage_state]}
    LogEntry.objects.log_create(
        stored, action=LogEntry.Action.UPDATE, changes=changes, actor=actor, additional_data={"reason": reason}
    )
    return f"Call {log.event_id}: usage stated later, from {before} to {after}."
