"""Files of usage events that operators import in the admin, and the logs that each of them created."""

from __future__ import annotations

from django.db import models

from billing.models.corrections import CorrectionBatch
from lib import ids


class UsageImport(models.Model):
    """A file of usage events, and how far the check or the import of it is.

    `position` counts the rows that the current phase has processed; it moves with what they changed, in one transaction.
    `checked` and `imported` hold the totals of the dry run and of the import (billing/imports/import_totals.py).
    """

    class State(models.TextChoices):
        UPLOADED = "uploaded"
        CHECKING = "checking"
        CHECKED = "checked"
        IMPORTING = "importing"
        STOPPED = "stopped"
        FINISHED = "finished"
        DISCARDED = "discarded"

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    name = models.CharField(max_length=200, help_text="Name of the uploaded file; never used as a path.")
    stored_name = models.CharField(max_length=60, help_text="Name of the file within IMPORT_DIR.")
    size = models.BigIntegerField(default=0, help_text="File size in bytes; 0 until the upload is complete.")
    options = models.JSONField(default=dict, help_text="The format and the mapping.")
    actor = models.CharField(max_length=150)
    created_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.UPLOADED)
    attempt = models.PositiveIntegerField(default=0, help_text="Counts the starts; a run ends when it changes.")
    position = models.BigIntegerField(default=0)
    checked = models.JSONField(null=True)
    imported = models.JSONField(null=True)
    trouble = models.CharField("error", max_length=300, blank=True, help_text="Why the last run stopped.")
    finished_at = models.DateTimeField(null=True)
    void_batch = models.ForeignKey(CorrectionBatch, on_delete=models.PROTECT, null=True, db_constraint=False)

    class Meta:
        db_table = "usage_imports"
        ordering = ["-created_at", "-id"]
        verbose_name = "import"
        default_permissions = ()
        permissions = [("import_usage", "Can import usage from files")]
        indexes = [models.Index(fields=["-created_at", "-id"], name="usage_imports_by_time")]

    def __str__(self) -> str:
        return self.name


class ImportedRange(models.Model):
    """The logs that one transaction of an import created: all logs with an id from `first` to `last`.

    The ids of a transaction are consecutive in a block of their own (lib/ids.py), so no other log has an id between them.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    usage_import = models.ForeignKey(UsageImport, on_delete=models.PROTECT, db_index=False)
    position = models.BigIntegerField(help_text="Rows of the file before this transaction.")
    first = models.UUIDField()
    last = models.UUIDField()
    logs = models.PositiveIntegerField()

    class Meta:
        db_table = "imported_ranges"
        constraints = [models.UniqueConstraint(fields=["usage_import", "position"], name="imported_ranges_once")]

    def __str__(self) -> str:
        return f"{self.usage_import_id} {self.position}"
