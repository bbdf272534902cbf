"""Accounts, their users, invitations and API keys."""

from __future__ import annotations

import json
import zoneinfo
from datetime import date, datetime
from functools import lru_cache

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from lib.periods import ReplacedSchedule, Schedule


def check_zone(name: str) -> None:
    if name not in zoneinfo.available_timezones():
        raise ValidationError(f"{name!r} is not an IANA time zone.", code="invalid_timezone")


@lru_cache(maxsize=4096)
def parse_schedule(anchor_day: int, timezone: str, earlier: str) -> Schedule:
    """Parse an account's schedule; `earlier` is the column `earlier_schedules`.

    The column is empty or a JSON list, oldest first: anchor day, zone, start of its last period, start of the next schedule.
    """
    replaced: ReplacedSchedule | None = None
    for day, zone, last, until in json.loads(earlier or "[]"):
        replaced = ReplacedSchedule(Schedule(day, zone, replaced), date.fromisoformat(last), date.fromisoformat(until))
    return Schedule(anchor_day, timezone, replaced)


class Account(models.Model):
    """A customer; never deleted. `external_id` is the caller's own id, compared exactly, including spaces and case."""

    class UnpricedPolicy(models.TextChoices):
        DEFAULT = "", "default (UNPRICED_POLICY)"
        ALLOW = "allow", "allow unpriced calls"
        BLOCK = "block", "block unpriced calls"

    external_id = models.CharField(max_length=128)
    external_key = models.UUIDField(unique=True, editable=False)
    name = models.CharField(max_length=200, blank=True)
    timezone = models.CharField(max_length=64, default="UTC", validators=[check_zone])
    anchor_day = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(31)],
        help_text="Day of the month on which usage periods start.",
    )
    earlier_schedules = models.TextField(
        default="",
        blank=True,
        editable=False,
        help_text="Previous anchor days and time zones; see billing/plans/anchor_changes.py.",
    )
    next_close_at = models.DateTimeField(
        null=True,
        editable=False,
        db_index=True,
        help_text="When the oldest open period may be closed; null: not computed yet.",
    )
    closed_before = models.DateField(
        null=True, editable=False, help_text="Local days before this one are closed; null: no period is."
    )
    billed_from = models.DateField(help_text="First local day that is billed. Earlier usage is never billed.")
    unpriced_policy = models.CharField(max_length=10, choices=UnpricedPolicy.choices, default="", blank=True)
    may_state_cost = models.BooleanField(default=False, help_text="Keys bound to this account may send cost_usd.")
    active = models.BooleanField(default=True)
    has_archive = models.BooleanField(
        default=False,
        db_default=False,  # processes of the previous release insert rows without this column
        editable=False,
        help_text="Usage logs are archived or being archived; duplicates are also looked up among archived events.",
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
        return parse_schedule(self.anchor_day, self.timezone, self.earlier_schedules)


class Membership(models.Model):
    """A user's access to an account."""

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
    """An e-mail address invited to an account. Inviting it again replaces the token, so the old link stops working.

    Only the SHA-256 of the token is stored. Only billing/accounts/invitations.py writes these rows.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="invitations")
    email = models.CharField("e-mail address", max_length=150, help_text="In lower case; becomes the username.")
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
    """An API key, bound to one account or valid for all (a service key). Only the SHA-256 of the secret is stored."""

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
        help_text="Empty: a service key, valid for every account.",
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
