"""Shared by tests of the ledger and its commands: recorded events, rollup rows, and command results."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO
from typing import Any, NamedTuple

from django.core.management import CommandError, call_command

from billing.events import events
from billing.models import PlatformDay, UsageDay, UsageLog, UsageModel
from billing.recording import metering
from billing.recording.metering import EventSource, Result
from billing.verification import verify
from billing.verification.differences import Difference
from lib import money
from providers import price_edits
from providers.models import Price, PriceRate, Provider

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TRUSTED_SOURCE = EventSource(may_state_cost=True, may_create_accounts=True, any_age=True, live=False)


class CommandResult(NamedTuple):
    """Exit status and output of a management command."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def run(name: str, *arguments: str) -> CommandResult:
    """Runs a management command as a shell would."""
    out, err = StringIO(), StringIO()
    try:
        call_command(name, *arguments, stdout=out, stderr=err)
    except CommandError as error:
        return CommandResult(error.returncode, out.getvalue(), str(error))
    except SystemExit as error:
        return CommandResult(int(error.code or 0), out.getvalue(), err.getvalue())
    return CommandResult(0, out.getvalue(), err.getvalue())


def record(*raw: dict[str, Any], at: datetime = NOON) -> list[Result]:
    """Records events. The default is a gpt-4o call of account `a` that cost $1."""
    default = {"account": "a", "provider": "openai", "model": "gpt-4o", "cost_usd": "1"}
    parsed = [events.parse({"event_id": f"e{index}", **default, **fields}) for index, fields in enumerate(raw)]
    return metering.record(parsed, source=TRUSTED_SOURCE, at=at)


def set_price(model: str, provider: str = "openai", since: date = date(2025, 1, 1), **usd_per_million: str) -> Price:
    """Adds a price, or a revision of the price of that day. Rates are USD per million units."""
    price = Price(provider=Provider.objects.get(slug=provider), pattern=model, valid_from=since, source="test")
    rates = [
        PriceRate(unit=unit, nano_per_million=money.nano_from_usd(Decimal(usd)))
        for unit, usd in usd_per_million.items()
    ]
    return price_edits.add_revision(price=price, rates=rates)


ROLLUP_CHECKS = ("usage_days", "usage_models", "platform_days")


def differences(*only: str) -> list[Difference]:
    """Everything that the ledger check finds, or what these checks of it find."""
    pages = verify.check_all(verify.Run(NOON), only=only)
    return [difference for parts in pages for part in parts for difference in part.differences]


def rollup_differences() -> list[str]:
    """What the checks of the rollups find; they need no statement for a closed period."""
    return [str(difference) for difference in differences(*ROLLUP_CHECKS)]


def assert_ledger_consistent(*, without: Collection[str] = ()) -> None:
    """Asserts that verify_ledger finds no difference in tables other than those that the test has damaged."""
    if without:
        others = [str(difference) for difference in differences() if difference.table not in without]
        assert others == [], others
        return
    result = run("verify_ledger")
    assert (result.status, " 0 differences" in result.lines[-1]) == (0, True), result.out


def clear_detection(**filters: Any) -> int:
    """Clears what releases before detection did not store, and rebuilds rollups. Returns the number of logs."""
    count = UsageLog.objects.filter(**filters).update(
        actual_provider_name=None, confidence="", detection_rule="", evidence="", checksum=None
    )
    call_command("rebuild_rollups", stdout=StringIO(), stderr=StringIO())
    return count


def rollups() -> dict[str, list[tuple[Any, ...]]]:
    """All rollup rows with calls, by table; the slots of a platform day are summed."""
    rows: dict[str, list[tuple[Any, ...]]] = {}
    for model in (UsageDay, UsageModel):
        names = [field.attname for field in model._meta.fields]
        rows[model._meta.db_table] = sorted(row for row in model.objects.exclude(calls=0).values_list(*names))
    days: dict[tuple[Any, ...], int] = {}
    for day, declared, actual, category, calls in PlatformDay.objects.values_list(
        "day", "declared", "actual", "category", "calls"
    ):
        days[day, declared, actual, category] = days.get((day, declared, actual, category), 0) + calls
    rows["platform_days"] = sorted((*key, calls) for key, calls in days.items() if calls)
    return rows
