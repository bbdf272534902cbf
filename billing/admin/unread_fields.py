"""Unread fields: the list, a field's page, and the page that confirms what a decision changes."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html

from billing.admin.confirm import confirm
from billing.charges import explanation_text
from billing.corrections import batch_progress, corrections, unread_resolution
from billing.corrections.unread_resolution import Preview
from billing.events import unread_fields
from billing.models import UnreadField
from lib import changelist, money
from providers import quantities

State = UnreadField.State
VIEW_PERMISSION = "billing.view_usagelog"
MAX_PREVIEW_LOGS = 20_000  # calls that a preview reads, about two seconds
BADGES = {State.OPEN: "warning", State.MAPPED: "ok", State.DISMISSED: "unknown"}
DISMISS, REOPEN = "dismiss", "reopen"  # beside units


class DecisionChoice(NamedTuple):
    state: State
    unit: str


class DecisionForm(forms.Form):
    """Chooses a decision: a unit, DISMISS or REOPEN."""

    decision = forms.ChoiceField(
        choices=[
            (DISMISS, "Dismiss: informational, bills nothing"),
            ("Count as", [(unit, explanation_text.unit_label(unit)) for unit in unread_fields.UNITS]),
            (REOPEN, "Reopen: not decided"),
        ]
    )

    def choice(self) -> DecisionChoice:
        decision: str = self.cleaned_data["decision"]
        states = {DISMISS: State.DISMISSED, REOPEN: State.OPEN}
        return DecisionChoice(states.get(decision, State.MAPPED), "" if decision in states else decision)


@admin.register(UnreadField)
class UnreadFieldAdmin(changelist.ReadOnlyAdmin):
    empty_state = "No unread fields: readers know every number in the responses of the last calls."
    list_display = ("path", "reader_name", "decision", "call_count", "example", "model_name", "last_seen")
    list_filter = ("state", "reader")
    search_fields = ("path__icontains",)
    search_help_text = "Search by part of the path"
    ordering = ("-state", "-last_at", "pk")  # open ones first
    change_form_template = "admin/billing/unreadfield/change_form.html"

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401
        return request.user.has_perm(VIEW_PERMISSION)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_urls(self) -> list[Any]:
        decide = self.admin_site.admin_view(self.decide)
        return [path("<int:pk>/decide/", decide, name="billing_unreadfield_decide"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        field = self.get_object(request, object_id)
        extra: dict[str, Any] = {"title": "Unread field", "field": field, "form": DecisionForm()}
        if isinstance(field, UnreadField):
            extra |= {"decided": _describe(field), "badge": BADGES[State(field.state)]}
            extra["may_decide"] = request.user.has_perm(corrections.CORRECT_PERMISSION)
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **extra})

    def decide(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask to confirm the decision in the query string, then store it and complete past calls for some seconds."""
        if not request.user.has_perm(corrections.CORRECT_PERMISSION):
            raise PermissionDenied
        field, form = get_object_or_404(UnreadField, pk=pk), DecisionForm(request.GET)
        page = reverse("admin:billing_unreadfield_change", args=[pk])
        if not form.is_valid():
            return redirect(page)
        choice = form.choice()
        return confirm(
            request,
            title=_button(choice),
            sentences=_sentences(field, choice) if request.method == "GET" else [],
            form_class=forms.Form,
            action=partial(_apply, request, field, choice),
            parent_title=str(field),
            back_url=page,
        )

    @admin.display(description="Reader", ordering="reader")
    def reader_name(self, field: UnreadField) -> str:
        return field.reader or "no reader"

    @admin.display(description="Decision")
    def decision(self, field: UnreadField) -> str:
        return format_html('<span class="badge {}">{}</span>', BADGES[State(field.state)], _describe(field))

    @admin.display(description="Calls")
    def call_count(self, field: UnreadField) -> str:
        return format_html('<span class="num">{}</span>', f"{field.total_calls:,}")

    @admin.display(description="Example")
    def example(self, field: UnreadField) -> str:
        return format_html('<span class="num">{}</span>', field.example_value or "-")

    @admin.display(description="Model")
    def model_name(self, field: UnreadField) -> str:
        return field.example_model or "-"

    @admin.display(description="Last seen (UTC)")
    def last_seen(self, field: UnreadField) -> str:
        return f"{field.last_at:%Y-%m-%d %H:%M}" if field.last_at else "-"


def _describe(field: UnreadField) -> str:
    if field.state == State.MAPPED:
        return f"counts as {explanation_text.unit_label(field.unit)}"
    return str(State(field.state).label)


def _button(choice: DecisionChoice) -> str:
    if choice.state == State.MAPPED:
        return f"Count as {explanation_text.unit_label(choice.unit)}"
    return "Dismiss field" if choice.state == State.DISMISSED else "Reopen field"


def _sentences(field: UnreadField, choice: DecisionChoice) -> list[str]:
    """What the decision means for new calls, and what it changes in past ones."""
    if choice.state == State.OPEN:
        return [
            "New calls with this field are incomplete again: their cost is an estimate until you decide.",
            "Past calls stay as they are. To undo an earlier decision for them, revert its correction batch.",
        ]
    preview = unread_resolution.preview(field, state=choice.state, unit=choice.unit, max_logs=MAX_PREVIEW_LOGS)
    return [*_meaning(choice.unit), *_effect(preview)]


def _meaning(unit: str) -> list[str]:
    if not unit:
        return [
            "The number bills nothing: in new calls from now on, and in past calls that have no other unread field."
        ]
    label = explanation_text.unit_label(unit)
    added = f"The number is added to the {label} of each call: of new ones from now on, and of past ones without other"
    is_part = unit in quantities.INPUT_PARTS or unit in quantities.OUTPUT_PARTS
    whole = "output" if unit in quantities.OUTPUT_PARTS else "input"
    part = f" It is taken as a part of the {whole} tokens that are already read, and not added to these."
    return [f"{added} unread fields, at the price of the day.{part if is_part else ''}"]


def _effect(preview: Preview) -> list[str]:
    change = preview.change
    count = f"{'' if preview.complete else 'More than '}{change.calls:,} past call{'' if change.calls == 1 else 's'}"
    before, after, delta = map(money.exact_usd, (change.old_nano, change.new_nano, change.delta_nano))
    changed = f"changes from ${before} to ${after}, by ${delta}" if change.delta_nano else f"stays ${before}"
    difference = f" The cost {changed}."
    unpriced = f" {change.unpriced:,} of them stay unpriced." if change.unpriced else ""
    lines = [f"{count} will be complete.{difference if change.calls else ''}{unpriced}"]
    if change.calls:
        lines.append(
            "Corrections of closed periods are lines of the next statement. You can revert the batch of corrections."
        )
    return [*lines, *batch_progress.describe_skips(preview.skipped)]


def _apply(request: HttpRequest, field: UnreadField, choice: DecisionChoice, _data: dict[str, Any]) -> str:
    """Store the decision and complete past calls. Returns what was done; a job continues what is left. Raises Refused."""
    actor = request.user.get_username()
    batch = unread_resolution.decide(field, state=choice.state, unit=choice.unit, actor=actor, at=timezone.now())
    if batch is None:
        return "The field is open again."
    done = batch_progress.continue_batch(batch, clock=timezone.now)
    batch.refresh_from_db()
    url = reverse("admin:billing_correctionbatch_change", args=[batch.pk])
    state = "" if done else " The rest follows within minutes."
    text = '{} calls completed, difference ${}.{} <a href="{}">Show the batch</a>'
    return format_html(text, f"{batch.logs:,}", money.exact_usd(batch.delta_nano), state, url)
