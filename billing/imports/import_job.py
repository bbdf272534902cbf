"""Continues checks and imports in the background, and deletes files that nobody has decided on."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from billing.imports import import_steps, stored_files
from billing.imports.import_steps import Clock
from billing.models import UsageImport

MAX_SECONDS = 120  # of work in one run, so that other long jobs get their turn; it also skips the rows before
KEEP_UNDECIDED = timedelta(days=7)


def run(at: datetime, clock: Clock = timezone.now) -> str:
    """Work on the running imports, oldest first. Errors are stored with the import, where its operator sees them."""
    running = UsageImport.objects.filter(state__in=import_steps.RUNNING).order_by("created_at", "id")
    deadline, ended, files = time.monotonic() + MAX_SECONDS, 0, list(running)
    for usage_import in files:
        seconds = int(deadline - time.monotonic())
        if seconds <= 0:
            break
        ended += import_steps.run(usage_import, seconds=seconds, clock=clock)
    return f"{len(files)} files in progress, {ended} completed, {_discard_old(at)} discarded"


def _discard_old(at: datetime) -> int:
    """Discard undecided imports after KEEP_UNDECIDED, and delete files that a killed run left. Returns the imports' number."""
    old = UsageImport.objects.filter(state__in=import_steps.DISCARDABLE, created_at__lte=at - KEEP_UNDECIDED)
    discarded = sum(import_steps.discard(usage_import, at) for usage_import in old)
    folder, names = Path(settings.IMPORT_DIR), list[str]()
    with suppress(FileNotFoundError):
        names = [path.name for path in folder.iterdir()]
    for usage_import in UsageImport.objects.filter(stored_name__in=names, state__in=stored_files.ENDED):
        stored_files.remove(usage_import)
    return discarded
