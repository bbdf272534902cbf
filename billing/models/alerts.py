"""Who was told that a limit comes near, or was passed, and how the telling went."""

from __future__ import annotations

from django.db import models

from billing.models.accounts import Account
from lib import ids

PROJECTED = 0  # the threshold of an alert that says: at this rate the limit will be passed


class UsageAlert(models.Model):
    """A threshold of a limit that was reached: raised once in a period, and again where the cap is another one.

    Amounts are in the meter's unit (cost: nano-USD), as they were when it was raised. `meter` is the limit's key in the
    API (`video_calls`, `video_calls_per_day`); the period of a daily limit is its day.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_constraint=False, db_index=False)
    period = models.DateField()
    meter = models.CharField(max_length=60)
    label = models.CharField(max_length=100)
    unit = models.CharField(max_length=10)
    threshold = models.PositiveSmallIntegerField(help_text="In per cent of the cap; 0: projected to exceed it.")
    cap = models.BigIntegerField()
    used = models.BigIntegerField()
    projected = models.BigIntegerField(null=True, help_text="Use at the period's end, at the rate until then.")
    raised_at = models.DateTimeField()
    read_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "usage_alerts"
        ordering = ["-id"]
        verbose_name = "alert"
        constraints = [
            models.UniqueConstraint(fields=["account", "period", "meter", "threshold", "cap"], name="usage_alerts_once")
        ]
        indexes = [models.Index(fields=["account", "-id"], name="usage_alerts_newest")]

    def __str__(self) -> str:
        what = "projected to exceed" if self.threshold == PROJECTED else f"{self.threshold} %"
        return f"{self.label}: {what}"


class AlertSweepState(models.Model):
    """What the sweep knew of an account when it last looked: other figures now, or a look long ago, are due again."""

    account = models.OneToOneField(Account, on_delete=models.CASCADE, primary_key=True, related_name="alert_mark")
    config_version = models.PositiveBigIntegerField()
    plans_version = models.BigIntegerField()
    sweep = models.UUIDField(db_index=True, help_text="UUIDv7 of the sweep that looked: it tells the time.")

    class Meta:
        db_table = "alert_marks"

    def __str__(self) -> str:
        return str(self.account_id)


class Webhook(models.Model):
    """An address that is told of alerts. Its secret is derived from the salt and SECRET_KEY, so that no dump holds it."""

    account = models.ForeignKey(
        Account,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="webhooks",
        help_text="Empty: alerts of every account.",
    )
    url = models.CharField("URL", max_length=500)
    salt = models.UUIDField(default=ids.new_id, editable=False)
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(editable=False)

    class Meta:
        db_table = "webhooks"
        ordering = ["id"]

    def __str__(self) -> str:
        return self.url


class Delivery(models.Model):
    """One alert on its way to one address: tried until it arrives, or is given up."""

    class State(models.TextChoices):
        PENDING = "pending"
        DELIVERED = "delivered"
        FAILED = "failed", "Given up"

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_constraint=False, db_index=False)
    alert = models.ForeignKey(
        UsageAlert, on_delete=models.PROTECT, related_name="deliveries", db_constraint=False, db_index=False
    )
    webhook = models.ForeignKey(
        Webhook, on_delete=models.PROTECT, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    email = models.CharField(max_length=320, blank=True, help_text="Empty: a webhook.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(help_text="Of the next attempt; while one runs, when it counts as lost.")
    give_up_at = models.DateTimeField(help_text="No attempt is planned for later.")
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    response_status = models.PositiveSmallIntegerField(null=True)
    response = models.CharField(max_length=500, blank=True, help_text="The first 500 characters of the answer.")
    error = models.CharField(max_length=500, blank=True)

    class Meta:
        db_table = "deliveries"
        ordering = ["-id"]
        verbose_name_plural = "deliveries"
        indexes = [
            models.Index(fields=["state", "due_at"], name="deliveries_due"),
            models.Index(fields=["account", "alert"], name="deliveries_of_alert"),
        ]

    def __str__(self) -> str:
        return self.target

    @property
    def target(self) -> str:
        """Where it goes."""
        return self.email or str(self.webhook)
