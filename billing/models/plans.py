"""Meters, plans and their limits; billing/plans/plans.py reads and caches them."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models

SLUG = RegexValidator(
    r"^[a-z0-9][a-z0-9_-]*\Z",
    "Use only lower-case letters, digits, - and _; the first character must be a letter or digit.",
)


class Per(models.TextChoices):
    PERIOD = "period", "usage period"
    DAY = "day", "day"


class Meter(models.Model):
    """What a limit counts: calls, tokens or cost of all usage, or of some categories or providers."""

    class Scope(models.TextChoices):
        ALL = "all", "everything"
        CATEGORY = "category", "categories"
        DECLARED = "declared", "declared providers"
        ACTUAL = "actual", "actual providers"

    class Unit(models.TextChoices):
        CALLS = "calls", "calls"
        TOKENS = "tokens", "tokens"
        COST = "cost", "cost"

    slug = models.CharField(max_length=50, unique=True, validators=[SLUG], help_text="The key of its limit in the API.")
    label = models.CharField(max_length=100)
    scope = models.CharField(max_length=10, choices=Scope.choices)
    values = models.JSONField(
        default=list, blank=True, help_text="The categories or providers, in lower case; empty for everything."
    )
    unit = models.CharField(max_length=10, choices=Unit.choices)
    position = models.IntegerField(
        default=1000, help_text="Lower comes first, in lists and where several limits refuse a call."
    )
    shipped = models.BooleanField(default=False, editable=False)

    class Meta:
        db_table = "meters"
        ordering = ["position", "slug"]

    def __str__(self) -> str:
        return self.label


class Plan(models.Model):
    """One version of a plan; a change makes a new version, and subscribers keep theirs. Prices are nano-USD."""

    slug = models.CharField(max_length=50, validators=[SLUG])
    version = models.PositiveIntegerField(default=1, editable=False)
    name = models.CharField(max_length=100)
    price_monthly_nano = models.PositiveBigIntegerField(default=0)
    price_yearly_nano = models.PositiveBigIntegerField(default=0)
    active = models.BooleanField(default=True, help_text="Offered to new subscribers.")
    position = models.IntegerField(default=1000, help_text="Lower comes first.")
    shipped = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "plans"
        ordering = ["position", "slug", "-version"]
        constraints = [models.UniqueConstraint(fields=["slug", "version"], name="plans_one_a_version")]

    def __str__(self) -> str:
        return f"{self.name} (version {self.version})"


class Cap(models.Model):
    """A meter's cap, in its unit (cost: nano-USD): null is unlimited, 0 is not allowed."""

    meter = models.ForeignKey(Meter, on_delete=models.PROTECT)
    per = models.CharField(max_length=10, choices=Per, default=Per.PERIOD)
    amount = models.PositiveBigIntegerField(null=True, blank=True)
    hard = models.BooleanField(default=True, help_text="A hard limit refuses calls; a soft limit only raises alerts.")

    class Meta:
        abstract = True


class PlanLimit(Cap):
    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, related_name="limits")

    class Meta:
        db_table = "plan_limits"
        ordering = ["meter__position", "meter__slug", "-per"]
        constraints = [models.UniqueConstraint(fields=["plan", "meter", "per"], name="plan_limits_once")]

    def __str__(self) -> str:
        return f"{self.meter} per {self.per}"
