"""Derived totals that limits and pages read; each equals the sum of log and adjustments at every commit.

The key is the primary key: one index to maintain, and the account is in it. Providers and models are lower-cased and stripped.
"""

from __future__ import annotations

from django.db import models

from billing.models.accounts import Account

SLOTS = 16  # rows per platform figure, one per transaction, so that writers do not queue on one


class Counters(models.Model):
    """What every rollup counts. Money is nano-USD."""

    calls = models.BigIntegerField(default=0)
    errors = models.BigIntegerField(default=0)
    tokens_total = models.BigIntegerField(default=0)
    cost_nano = models.BigIntegerField(default=0)
    unpriced_calls = models.BigIntegerField(default=0)

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


def _fits(prefix: str) -> list[models.BaseConstraint]:
    """A sum beyond 64 bits is refused everywhere; SQLite would turn it into a float without a word."""
    within = models.Q(cost_nano__gte=-MOST_NANO) & models.Q(cost_nano__lte=MOST_NANO)
    return [models.CheckConstraint(condition=within, name=f"{prefix}_cost_fits")]


MOST_NANO = 9 * 10**18
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
        constraints = _fits("usage_days")

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
        constraints = _fits("usage_models")

    def __str__(self) -> str:
        return f"{self.account_id} {self.period} {self.model}"


class PlatformDay(DayCounters):
    """All accounts together, by UTC day; `slot` only spreads the writers."""

    pk = models.CompositePrimaryKey("day", "declared", "actual", "category", "slot")
    day = models.DateField()
    declared = models.CharField(max_length=50)
    actual = models.CharField(max_length=50)
    category = models.CharField(max_length=20)
    slot = models.SmallIntegerField()

    class Meta:
        db_table = "platform_days"
        constraints = _fits("platform_days")

    def __str__(self) -> str:
        return f"{self.day} {self.actual}"


def _latency_bound(text: str = "") -> models.BigIntegerField[int, int]:
    """Has a default in the database too: a process of the release before goes on inserting rows without these columns."""
    return models.BigIntegerField(db_default=0, help_text=text)


class ProviderMinute(models.Model):
    """Live calls by minute of receipt and actual provider: what provider health reads.

    The histogram counts the calls whose response time was told; its bounds are fixed for ever, as stored minutes could not
    be added to differently cut ones.
    """

    pk = models.CompositePrimaryKey("minute", "actual", "slot")
    minute = models.DateTimeField()
    actual = models.CharField(max_length=50)
    slot = models.SmallIntegerField()
    calls = models.BigIntegerField(default=0)
    errors = models.BigIntegerField(default=0)
    response_time_sum = models.BigIntegerField(default=0)
    ms_100 = _latency_bound("Calls that took up to 100 ms; each next column, above the one before it.")
    ms_250 = _latency_bound()
    ms_500 = _latency_bound()
    ms_1000 = _latency_bound()
    ms_2500 = _latency_bound()
    ms_5000 = _latency_bound()
    ms_10000 = _latency_bound()
    ms_30000 = _latency_bound()
    ms_60000 = _latency_bound()
    ms_120000 = _latency_bound()
    ms_300000 = _latency_bound()
    ms_more = _latency_bound()

    class Meta:
        db_table = "provider_minutes"

    def __str__(self) -> str:
        return f"{self.minute} {self.actual}"
