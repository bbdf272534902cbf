"""Plans, meters, limits of a plan, subscriptions and their fees."""

__all__ = [
    "anchor_changes",
    "fees",
    "idempotency",
    "meters",
    "overrides",
    "plans",
    "proration",
    "shipped_plans",
    "subscriptions",
]
