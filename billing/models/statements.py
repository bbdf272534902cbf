"""Statements: what an account owes for a usage period, written once when the period is closed."""

from __future__ import annotations

from django.db import models

from billing.models.accounts import Account
from billing.models.plans import Plan
from lib import ids


class Statement(models.Model):
    """The statement of a closed period; only its payment columns change later. Money is nano-USD, `*_cents` is cents.

    `lines` are the amounts due, adding up to the total in both units: {"kind", "text", "period", "nano", "cents"}.
    `usage` is the usage at cost by provider: {"provider", "label", "calls", "tokens", "nano", "cents"}.
    """

    class State(models.TextChoices):
        OPEN = "open", "Unpaid"
        PAID = "paid"
        NOTHING_DUE = "nothing_due", "Nothing due"

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_constraint=False, db_index=False)
    period = models.DateField()
    period_end = models.DateField()
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, null=True, db_constraint=False, db_index=False)
    calls = models.BigIntegerField()
    tokens_total = models.BigIntegerField()
    usage_nano = models.BigIntegerField(help_text="Usage at cost.")
    allowance_nano = models.BigIntegerField(
        null=True, help_text="Soft monthly_cost limit; null: no overage is charged."
    )
    rules = models.PositiveSmallIntegerField(
        default=1, db_default=1, help_text="Version of the rules that it was made by; see billing/statements."
    )
    segments = models.JSONField(
        null=True, help_text="From rules 2 on: the parts of the period with one allowance each, oldest first."
    )
    fee_nano = models.BigIntegerField()
    overage_nano = models.BigIntegerField()
    adjustments_nano = models.BigIntegerField()
    total_nano = models.BigIntegerField()
    total_cents = models.BigIntegerField()
    lines = models.JSONField(default=list)
    usage = models.JSONField(default=list)
    closed_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=12, choices=State.choices)
    paid_at = models.DateTimeField(null=True)
    paid_by = models.CharField(max_length=150, blank=True)
    payment_note = models.CharField(max_length=500, blank=True)

    class Meta:
        db_table = "statements"
        ordering = ["-period", "-id"]
        constraints = [models.UniqueConstraint(fields=["account", "period"], name="statements_once")]
        indexes = [models.Index(fields=["state", "due_at"], name="statements_due")]

    def __str__(self) -> str:
        return f"{self.period:%Y-%m}"
