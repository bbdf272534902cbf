"""The states of an import, and the steps of its check and its import: one transaction for some rows of the file.

The rows, their totals, the range of the logs that they created and the position in the file are committed together, so a
killed run continues at the next row, and of two runs only one commits a step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from django.db.models import F

from billing.events.lines import ImportLine
from billing.events.usage_files.usage_file import UsageFile
from billing.imports import import_source, stored_files
from billing.imports.import_totals import ImportTotals
from billing.models import ImportedRange, UsageImport
from billing.recording import bulk_import
from billing.recording.metering import Result
from lib import isolation, retry

State = UsageImport.State
BATCH_SIZE = 1_000  # rows per transaction
REQUEST_SECONDS = 3  # of work in one request; the job does the rest
RUNNING = (State.CHECKING, State.IMPORTING)
STOPPABLE = {State.CHECKING: State.UPLOADED, State.IMPORTING: State.STOPPED}
DISCARDABLE = (State.UPLOADED, State.CHECKED, State.STOPPED)
EXPECTED_ERRORS = (import_source.BadMapping, import_source.ChangedFile, OSError)
Clock = Callable[[], datetime]


class Superseded(Exception):
    """The import was stopped, or another process did this step; the step is rolled back."""


def start_check(usage_import: UsageImport, options: dict[str, Any]) -> bool:
    """Begin a dry run with these options. Returns False if the import is not in a state for it."""
    values = {"options": options, "position": 0, "checked": None}
    return _move(usage_import, (State.UPLOADED, State.CHECKED), State.CHECKING, **values)


def set_options(usage_import: UsageImport, options: dict[str, Any]) -> bool:
    """Change the options, so that the file has to be checked again. Returns False if its import has begun."""
    values = {"options": options, "position": 0, "checked": None}
    return _move(usage_import, (State.UPLOADED, State.CHECKED), State.UPLOADED, **values)


def start_import(usage_import: UsageImport) -> bool:
    """Begin the import of a checked file. Returns False if it is not checked, or has begun already."""
    return _move(usage_import, (State.CHECKED,), State.IMPORTING, position=0, imported=ImportTotals().as_json())


def resume(usage_import: UsageImport) -> bool:
    """Continue a stopped import. True also if it, or a check, is running: its job may have been killed."""
    return _move(usage_import, (State.STOPPED,), State.IMPORTING) or usage_import.state in RUNNING


def stop(usage_import: UsageImport) -> bool:
    return any(_move(usage_import, (running,), stopped) for running, stopped in STOPPABLE.items())


def discard(usage_import: UsageImport, at: datetime) -> bool:
    """Give the file up; after the commit it can be deleted. What was imported from it stays.

    Returns False if a run has to be stopped first.
    """
    return _move(usage_import, DISCARDABLE, State.DISCARDED, finished_at=at)


def run(usage_import: UsageImport, *, seconds: int, clock: Clock) -> bool:
    """Check or import for `seconds`, and for one step at least. Returns whether the phase has ended.

    An error ends the phase: it is stored as `trouble`, and the operator can continue.
    """
    problems: list[str] = []
    try:
        done = isolation.attempt(
            lambda: _run_until_deadline(usage_import, seconds, clock),
            name=str(usage_import.pk),
            problems=problems,
            passing=(*EXPECTED_ERRORS, Superseded),
        )
    except Superseded:
        done = False
    except EXPECTED_ERRORS as error:
        done, problems = False, [str(error) or repr(error)]
    for problem in problems:
        stopped = STOPPABLE.get(State(usage_import.state), State.STOPPED)
        _current(usage_import).update(state=stopped, trouble=problem.removeprefix(f"{usage_import.pk}: ")[:300])
    usage_import.refresh_from_db()
    return bool(done)


def _run_until_deadline(usage_import: UsageImport, seconds: int, clock: Clock) -> bool:
    with import_source.open_file(usage_import) as file:
        deadline = None
        for _ in _steps(usage_import, file, clock):
            deadline = deadline or time.monotonic() + seconds  # skipping the rows of earlier runs takes its time
            if time.monotonic() >= deadline:
                return False
    return True


def _steps(usage_import: UsageImport, file: UsageFile, clock: Clock) -> Iterator[None]:
    """Process the rows from the stored position on; each step is committed when it is yielded. Raises Superseded."""
    lines = islice(file.lines, usage_import.position, None)
    importing = usage_import.state == State.IMPORTING
    while batch := list(islice(lines, BATCH_SIZE)):
        values = (
            _import_batch(usage_import, batch, clock()) if importing else _check_batch(usage_import, batch, clock())
        )
        for name, value in values.items():
            setattr(usage_import, name, value)
        yield
    _finish(usage_import, file, clock())


@retry.atomic
def _import_batch(usage_import: UsageImport, batch: list[ImportLine], at: datetime) -> dict[str, Any]:
    """Lock order: that of recording, then the range, then the import."""
    results = bulk_import.record_batch(batch, at)
    _add_range(usage_import, [UUID(bytes=result.log_id) for result in results if _is_new(result) and result.log_id])
    totals = ImportTotals.from_json(usage_import.imported)
    totals.add(batch, results)
    return _advance(usage_import, len(batch), imported=totals.as_json())


def _check_batch(usage_import: UsageImport, batch: list[ImportLine], at: datetime) -> dict[str, Any]:
    totals = ImportTotals.from_json(usage_import.checked)
    totals.add(batch, bulk_import.record_batch(batch, at, dry_run=True))
    return _advance(usage_import, len(batch), checked=totals.as_json())


def _is_new(result: Result) -> bool:
    return result.status == "accepted"


def _add_range(usage_import: UsageImport, new_ids: Collection[UUID]) -> None:
    if new_ids:
        ImportedRange.objects.create(
            usage_import=usage_import,
            position=usage_import.position,
            first=min(new_ids),
            last=max(new_ids),
            logs=len(new_ids),
        )


def _advance(usage_import: UsageImport, rows: int, **values: Any) -> dict[str, Any]:  # noqa: ANN401 - columns
    """Move the position, if the import is still where this run left it. Raises Superseded."""
    values["position"] = usage_import.position + rows
    if not _current(usage_import).update(**values):
        raise Superseded
    return values


def _finish(usage_import: UsageImport, file: UsageFile, at: datetime) -> None:
    column = "imported" if usage_import.state == State.IMPORTING else "checked"
    totals = getattr(usage_import, column) or ImportTotals().as_json()
    values: dict[str, Any] = {column: {**totals, "file": import_source.describe(file)}}
    if usage_import.state == State.CHECKING:
        _current(usage_import).update(state=State.CHECKED, **values)
    elif _current(usage_import).update(state=State.FINISHED, finished_at=at, **values):
        stored_files.remove(usage_import)


def _current(usage_import: UsageImport) -> Any:  # noqa: ANN401 - a queryset
    """The import's row, while it is in the state, attempt and position of this run."""
    return UsageImport.objects.filter(
        pk=usage_import.pk,
        state=usage_import.state,
        attempt=usage_import.attempt,
        position=usage_import.position,
    )


def _move(usage_import: UsageImport, states: Collection[State], target: State, **values: Any) -> bool:  # noqa: ANN401
    """Change the state by one conditional UPDATE. Returns whether it was in one of `states`."""
    movable = UsageImport.objects.filter(pk=usage_import.pk, state__in=states)
    moved = movable.update(state=target, attempt=F("attempt") + 1, trouble="", **values)
    usage_import.refresh_from_db()
    return bool(moved)
