"""Fields of vendors' responses that no reader knows, and what an operator has decided about them."""

from __future__ import annotations

from typing import Any

from django.db import models

from billing.models.accounts import Account


class UnreadField(models.Model):
    """A number in responses that one reader does not know. `path` has no positions in lists.

    `calls` and what follows are of the calls in which it was unread; a job gathers them.
    """

    class State(models.TextChoices):
        OPEN = "open", "open"
        MAPPED = "mapped", "counted as a unit"
        DISMISSED = "dismissed", "informational"

    key = models.UUIDField(unique=True, editable=False, help_text="Of reader and path: exact on every database.")
    reader = models.CharField(max_length=100, blank=True)
    path = models.CharField(max_length=100)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    unit = models.CharField(max_length=40, blank=True, help_text="What the number is counted as; empty unless mapped.")
    decided_by = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True)
    calls = models.BigIntegerField(default=0)
    recent_calls = models.BigIntegerField(default=0, help_text="Calls since, which the next run counts anew.")
    last_at = models.DateTimeField(null=True)
    example_value = models.CharField(max_length=40, blank=True)
    example_model = models.CharField(max_length=200, blank=True)

    class Meta:
        db_table = "unread_fields"
        ordering = ["-last_at", "pk"]
        verbose_name = "unread field"

    def __str__(self) -> str:
        return f"{self.reader or 'no reader'}: {self.path}"

    @property
    def total_calls(self) -> int:
        return self.calls + self.recent_calls


class UnreadFieldUse(models.Model):
    """When an account's calls had an unread field, by the calls' own times: where to look for them."""

    pk: Any = models.CompositePrimaryKey("account_id", "field_id")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_constraint=False, db_index=False)
    field = models.ForeignKey(UnreadField, on_delete=models.PROTECT, db_constraint=False)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        db_table = "unread_field_uses"

    def __str__(self) -> str:
        return f"{self.account_id} {self.field_id}"
