"""Limit overrides of accounts, and reservations with their holds."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from billing.models.accounts import Account
from billing.models.plans import Cap
from lib import ids


class LimitOverride(Cap):
    """One account's limit, in place of its plan's, since `since`; null: for as long as the account exists."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="limit_overrides")
    expires_on = models.DateField(
        null=True, blank=True, help_text="First local day on which the plan's limit applies again; empty: no end."
    )
    reason = models.CharField(max_length=500)
    since = models.DateTimeField(null=True, default=timezone.now, editable=False)

    class Meta:
        db_table = "limit_overrides"
        ordering = ["meter__position", "meter__slug", "-per"]
        constraints = [models.UniqueConstraint(fields=["account", "meter", "per"], name="limit_overrides_once")]

    def __str__(self) -> str:
        return f"{self.meter} per {self.per}"


class EndedOverride(Cap):
    """What an override said until it was changed or deleted at `until`, for the statement of that time; never edited."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    since = models.DateTimeField(null=True)
    until = models.DateTimeField()
    expires_on = models.DateField(null=True)
    reason = models.CharField(max_length=500)

    class Meta:
        db_table = "ended_overrides"
        indexes = [models.Index(fields=["account", "until"], name="ended_overrides_by_time")]

    def __str__(self) -> str:
        return f"{self.meter} per {self.per} until {self.until:%Y-%m-%d}"


class UsageReservation(models.Model):
    """Usage held under the limits for calls that are about to run; then settled with the actual usage, released or expired.

    It counts only while `state` is held and `expires_at` is in the future, so expiry needs no job.
    """

    class State(models.TextChoices):
        HELD = "held"
        SETTLED = "settled"
        RELEASED = "released"
        EXPIRED = "expired"

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_constraint=False, db_index=False)
    reservation_id = models.CharField(max_length=256, help_text="The caller's own id.")
    reservation_key = models.UUIDField()
    digest = models.UUIDField(help_text="Of the request; a different request under the same id is refused.")
    period = models.DateField(help_text="Usage period in which it was granted.")
    grant = models.JSONField(help_text="The response to the caller, repeated for a duplicate request.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.HELD)
    over = models.BooleanField(default=False, help_text="More was used than held, or the hold had ended.")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "usage_reservations"
        verbose_name = "reservation"
        constraints = [models.UniqueConstraint(fields=["account", "reservation_key"], name="usage_reservations_once")]
        indexes = [
            models.Index(fields=["account", "state", "expires_at"], name="usage_reservations_held"),
            models.Index(fields=["state", "expires_at"], name="usage_reservations_expired"),
        ]

    def __str__(self) -> str:
        return self.reservation_id


class UsageHold(models.Model):
    """What a reservation holds, by the keys of `usage_days`, so that meters count holds exactly as they count usage."""

    pk = models.CompositePrimaryKey("account_id", "reservation_id", "declared", "actual", "category")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_constraint=False, db_index=False)
    reservation = models.ForeignKey(
        UsageReservation, on_delete=models.PROTECT, related_name="holds", db_constraint=False, db_index=False
    )
    declared = models.CharField(max_length=50)
    actual = models.CharField(max_length=50)
    category = models.CharField(max_length=20)
    calls = models.BigIntegerField()
    tokens = models.BigIntegerField()
    cost_nano = models.BigIntegerField()

    class Meta:
        db_table = "usage_holds"

    def __str__(self) -> str:
        return f"{self.reservation_id} {self.actual} {self.category}"
