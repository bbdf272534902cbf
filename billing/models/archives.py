"""What stays in the database of archived usage logs: which file they are in, their keys, and what they added up to."""

from __future__ import annotations

from django.db import models

from billing.models.accounts import Account
from billing.models.rollups import DayCounters
from lib import ids


class Archive(models.Model):
    """An account's closed usage period on its way into a file, and out of the log.

    From `begun_at` on nothing corrects the period's logs. `offset` is how far into the file its logs are gone.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_constraint=False, db_index=False)
    period = models.DateField()
    begun_at = models.DateTimeField()
    verified_at = models.DateTimeField(null=True, help_text="When the whole file was read back, and found right.")
    finished_at = models.DateTimeField(null=True, help_text="When the last log was deleted.")
    logs = models.BigIntegerField(default=0, help_text="In the file.")
    size = models.BigIntegerField(default=0, help_text="Bytes of the file.")
    sha256 = models.CharField("SHA-256", max_length=64, blank=True)
    offset = models.BigIntegerField(default=0)
    deleted = models.BigIntegerField(default=0, help_text="Logs that are in the file alone.")
    trouble = models.CharField(max_length=300, blank=True, help_text="Why it does not go on; a later run tries again.")

    class Meta:
        db_table = "archives"
        ordering = ["-begun_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["account", "period"], name="archives_once")]
        indexes = [models.Index(fields=["finished_at"], name="archives_unfinished")]

    def __str__(self) -> str:
        return f"{self.period:%Y-%m}"

    @property
    def state(self) -> str:
        """trouble, deleted, deleting, exported or begun."""
        if self.trouble:
            return "trouble"
        if self.finished_at:
            return "deleted"
        if self.deleted:
            return "deleting"
        return "exported" if self.verified_at else "begun"


class ArchivedEvent(models.Model):
    """The key of a log that was archived, and what the answer to a repeat of its event shows."""

    pk = models.CompositePrimaryKey("account_id", "event_key")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_constraint=False, db_index=False)
    event_key = models.UUIDField()
    log = models.UUIDField(help_text="The id that it had.")
    digest = models.UUIDField()
    provider = models.CharField(max_length=50)
    actual_provider_name = models.CharField(max_length=50)
    confidence = models.CharField(max_length=10)
    cost_total = models.BigIntegerField()
    cost_source = models.CharField(max_length=12)
    period = models.DateField(help_text="Of the archive that it is in.")

    class Meta:
        db_table = "archived_events"

    def __str__(self) -> str:
        return str(self.log)


class ArchivedUsage(DayCounters):
    """What archived logs add to the rollups, as these were closed: the ledger's check counts it with the logs that are left."""

    pk = models.CompositePrimaryKey("account_id", "day", "period", "utc_day", "declared", "actual", "category", "model")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_constraint=False, db_index=False)
    day = models.DateField()
    period = models.DateField()
    utc_day = models.DateField()
    declared = models.CharField(max_length=50)
    actual = models.CharField(max_length=50)
    category = models.CharField(max_length=20)
    model = models.CharField(max_length=200)

    class Meta:
        db_table = "archived_usage"

    def __str__(self) -> str:
        return f"{self.account_id} {self.day} {self.actual}"
