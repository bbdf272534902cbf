"""The ledger: append-only usage logs, and the adjustments that correct them."""

from __future__ import annotations

from typing import Any

from django.db import models

from billing.models.accounts import Account
from lib import ids
from providers import model_ids


class Category(models.TextChoices):
    TEXT = "text", "Text"
    EMBEDDING = "embedding", "Embedding"
    IMAGE = "image", "Image"
    IMAGE_EDIT = "image_edit", "Image edit"
    VIDEO = "video", "Video"
    AUDIO = "audio", "Audio"
    SEARCH = "search", "Search"
    CRAWL = "crawl", "Crawl"
    OTHER = "other", "Other"


class CostSource(models.TextChoices):
    PRICE_BOOK = "price_book", "price book"
    CALLER = "caller", "sent by the caller"
    FREE = "free", "free"
    UNPRICED = "unpriced", "unpriced"
    ESTIMATE = "estimate", "estimate"
    VENDOR = "vendor", "stated by the vendor"


class UsageState(models.TextChoices):
    """How much of a call's usage is known: all of it, a part, or nothing that its price rates."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    UNKNOWN = "unknown"


class UnpricedReason(models.TextChoices):
    PRICE_UNKNOWN = "price_unknown", "price unknown"
    CONDITION_UNKNOWN = "condition_unknown", "condition unknown to the price"
    USAGE_UNKNOWN = "usage_unknown", "usage unknown"


class Confidence(models.TextChoices):
    EXACT = "exact"
    STRONG = "strong"
    WEAK = "weak"
    FALLBACK = "fallback"


COMPLETE = UsageState.COMPLETE.value
ESTIMATED_SOURCES = (CostSource.ESTIMATE.value, CostSource.UNPRICED.value)  # unpriced at first, and priced since


class ProviderDisplay:
    """Properties shared by the classes that have a log's columns."""

    __slots__ = ()

    status_code: Any  # columns, declared by each class
    provider: Any
    actual_provider_name: Any
    confidence: Any
    cost_source: Any
    is_priced: Any
    usage_state: Any

    @property
    def failed(self) -> bool:
        return bool(self.status_code >= 400)

    @property
    def is_estimated(self) -> bool:
        """Whether the current cost is an estimate, as the complete usage is not known."""
        return bool(self.usage_state != COMPLETE and self.is_priced and self.cost_source in ESTIMATED_SOURCES)

    @property
    def display_provider(self) -> str:
        """The actual provider; the declared label until one is detected."""
        return str(self.actual_provider_name or model_ids.normalize(self.provider))

    @property
    def display_confidence(self) -> str:
        return str(self.confidence) if self.actual_provider_name else "fallback"


class UsageLog(ProviderDisplay, models.Model):
    """One AI call. Append-only; only the projection columns change, together with an adjustment that explains the change.

    Money is nano-USD. `actual_provider_name` NULL is not yet detected: pages show the declared label with `fallback`.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_constraint=False, db_index=False)
    event_id = models.CharField(max_length=256)
    event_key = models.UUIDField()
    digest = models.UUIDField()
    provider = models.CharField("declared provider", max_length=50)
    category = models.CharField(max_length=20, choices=Category)
    model_used = models.CharField("model", max_length=200, blank=True)
    endpoint = models.CharField(max_length=2000, blank=True)
    method = models.CharField(max_length=10, blank=True)
    variant = models.JSONField(default=dict)
    tokens_input = models.BigIntegerField(default=0)
    tokens_output = models.BigIntegerField(default=0)
    tokens_total = models.BigIntegerField(default=0)
    tokens_cached = models.BigIntegerField(default=0)
    tokens_cache_write = models.BigIntegerField(default=0)
    units = models.JSONField(default=dict)
    cached_included = models.BooleanField(default=True)
    cost_input = models.BigIntegerField(default=0)
    cost_output = models.BigIntegerField(default=0)
    cost_other = models.BigIntegerField(default=0)
    cost_total = models.BigIntegerField(default=0)
    price_id = models.BigIntegerField(null=True)
    cost_source = models.CharField(max_length=12, choices=CostSource)
    response_time_ms = models.BigIntegerField(default=0)
    status_code = models.PositiveSmallIntegerField(default=200)
    error_message = models.TextField(blank=True)
    retry_count = models.PositiveIntegerField(default=0)
    request_bytes = models.BigIntegerField(null=True)
    response_bytes = models.BigIntegerField(null=True)
    user_agent = models.CharField(max_length=500, blank=True)
    ip_address = models.CharField(max_length=45, blank=True)
    timestamp = models.DateTimeField()
    received_at = models.DateTimeField()
    usage_day = models.DateField()
    usage_period = models.DateField()
    late_for = models.DateField(null=True)
    counts_at = models.DateTimeField(
        null=True,
        help_text="Instant that decides day and period, if neither the call's nor, where late, the receipt's.",
    )
    checksum = models.BigIntegerField(null=True, help_text="Of the columns that never change; null: stored without.")
    metadata = models.JSONField(default=dict)
    is_billable = models.BooleanField(default=True)
    # Projections: the log's current state. verify_ledger checks them against the adjustments.
    effective_nano = models.BigIntegerField(default=0)
    is_priced = models.BooleanField(default=True)
    voided_at = models.DateTimeField(null=True)
    actual_provider_name = models.CharField("actual provider", max_length=50, null=True)  # noqa: DJ001 - NULL: not yet detected
    confidence = models.CharField(max_length=10, choices=Confidence, blank=True, default="")
    detection_rule = models.CharField(max_length=100, blank=True, default="")
    evidence = models.CharField(max_length=300, blank=True, default="")
    served_by = models.CharField(max_length=100, blank=True, default="")
    # Database defaults: processes of the previous release insert rows without these columns.
    usage_state = models.CharField(
        max_length=10, choices=UsageState, default=UsageState.COMPLETE, db_default=UsageState.COMPLETE
    )
    unpriced_reason = models.CharField(max_length=20, choices=UnpricedReason, null=True)  # noqa: DJ001 - NULL: priced
    calls = models.BigIntegerField(default=1, db_default=1, help_text="Above 1: an aggregated row of that many calls.")
    reading = models.JSONField(null=True, help_text="How the usage was read from a vendor's response.")
    resolved = models.JSONField(
        null=True, help_text="Usage or cost that was stated later, and the tokens that count since: in, out, total."
    )

    class Meta:
        db_table = "api_usage_logs"
        verbose_name = "usage log"
        constraints = [models.UniqueConstraint(fields=["account", "event_key"], name="api_usage_logs_once")]
        indexes = [
            models.Index(fields=["account", "-timestamp"], name="api_usage_logs_by_account"),
            models.Index(fields=["-timestamp", "id"], name="api_usage_logs_by_time"),
        ]

    def __str__(self) -> str:
        return self.event_id

    @property
    def external_id(self) -> str:
        """The account's external_id."""
        return self.account.external_id


class UsageAdjustment(models.Model):
    """A correction of a log; never edited, only reverted by another adjustment.

    A log's value is its cost plus the sum of its adjustments' `delta_nano`. `details` has the values before and after;
    `batch` is the id of its CorrectionBatch.
    """

    class Kind(models.TextChoices):
        VOID = "void"
        REPRICE = "reprice", "Re-price"
        REDETECT = "redetect"
        CREDIT = "credit"
        RESOLVE = "resolve"
        REVERT = "revert"

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_constraint=False, db_index=False)
    log = models.ForeignKey(UsageLog, on_delete=models.PROTECT, null=True, db_constraint=False, db_index=False)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    delta_nano = models.BigIntegerField(default=0)
    reason = models.CharField(max_length=500, blank=True)
    actor = models.CharField(max_length=150, blank=True)
    batch = models.UUIDField(null=True)
    reverted_by = models.UUIDField(null=True)
    period = models.DateField(help_text="Period in which the adjustment counts.")
    corrects_period = models.DateField(help_text="Period of the corrected log.")
    details = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    late_at = models.DateTimeField(null=True, help_text="created_at, if the log's period was closed by then.")
    counts_at = models.DateTimeField(null=True, help_text="Instant at which the corrected call counts in its period.")

    class Meta:
        db_table = "usage_adjustments"
        indexes = [
            models.Index(fields=["account", "log"], name="usage_adjustments_by_log"),
            models.Index(fields=["batch", "account", "id"], name="usage_adjustments_of_batch"),
            models.Index(fields=["account", "period", "late_at"], name="usage_adjustments_late_in"),
            models.Index(fields=["late_at"], name="usage_adjustments_late"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.log_id}"


class ErasureCursor(models.Model):
    """Progress of jobs that read every log once, by order of receipt: they have read the logs up to this id."""

    ADDRESSES = "addresses"
    UNREAD_FIELDS = "unread_fields"

    what = models.CharField(max_length=20, primary_key=True)
    log = models.UUIDField()

    class Meta:
        db_table = "erased_up_to"

    def __str__(self) -> str:
        return f"{self.what} {self.log}"
