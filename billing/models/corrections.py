"""Correction batches, and closed usage periods."""

from __future__ import annotations

from django.db import models

from billing.models.accounts import Account
from billing.models.usage import UsageAdjustment
from lib import ids


class CorrectionBatch(models.Model):
    """A batch of corrections: a single void, a re-pricing, a redetection, or the revert of another batch.

    `choice` selects the logs. A batch without `finished_at` continues when the same correction is requested again.
    One with `failed_accounts` has examined all logs, and is retried for these accounts alone.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    kind = models.CharField(max_length=10, choices=UsageAdjustment.Kind.choices)
    reason = models.CharField(max_length=500)
    actor = models.CharField(max_length=150)
    choice = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    reverted_at = models.DateTimeField(null=True)
    logs = models.BigIntegerField(default=0, help_text="Logs corrected.")
    skipped = models.BigIntegerField(default=0, help_text="Logs that could not be corrected.")
    skips = models.JSONField(null=True, help_text="Skipped logs by reason.")
    failed_accounts = models.JSONField(null=True, help_text="Accounts whose logs are still open because of an error.")
    delta_nano = models.BigIntegerField(default=0, help_text="Change of the total, in nano-USD.")

    class Meta:
        db_table = "correction_batches"
        ordering = ["-created_at", "-id"]
        verbose_name = "correction batch"
        verbose_name_plural = "correction batches"
        indexes = [models.Index(fields=["-created_at", "-id"], name="correction_batches_by_time")]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


class ClosedPeriod(models.Model):
    """A closed usage period. Later corrections of its logs count in the period that is open then."""

    pk = models.CompositePrimaryKey("account_id", "period")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_constraint=False, db_index=False)
    period = models.DateField()
    closed_at = models.DateTimeField()

    class Meta:
        db_table = "closed_periods"

    def __str__(self) -> str:
        return f"{self.account_id} {self.period}"
