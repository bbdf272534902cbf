"""Subscriptions, their events, and idempotency keys."""

from __future__ import annotations

from django.db import models

from billing.models.accounts import Account
from billing.models.plans import Plan
from lib import ids


class Cycle(models.TextChoices):
    MONTHLY = "monthly"
    YEARLY = "yearly"


class Subscription(models.Model):
    """An account's current subscription; changes need the account's lock, and the events hold its history.

    A billing cycle is one usage period, or the usage periods of a year; its dates are local to the account, half-open.
    """

    class Status(models.TextChoices):
        ACTIVE = "active"
        PAST_DUE = "past_due", "Past due"
        SUSPENDED = "suspended"
        CANCELLED = "cancelled"

    account = models.OneToOneField(Account, on_delete=models.PROTECT, primary_key=True, related_name="subscription")
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="+")
    cycle = models.CharField(max_length=10, choices=Cycle)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.ACTIVE)
    period_start = models.DateField()
    period_end = models.DateField(help_text="First day of the next cycle.")
    charged_until = models.DateField(null=True, help_text="First day that no fee was charged for yet.")
    renews_at = models.DateTimeField(help_text="First instant of the next cycle.")
    auto_renew = models.BooleanField(default=True, help_text="If not, it ends with its cycle.")
    pending_plan = models.ForeignKey(Plan, on_delete=models.PROTECT, null=True, related_name="+")
    pending_cycle = models.CharField(max_length=10, choices=Cycle, blank=True)
    grace_until = models.DateTimeField(null=True, help_text="When a past-due subscription is suspended.")
    fee_nano = models.BigIntegerField(default=0, help_text="Fee of the last event: whole cents, in nano-USD.")
    prorated_from = models.DateField(null=True, help_text="First day that the fee covers, if later than the cycle's.")

    class Meta:
        db_table = "subscriptions"
        ordering = ["account__external_id"]
        indexes = [models.Index(fields=["status", "renews_at"], name="subscriptions_due")]

    def __str__(self) -> str:
        return f"{self.plan}, {self.cycle}"


class SubscriptionEvent(models.Model):
    """One change of a subscription, never edited: its state after the change, the fee, and the usage until then."""

    class Kind(models.TextChoices):
        SUBSCRIBED = "subscribed"
        UPGRADED = "upgraded"
        PLANNED = "planned", "Change scheduled"
        CHANGED = "changed"
        RENEWED = "renewed"
        CANCEL_PLANNED = "cancel_planned", "Cancellation scheduled"
        RESCHEDULED = "rescheduled"
        RESUMED = "resumed"
        CANCELLED = "cancelled"
        PAST_DUE = "past_due", "Past due"
        SUSPENDED = "suspended"
        PAID = "paid"

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_constraint=False, db_index=False)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    effective_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    next_plan = models.ForeignKey(
        Plan, on_delete=models.PROTECT, null=True, related_name="+", db_constraint=False, db_index=False
    )
    cycle = models.CharField(max_length=10, choices=Cycle)
    status = models.CharField(max_length=10, choices=Subscription.Status.choices)
    period_start = models.DateField()
    period_end = models.DateField()
    billed_in = models.DateField(help_text="Start of the usage period whose statement carries the fee.")
    fee_nano = models.BigIntegerField(default=0)
    fee_lines = models.JSONField(default=list, help_text="The parts of the fee: text and nano-USD.")
    usage = models.JSONField(
        default=dict, help_text="Calls, tokens and cost of the usage period, or of the ended cycle."
    )
    actor = models.CharField(max_length=150, blank=True)
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        db_table = "subscription_events"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["account", "-effective_at"], name="subscription_events_by_time"),
            models.Index(fields=["account", "billed_in"], name="subscription_events_billed"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.effective_at:%Y-%m-%d}"


class IdempotencyKey(models.Model):
    """The stored answer to a request with an Idempotency-Key; a repeat gets this answer."""

    pk = models.CompositePrimaryKey("account_id", "key")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_constraint=False, db_index=False)
    key = models.UUIDField()
    digest = models.UUIDField()
    answer = models.TextField(help_text="JSON as sent, with the order of its keys.")
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "idempotency_keys"

    def __str__(self) -> str:
        return str(self.key)
