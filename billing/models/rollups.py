"""Rollups: derived totals, equal to the sum of logs and adjustments at every commit.

The grouping columns are the primary key, so there is one index to maintain. Providers and models are lower-cased and stripped.
"""

from __future__ import annotations

from django.db import models

from billing.models.accounts import Account

SLOTS = 16  # rows per platform total; each transaction writes one, so that writers do not wait for each other


class Counters(models.Model):
    """Columns of every rollup. Money is nano-USD."""

    calls = models.BigIntegerField(default=0)
    errors = models.BigIntegerField(default=0)
    tokens_total = models.BigIntegerField(default=0)
    cost_nano = models.BigIntegerField(default=0)
    unpriced_calls = models.BigIntegerField(default=0)
    estimated_calls = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        abstract = True


class DayCounters(Counters):
    billable_calls = models.BigIntegerField(default=0)
    fallback_calls = models.BigIntegerField(default=0)
    tokens_input = models.BigIntegerField(default=0)
    tokens_output = models.BigIntegerField(default=0)
    response_time_sum = models.BigIntegerField(default=0)

    class Meta:
        abstract = True


def _cost_constraints(prefix: str) -> list[models.BaseConstraint]:
    """Refuse a sum beyond 64 bits on every database; SQLite would silently turn it into a float."""
    within = models.Q(cost_nano__gte=-MAX_NANO) & models.Q(cost_nano__lte=MAX_NANO)
    return [models.CheckConstraint(condition=within, name=f"{prefix}_cost_fits")]


MAX_NANO = 9 * 10**18
MAX_PERIOD_NANO = 10**17  # of one account in one usage period: 100,000,000 USD
PROVIDER_BOUNDS_MS = (100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 120000, 300000)  # AI calls take minutes


class UsageDay(DayCounters):
    """An account's local day by declared provider, actual provider and category."""

    pk = models.CompositePrimaryKey("account_id", "day", "declared", "actual", "category")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_constraint=False, db_index=False)
    day = models.DateField()
    declared = models.CharField(max_length=50)
    actual = models.CharField(max_length=50)
    category = models.CharField(max_length=20)

    class Meta:
        db_table = "usage_days"
        constraints = _cost_constraints("usage_days")

    def __str__(self) -> str:
        return f"{self.account_id} {self.day} {self.actual}"


class UsageModel(Counters):
    """An account's usage period by actual provider and model."""

    pk = models.CompositePrimaryKey("account_id", "period", "actual", "model")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_constraint=False, db_index=False)
    period = models.DateField()
    actual = models.CharField(max_length=50)
    model = models.CharField(max_length=200)

    class Meta:
        db_table = "usage_models"
        constraints = _cost_constraints("usage_models")

    def __str__(self) -> str:
        return f"{self.account_id} {self.period} {self.model}"


class PlatformDay(DayCounters):
    """All accounts together, by UTC day; `slot` only spreads concurrent writes."""

    pk = models.CompositePrimaryKey("day", "declared", "actual", "category", "slot")
    day = models.DateField()
    declared = models.CharField(max_length=50)
    actual = models.CharField(max_length=50)
    category = models.CharField(max_length=20)
    slot = models.SmallIntegerField()

    class Meta:
        db_table = "platform_days"
        constraints = _cost_constraints("platform_days")

    def __str__(self) -> str:
        return f"{self.day} {self.actual}"


def _latency_field(text: str = "") -> models.BigIntegerField[int, int]:
    """Has a database default: processes of the previous release insert rows without these columns."""
    return models.BigIntegerField(db_default=0, help_text=text)


class ProviderMinute(models.Model):
    """Live calls by minute of receipt and actual provider, for provider health.

    The histogram counts calls with a response time. Its bounds never change, as stored minutes could not be added to others.
    """

    pk = models.CompositePrimaryKey("minute", "actual", "slot")
    minute = models.DateTimeField()
    actual = models.CharField(max_length=50)
    slot = models.SmallIntegerField()
    calls = models.BigIntegerField(default=0)
    errors = models.BigIntegerField(default=0)
    response_time_sum = models.BigIntegerField(default=0)
    ms_100 = _latency_field("Calls that took up to 100 ms; each later column counts those above the previous bound.")
    ms_250 = _latency_field()
    ms_500 = _latency_field()
    ms_1000 = _latency_field()
    ms_2500 = _latency_field()
    ms_5000 = _latency_field()
    ms_10000 = _latency_field()
    ms_30000 = _latency_field()
    ms_60000 = _latency_field()
    ms_120000 = _latency_field()
    ms_300000 = _latency_field()
    ms_more = _latency_field()

    class Meta:
        db_table = "provider_minutes"

    def __str__(self) -> str:
        return f"{self.minute} {self.actual}"
