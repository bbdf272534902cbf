"""`manage.py list_newly_unpriced`: the recent calls that `reprice` would make unpriced, by model and reason."""

from __future__ import annotations

import csv
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from billing.corrections import newly_unpriced
from billing.corrections.newly_unpriced import Totals
from billing.corrections.repricing import RepricingChoice
from billing.management import command_options
from lib import commands, csv_stream, money

MAX_DAYS = 3_660
COLUMNS = ("provider", "model", "reason", "calls", "cost_usd")


class Command(BaseCommand):
    help = (
        "List recent calls that are priced, but would be unpriced if they were re-priced by the present rules and prices. "
        "Run it after an upgrade, before `reprice`; it changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, default=30, metavar="N", help="Calls of the last N days (default: 30).")
        parser.add_argument("--account", metavar="ID", help="Only this account's calls.")
        parser.add_argument("--csv", dest="as_csv", action="store_true", help="Write CSV instead of lines.")

    def handle(self, *, days: int, account: str | None, as_csv: bool, **_options: Any) -> None:  # noqa: ANN401
        if not 1 <= days <= MAX_DAYS:
            raise commands.usage_error(f"--days must be 1 to {MAX_DAYS}.")
        since = timezone.now() - timedelta(days=days)
        choice = RepricingChoice(account=command_options.get_account(account), since=since)
        totals: Totals = {}
        with commands.Progress(self, "logs") as progress:
            for logs in newly_unpriced.scan(choice, totals):
                progress.add(logs)
                if progress.stopped:
                    break
        if as_csv:
            self._write_csv(totals)
        else:
            self._write_lines(totals)
        calls, cost_nano = (
            sum(lost.calls for lost in totals.values()),
            sum(lost.cost_nano for lost in totals.values()),
        )
        summary = f"{progress.done} logs of {days} days examined, {calls} calls would turn unpriced"
        line = f"{summary}; they cost {money.exact_usd(cost_nano)} USD.{' Stopped before the end.' * progress.stopped}"
        (self.stderr if as_csv else self.stdout).write(line)
        if progress.stopped:
            raise SystemExit(1)

    def _write_lines(self, totals: Totals) -> None:
        for key, lost in newly_unpriced.in_order(totals):
            name = " ".join(filter(None, (key.provider, key.model or "(no model)")))
            self.stdout.write(f"{name}: {lost.calls} calls, {money.exact_usd(lost.cost_nano)} USD, {key.reason}")

    def _write_csv(self, totals: Totals) -> None:
        writer = csv.writer(self.stdout, lineterminator="\n")
        writer.writerow(COLUMNS)
        for key, lost in newly_unpriced.in_order(totals):
            cells = (*key, lost.calls, money.exact_usd(lost.cost_nano))
            writer.writerow([csv_stream.escape_formula(cell) for cell in cells])
