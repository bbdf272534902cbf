"""The progress of an unfinished ledger check."""

from __future__ import annotations

from django.db import models

from lib import ids


class LedgerCheckProgress(models.Model):
    """Where a run of `verify_ledger` stopped, and what it had counted by check; deleted when the run ends."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    started_at = models.DateTimeField()
    saved_at = models.DateTimeField()
    scan = models.CharField(max_length=40, help_text="The pass over a table that it was in.")
    cursor = models.CharField(max_length=64, blank=True, help_text="The last page of it that is done; empty: none.")
    results = models.JSONField(default=dict)

    class Meta:
        db_table = "ledger_check_progress"

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M}"
