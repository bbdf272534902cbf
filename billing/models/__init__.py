"""The tables of billing, by domain."""

from billing.models.accounts import Account, ApiKey, Invitation, Membership
from billing.models.alerts import AlertSweepState, Delivery, UsageAlert, Webhook
from billing.models.archives import Archive, ArchivedEvent, ArchivedUsage, Installation
from billing.models.corrections import ClosedPeriod, CorrectionBatch
from billing.models.imports import ImportedRange, UsageImport
from billing.models.limits import EndedOverride, LimitOverride, UsageHold, UsageReservation
from billing.models.plans import Meter, Per, Plan, PlanLimit
from billing.models.rollups import PlatformDay, ProviderMinute, UsageDay, UsageModel
from billing.models.statements import Statement
from billing.models.subscriptions import Cycle, IdempotencyKey, Subscription, SubscriptionEvent
from billing.models.unread_fields import UnreadField, UnreadFieldUse
from billing.models.usage import (
    Category,
    Confidence,
    CostSource,
    ErasureCursor,
    UnpricedReason,
    UsageAdjustment,
    UsageLog,
    UsageState,
)
from billing.models.verification import LedgerCheckProgress

__all__ = [
    "Account",
    "AlertSweepState",
    "ApiKey",
    "Archive",
    "ArchivedEvent",
    "ArchivedUsage",
    "Category",
    "ClosedPeriod",
    "Confidence",
    "CorrectionBatch",
    "CostSource",
    "Cycle",
    "Delivery",
    "EndedOverride",
    "ErasureCursor",
    "IdempotencyKey",
    "ImportedRange",
    "Installation",
    "Invitation",
    "LedgerCheckProgress",
    "LimitOverride",
    "Membership",
    "Meter",
    "Per",
    "Plan",
    "PlanLimit",
    "PlatformDay",
    "ProviderMinute",
    "Statement",
    "Subscription",
    "SubscriptionEvent",
    "UnpricedReason",
    "UnreadField",
    "UnreadFieldUse",
    "UsageAdjustment",
    "UsageAlert",
    "UsageDay",
    "UsageHold",
    "UsageImport",
    "UsageLog",
    "UsageModel",
    "UsageReservation",
    "UsageState",
    "Webhook",
]
