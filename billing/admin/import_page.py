"""What the page of an import shows: its state, a preview, totals, and what may be done with it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from billing.corrections import batch_progress, corrections, import_voids
from billing.imports import import_preview, import_steps
from billing.imports.import_totals import ImportTotals, ModelTotals
from billing.models import UsageImport
from lib import money

State = UsageImport.State
BADGES = {
    State.UPLOADED: "plain",
    State.CHECKING: "warning",
    State.CHECKED: "plain",
    State.IMPORTING: "warning",
    State.STOPPED: "critical",
    State.FINISHED: "ok",
    State.DISCARDED: "unknown",
}
MAX_REFUSALS_SHOWN = 20
PREVIEWED = (State.UPLOADED, State.CHECKED)


def badge(usage_import: UsageImport) -> tuple[str, str]:
    """The style and the text of the state."""
    batch = usage_import.void_batch
    if batch and batch_progress.state(batch) != "reverted":
        return ("unknown", "voided") if batch.finished_at else ("warning", "voiding")
    return BADGES[State(usage_import.state)], State(usage_import.state).value


def imported_total(usage_import: UsageImport) -> ModelTotals:
    return ImportTotals.from_json(usage_import.imported).total()


def format_count(count: int) -> str:
    return format_html('<span class="num">{}</span>', f"{count:,}")


def format_cost(nano: int) -> str:
    return format_html('<span class="num" title="${}">{}</span>', money.exact_usd(nano), money.format_usd(nano))


def progress(usage_import: UsageImport) -> dict[str, Any]:
    """The live part: state, position, and the number of rows, which is known once the file is checked."""
    checked = ImportTotals.from_json(usage_import.checked) if usage_import.checked else None
    style, text = badge(usage_import)
    return {
        "import": usage_import,
        "badge": style,
        "state": text,
        "running": usage_import.state in import_steps.RUNNING,
        "row_count": checked.counts.read if checked and usage_import.state == State.IMPORTING else None,
    }


def context_for(request: HttpRequest, usage_import: UsageImport) -> dict[str, Any]:
    imported = usage_import.imported is not None
    stored = usage_import.imported if imported else usage_import.checked
    preview = _preview(usage_import)
    totals, state, batch = ImportTotals.from_json(stored), State(usage_import.state), usage_import.void_batch
    may_void = request.user.has_perm(corrections.CORRECT_PERMISSION)
    return {
        "title": "Import",
        **progress(usage_import),
        **preview,
        "totals": totals if stored else None,
        "is_dry_run": not imported,
        "total": totals.total(),
        "file": (stored or {}).get("file") or (preview["preview"].file if "preview" in preview else None),
        "refusals": totals.refusals[:MAX_REFUSALS_SHOWN],
        "more_refusals": totals.counts.refused - MAX_REFUSALS_SHOWN,
        "may_check": state in PREVIEWED,
        "may_discard": state in import_steps.DISCARDABLE,
        "may_see_logs": totals.counts.statuses["accepted"] > 0 and imported,
        "void_batch": batch,
        "void_running": batch is not None and batch_progress.state(batch) == "running",
        "void_reverted": batch is not None and batch_progress.state(batch) == "reverted",
        "may_void": may_void
        and imported
        and state in import_voids.VOIDABLE_STATES
        and _has_calls_to_void(usage_import),
    }


def void_sentences(usage_import: UsageImport) -> list[str]:
    """What a void would do, with count and sum."""
    voidable, totals = import_voids.summarize(usage_import), ImportTotals.from_json(usage_import.imported)
    if voidable.complete:
        logs, calls, unpriced, nano = voidable.logs, voidable.calls, voidable.unpriced, voidable.nano
    else:
        total = totals.total()
        logs, calls, unpriced, nano = totals.counts.statuses["accepted"], total.calls, total.unpriced, total.cost_nano
    amount = f"{logs:,} usage logs ({calls:,} calls, {unpriced:,} of them unpriced)"
    when = "today" if voidable.complete else "when they were imported"
    return [
        f"This voids {amount} that cost {money.format_usd(nano)} {when}: the cost becomes $0, and they leave all totals.",
        "Calls that were already stored before this import stay as they are.",
        "Calls in closed periods become adjustments of the next statement. Calls in archived periods can't be voided.",
        "To undo this, revert its correction batch. Importing the file again would not: its rows are stored already.",
    ]


def _has_calls_to_void(usage_import: UsageImport) -> bool:
    batch = usage_import.void_batch
    unfinished = batch is None or batch_progress.state(batch) != "finished"
    return unfinished and ImportTotals.from_json(usage_import.imported).counts.statuses["accepted"] > 0


def _preview(usage_import: UsageImport) -> dict[str, Any]:
    if usage_import.state not in PREVIEWED:
        return {}
    try:
        preview = import_preview.load(usage_import, timezone.now())
    except import_steps.EXPECTED_ERRORS as error:
        return {"preview_error": str(error)}
    return {"preview": preview}
