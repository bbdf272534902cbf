"""Usage alerts, webhooks, and the delivery of alerts."""

from __future__ import annotations

from django.db import models

from billing.models.accounts import Account
from lib import ids

PROJECTED = 0  # threshold of the alert that the limit will be exceeded at the current rate


class UsageAlert(models.Model):
    """A threshold of a limit that was reached: raised once per period, and again after the cap changes.

    Amounts are in the meter's unit (cost: nano-USD) at the time of raising. `meter` is the limit's key in the API
    (`video_calls`, `video_calls_per_day`); the period of a daily limit is its day.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_constraint=False, db_index=False)
    period = models.DateField()
    meter = models.CharField(max_length=60)
    label = models.CharField(max_length=100)
    unit = models.CharField(max_length=10)
    threshold = models.PositiveSmallIntegerField(help_text="Percent of the cap; 0: projected to exceed it.")
    cap = models.BigIntegerField()
    used = models.BigIntegerField()
    projected = models.BigIntegerField(null=True, help_text="Usage at the end of the period at the rate so far.")
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
        threshold = "projected to exceed" if self.threshold == PROJECTED else f"{self.threshold} %"
        return f"{self.label}: {threshold}"


class AlertSweepState(models.Model):
    """When an account was last swept for alerts, and with which configuration; a change makes it due again."""

    account = models.OneToOneField(Account, on_delete=models.CASCADE, primary_key=True, related_name="alert_mark")
    config_version = models.PositiveBigIntegerField()
    plans_version = models.BigIntegerField()
    sweep = models.UUIDField(db_index=True, help_text="UUIDv7 of the last sweep; contains its time.")

    class Meta:
        db_table = "alert_marks"

    def __str__(self) -> str:
        return str(self.account_id)


class Webhook(models.Model):
    """A URL that receives alerts. The secret is derived from the salt and SECRET_KEY, so no database dump contains it."""

    account = models.ForeignKey(
        Account,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="webhooks",
        help_text="Empty: alerts of all accounts.",
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
    """One alert for one receiver; attempted until delivered or given up."""

    class State(models.TextChoices):
        PENDING = "pending"
        DELIVERED = "delivered"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_constraint=False, db_index=False)
    alert = models.ForeignKey(
        UsageAlert, on_delete=models.PROTECT, related_name="deliveries", db_constraint=False, db_index=False
    )
    webhook = models.ForeignKey(
        Webhook, on_delete=models.PROTECT, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    email = models.CharField(max_length=320, blank=True, help_text="Empty for a webhook.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(help_text="Time of the next attempt; while one runs, when it counts as lost.")
    give_up_at = models.DateTimeField(help_text="No attempt is scheduled after this time.")
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    response_status = models.PositiveSmallIntegerField(null=True)
    response = models.CharField(max_length=500, blank=True, help_text="The first 500 characters of the response.")
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
        """The e-mail address or webhook URL."""
        return self.email or str(self.webhook)
