"""Three accounts, one of them broken: its time zone is unknown to the host, or its totals are at the limit of 64 bits."""

from __future__ import annotations

from datetime import date

from billing.models import Account, UsageDay, UsageModel
from billing.models.rollups import MAX_NANO

NAMES = ("a0", "a1", "a2")
ZONE, TOTALS = "zone", "totals"
CASES = [(broken, kind) for broken in NAMES for kind in (ZONE, TOTALS)]
REASONS = {  # the start of the error, on any database
    ZONE: ("ZoneInfoNotFoundError",),
    TOTALS: ("IntegrityError", "DataError", "OverflowError", "OperationalError: integer overflow", "TotalTooLarge"),
}


def healthy(broken: str) -> list[str]:
    return [name for name in NAMES if name != broken]


def break_account(name: str, kind: str) -> None:
    account = Account.objects.get(external_id=name)
    if kind == ZONE:
        Account.objects.filter(pk=account.pk).update(timezone="Mars/Olympus")
    else:
        UsageDay.objects.filter(account=account).update(cost_nano=MAX_NANO)
        UsageModel.objects.filter(account=account).update(cost_nano=MAX_NANO)


def add_full_day(name: str, day: date, actual: str, declared: str = "openai", category: str = "text") -> None:
    """A rollup row that can hold no more."""
    account = Account.objects.get(external_id=name)
    key = {"account": account, "day": day, "declared": declared, "actual": actual, "category": category}
    if not UsageDay.objects.filter(**key).update(cost_nano=MAX_NANO):
        UsageDay.objects.create(**key, cost_nano=MAX_NANO)


def repair(name: str) -> None:
    Account.objects.filter(external_id=name).update(timezone="UTC")
    account = Account.objects.get(external_id=name)
    for model in (UsageDay, UsageModel):
        model.objects.filter(account=account, cost_nano=MAX_NANO).update(cost_nano=0)


def assert_named(text: str, broken: str, kind: str) -> None:
    """Asserts that the text has the error of the broken account, and no other account."""
    assert any(f"{broken}: {reason}" in text for reason in REASONS[kind]), text
    assert not any(f"{name}: " in text and f"{name}: Z" in text for name in healthy(broken)), text
