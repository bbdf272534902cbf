"""Who is billed, which users belong to it, and the keys that machines call with."""

from __future__ import annotations

import json
import zoneinfo
from datetime import date, datetime
from functools import lru_cache

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from lib.periods import Earlier, Schedule


def check_zone(name: str) -> None:
    if name not in zoneinfo.available_timezones():
        raise ValidationError(f"{name!r} is no IANA time zone.", code="invalid_timezone")


@lru_cache(maxsize=4096)
def schedule_of(anchor_day: int, timezone: str, earlier: str) -> Schedule:
    """The schedule as `lib.periods` takes it; `earlier` is the column `earlier_schedules`.

    That column is empty, or JSON, oldest first: anchor day, zone, start of its last period, start of its successor's first.
    """
    before: Earlier | None = None
    for day, zone, last, until in json.loads(earlier or "[]"):
        before = Earlier(Schedule(day, zone, before), date.fromisoformat(last), date.fromisoformat(until))
    return Schedule(anchor_day, timezone, before)


class Account(models.Model):
    """A customer of the product. `external_id` is the caller's own id, exact to the last blank; never deleted."""

    class UnpricedPolicy(models.TextChoices):
        DEFAULT = "", "as the service (UNPRICED_POLICY)"
        ALLOW = "allow", "allow calls without a known price"
        BLOCK = "block", "block calls without a known price"

    external_id = models.CharField(max_length=128)
    external_key = models.UUIDField(unique=True, editable=False)
    name = models.CharField(max_length=200, blank=True)
    timezone = models.CharField(max_length=64, default="UTC", validators=[check_zone])
    anchor_day = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(31)],
        help_text="Day of the month on which its usage periods start.",
    )
    earlier_schedules = models.TextField(
        default="",
        blank=True,
        editable=False,
        help_text="Anchors and zones before these: see billing/plans/anchor_changes.py.",
    )
    next_close_at = models.DateTimeField(
        null=True, editable=False, db_index=True, help_text="When its oldest open period may be closed; null: look."
    )
    billed_from = models.DateField(help_text="First local day that is billed. Earlier usage is history.")
    unpriced_policy = models.CharField(max_length=10, choices=UnpricedPolicy.choices, default="", blank=True)
    may_state_cost = models.BooleanField(default=False, help_text="Its own keys may send cost_usd.")
    active = models.BooleanField(default=True)
    has_archive = models.BooleanField(
        default=False,
        db_default=False,  # for a process of the release before, which makes accounts without this column
        editable=False,
        help_text="Usage logs of it are in files, or on their way: repeats are looked for among archived events, too.",
    )
    config_version = models.PositiveBigIntegerField(default=1, editable=False)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "accounts"
        ordering = ["external_id"]

    def __str__(self) -> str:
        return self.external_id

    @property
    def schedule(self) -> Schedule:
        return schedule_of(self.anchor_day, self.timezone, self.earlier_schedules)


class Membership(models.Model):
    """A user who may see an account."""

    class Role(models.TextChoices):
        OWNER = "owner"
        MEMBER = "member"

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)

    class Meta:
        db_table = "memberships"
        constraints = [models.UniqueConstraint(fields=["account", "user"], name="memberships_once")]

    def __str__(self) -> str:
        return f"{self.user} in {self.account}"


class Invitation(models.Model):
    """An address that may join an account. One row an address: to invite again makes a new token, and the old link ends.

    Only the SHA-256 of the token is kept. Changed by billing/accounts/invitations.py alone.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="invitations")
    email = models.CharField("e-mail address", max_length=150, help_text="In lower case; the user's name to be.")
    role = models.CharField(max_length=10, choices=Membership.Role.choices, default=Membership.Role.MEMBER)
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.CharField(max_length=150)
    sent_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    accepted_at = models.DateTimeField(null=True)
    accepted_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")

    class Meta:
        db_table = "invitations"
        ordering = ["-sent_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["account", "email"], name="invitations_once")]

    def __str__(self) -> str:
        return f"{self.email} to {self.account}"

    def state(self, at: datetime) -> str:
        """accepted, revoked, expired or open."""
        if self.accepted_at:
            return "accepted"
        if self.revoked_at:
            return "revoked"
        return "expired" if self.expires_at <= at else "open"


class ApiKey(models.Model):
    """What a machine calls with. Only the SHA-256 of the secret is kept; bound to one account, or a service key for all."""

    class Scope(models.TextChoices):
        INGEST = "ingest", "ingest: send usage"
        READ = "read", "read: usage and reports"
        LIMITS = "limits", "limits: preflight and reservations"
        MANAGE = "manage", "manage: accounts, subscriptions, corrections"

    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12, unique=True, editable=False)
    secret_hash = models.CharField(max_length=64, editable=False)
    scopes = models.JSONField(default=list)
    account = models.ForeignKey(
        Account,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        help_text="Empty: a service key, good for every account.",
    )
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "api_keys"
        ordering = ["name", "id"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} (tg_{self.prefix}_…)"

    def usable(self, at: datetime) -> bool:
        expired = self.expires_at is not None and self.expires_at <= at
        return not expired and self.revoked_at is None and (self.account is None or self.account.active)
