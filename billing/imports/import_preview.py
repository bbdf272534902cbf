"""The first rows of a file as they would be recorded. Nothing is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from billing.events.events import Event
from billing.events.lines import ImportLine
from billing.imports import import_source
from billing.models import UsageImport
from billing.recording import bulk_import
from billing.recording.metering import Result

MAX_ROWS = 20


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """A row of the file, and the outcome that recording it would have."""

    line: ImportLine
    result: Result

    @property
    def event(self) -> Event | None:
        return self.line.event if isinstance(self.line.event, Event) else None


@dataclass(frozen=True, slots=True)
class Preview:
    """The first rows, and what the file has beside events so far (import_source.describe)."""

    rows: list[PreviewRow]
    file: dict[str, Any]


def load(usage_import: UsageImport, at: datetime) -> Preview:
    """Raises BadMapping, ChangedFile or OSError."""
    with import_source.open_file(usage_import) as file:
        lines = list(islice(file.lines, MAX_ROWS))
        described = import_source.describe(file)
    results = bulk_import.record_batch(lines, at, dry_run=True) if lines else []
    return Preview([PreviewRow(line, result) for line, result in zip(lines, results, strict=True)], described)
