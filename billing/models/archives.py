"""Archives of usage logs: their files, and the keys and totals that stay in the database."""

from __future__ import annotations

from django.db import models

from billing.models.accounts import Account
from billing.models.rollups import DayCounters
from billing.models.usage import UsageState
from lib import ids


class Installation(models.Model):
    """The id of this database, stored on first use. It is in the path of every archive, so that none overwrites another's."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    key = models.UUIDField(editable=False)

    class Meta:
        db_table = "installation"

    def __str__(self) -> str:
        return str(self.key)


class Archive(models.Model):
    """The archive of an account's closed usage period: its logs are written to a file, then deleted from the database.

    From `begun_at` on, the period's logs can no longer be corrected. Logs before byte `offset` of the file are deleted.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_constraint=False, db_index=False)
    period = models.DateField()
    begun_at = models.DateTimeField("started at")
    folder = models.CharField(
        max_length=100, blank=True, default="", db_default="", help_text="Folder of its file within ARCHIVE_DIR."
    )
    verified_at = models.DateTimeField(null=True, help_text="When the complete file was read back and verified.")
    finished_at = models.DateTimeField(null=True, help_text="When the last log was deleted.")
    logs = models.BigIntegerField(default=0, help_text="Logs in the file.")
    size = models.BigIntegerField(default=0, help_text="File size in bytes.")
    sha256 = models.CharField("SHA-256", max_length=64, blank=True)
    offset = models.BigIntegerField(default=0)
    deleted = models.BigIntegerField(default=0, help_text="Logs deleted from the database.")
    trouble = models.CharField(
        "error", max_length=300, blank=True, help_text="Why archiving failed; the next run tries again."
    )

    class Meta:
        db_table = "archives"
        ordering = ["-begun_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["account", "period"], name="archives_once")]
        indexes = [models.Index(fields=["finished_at"], name="archives_unfinished")]

    def __str__(self) -> str:
        return f"{self.period:%Y-%m}"

    @property
    def state(self) -> str:
        """failed, deleted, deleting, exported or pending."""
        if self.trouble:
            return "failed"
        if self.finished_at:
            return "deleted"
        if self.deleted:
            return "deleting"
        return "exported" if self.verified_at else "pending"


class ArchivedEvent(models.Model):
    """The key of an archived log, and the columns that answer a duplicate of its event."""

    pk = models.CompositePrimaryKey("account_id", "event_key")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_constraint=False, db_index=False)
    event_key = models.UUIDField()
    log = models.UUIDField(help_text="Id of the archived log.")
    digest = models.UUIDField()
    provider = models.CharField(max_length=50)
    actual_provider_name = models.CharField(max_length=50)
    confidence = models.CharField(max_length=10)
    cost_total = models.BigIntegerField()
    cost_source = models.CharField(max_length=12)
    usage_state = models.CharField(max_length=10, default=UsageState.COMPLETE, db_default=UsageState.COMPLETE)
    unpriced_reason = models.CharField(max_length=20, null=True)  # noqa: DJ001 - as in UsageLog
    period = models.DateField(help_text="Period of the archive that contains it.")

    class Meta:
        db_table = "archived_events"

    def __str__(self) -> str:
        return str(self.log)


class ArchivedUsage(DayCounters):
    """Rollup totals of the archived logs at closing; ledger checks add them to the totals of the remaining logs."""

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
