"""What the tests of the ledger's commands share: recorded events, the rollups as rows, and a command's end."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO
from typing import Any, NamedTuple

from django.core.management import CommandError, call_command

from billing.events import events
from billing.models import PlatformDay, UsageDay, UsageLog, UsageModel
from billing.recording import metering
from billing.recording.metering import Result, Source
from lib import money
from providers import price_edits
from providers.models import Price, PriceRate, Provider

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ANY = Source(may_state_cost=True, may_create_accounts=True, any_age=True, live=False)


class End(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def run(name: str, *arguments: str) -> End:
    """Run a management command as the shell would."""
    out, err = StringIO(), StringIO()
    try:
        call_command(name, *arguments, stdout=out, stderr=err)
    except CommandError as error:
        return End(error.returncode, out.getvalue(), str(error))
    except SystemExit as stopped:
        return End(int(stopped.code or 0), out.getvalue(), err.getvalue())
    return End(0, out.getvalue(), err.getvalue())


def record(*raw: dict[str, Any], at: datetime = NOW) -> list[Result]:
    """Record events; what they leave out is a call of account `a` to OpenAI that cost one dollar."""
    default = {"account": "a", "provider": "openai", "model": "gpt-4o", "cost_usd": "1"}
    parsed = [events.parse({"event_id": f"e{index}", **default, **one}) for index, one in enumerate(raw)]
    return metering.record(parsed, source=ANY, at=at)


def set_price(model: str, provider: str = "openai", since: date = date(2025, 1, 1), **usd_per_million: str) -> Price:
    """A price, or a correction of the one of that day: USD per million of each unit."""
    price = Price(provider=Provider.objects.get(slug=provider), pattern=model, valid_from=since, source="test")
    rates = [
        PriceRate(unit=unit, nano_per_million=money.nano_from_usd(Decimal(usd)))
        for unit, usd in usd_per_million.items()
    ]
    return price_edits.record(price=price, rates=rates)


def assert_equal() -> None:
    """The ledger equals its totals, to the nano-dollar."""
    end = run("verify_ledger")
    assert (end.status, end.lines[-1].endswith(" 0 differences.")) == (0, True), end.out


def unnamed(**where: Any) -> int:
    """Take the names away from logs, as a release before the column had them, and the rollups with them."""
    count = UsageLog.objects.filter(**where).update(
        actual_provider_name=None, confidence="", detection_rule="", evidence=""
    )
    call_command("rebuild_rollups", stdout=StringIO(), stderr=StringIO())
    return count


def rollups() -> dict[str, list[tuple[Any, ...]]]:
    """All rollup rows that say anything, with the slots of a platform day together."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for model in (UsageDay, UsageModel):
        names = [field.attname for field in model._meta.fields]
        found[model._meta.db_table] = sorted(row for row in model.objects.exclude(calls=0).values_list(*names))
    days: dict[tuple[Any, ...], int] = {}
    for day, declared, actual, category, calls in PlatformDay.objects.values_list(
        "day", "declared", "actual", "category", "calls"
    ):
        days[day, declared, actual, category] = days.get((day, declared, actual, category), 0) + calls
    found["platform_days"] = sorted((*key, calls) for key, calls in days.items() if calls)
    return found
