"""`manage.py backfill_actual_providers`: detects the provider of stored logs while the service runs."""

from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from billing.corrections import redetection
from billing.corrections.batch_pass import ACCOUNT_FAILED
from billing.management import command_options
from lib import commands


class Command(BaseCommand):
    help = "Detect the provider of logs that have none; with --redetect, of all logs, by the current rules."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--redetect", action="store_true", help="Include logs that have a provider; each change is an adjustment."
        )
        parser.add_argument("--account", metavar="ID", help="Only this account's logs.")
        parser.add_argument(
            "--since", metavar="TIME", help="Only calls from this date or time on (UTC unless it has an offset)."
        )
        parser.add_argument("--until", metavar="TIME", help="Only calls before this date or time.")
        parser.add_argument(
            "--batch-size", type=int, default=2000, metavar="N", help="Logs per transaction (default: 2000)."
        )
        parser.add_argument("--dry-run", action="store_true", help="Show what would change, change nothing.")

    def handle(self, *, batch_size: int, dry_run: bool, **options: Any) -> None:  # noqa: ANN401 - argparse
        if not 1 <= batch_size <= 10_000:
            raise commands.usage_error("--batch-size must be 1 to 10000.")
        choice = _parse_choice(options)
        changed: Counter[tuple[str | None, str]] = Counter()
        skipped, failed = Counter[str](), set[str]()
        examined = cost_differently = 0
        with commands.Progress(self, "logs", choice.logs().count()) as progress:
            for step in redetection.run(choice, size=batch_size, clock=timezone.now, dry_run=dry_run):
                changed += step.changed
                examined += step.examined
                cost_differently += step.cost_differently
                skipped += step.skipped
                failed |= {step.failed} - {""}
                progress.add(step.examined)
                if progress.stopped:
                    break
        for (old, new), count in sorted(changed.items(), key=lambda item: (-item[1], str(item[0]))):
            self.stdout.write(f"{count} {old or 'not detected'} -> {new}")
        for line in sorted(failed):
            self.stdout.write(line)
        outcome = "would be detected" if dry_run else "detected"
        stopped = " Stopped before the end: run the command again to continue." if progress.stopped else ""
        if open_logs := skipped.pop(ACCOUNT_FAILED, 0):
            stopped += f" {open_logs} logs of accounts that failed are still open: run the command again."
        closed = f"; {skipped.total()} of closed periods skipped" if skipped else ""
        line = f"{examined} logs examined, {changed.total()} {outcome}{closed}; {cost_differently} would now cost differently."
        commands.finish(self, line + stopped, failed=bool(stopped))


def _parse_choice(options: dict[str, Any]) -> redetection.RedetectionChoice:
    return redetection.RedetectionChoice(
        redetect=options["redetect"],
        account=command_options.get_account(options["account"]),
        since=command_options.parse_time(options["since"], "--since"),
        until=command_options.parse_time(options["until"], "--until"),
    )
