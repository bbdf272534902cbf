"""`manage.py backfill_actual_providers`: name the provider of stored logs, while the service runs."""

from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from billing.corrections import redetection
from billing.management import command_options
from lib import commands


class Command(BaseCommand):
    help = "Name the provider of logs that have none yet; with --redetect, name logs again by today's rules."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--redetect", action="store_true", help="Look at named logs too; each change is an adjustment."
        )
        parser.add_argument("--account", metavar="ID", help="Only this account's logs.")
        parser.add_argument(
            "--since", metavar="TIME", help="Only calls from this date or time on (UTC if it says nothing)."
        )
        parser.add_argument("--until", metavar="TIME", help="Only calls before this date or time.")
        parser.add_argument("--batch-size", type=int, default=2000, metavar="N", help="Logs a transaction (2000).")
        parser.add_argument("--dry-run", action="store_true", help="Tell what would change, change nothing.")

    def handle(self, *, batch_size: int, dry_run: bool, **options: Any) -> None:  # noqa: ANN401 - argparse
        if not 1 <= batch_size <= 10_000:
            raise commands.bad_use("--batch-size is 1 to 10000.")
        choice = _choice(options)
        renamed: Counter[tuple[str | None, str]] = Counter()
        looked = differently = skipped = 0
        with commands.Progress(self, "logs", choice.logs().count()) as progress:
            for part in redetection.run(choice, size=batch_size, at=timezone.now(), dry_run=dry_run):
                renamed += part.renamed
                looked, differently = looked + part.looked, differently + part.rate_differently
                skipped += part.skipped
                progress.add(part.looked)
                if progress.stopped:
                    break
        for (old, new), count in sorted(renamed.items(), key=lambda item: (-item[1], str(item[0]))):
            self.stdout.write(f"{count} {old or 'not detected'} -> {new}")
        done = "would be named" if dry_run else "named"
        stopped = " Stopped before the end: run it again to go on." if progress.stopped else ""
        frozen = f"; {skipped} of closed periods skipped" if skipped else ""
        line = f"{looked} logs looked at, {renamed.total()} {done}{frozen}; {differently} would now rate differently."
        commands.close(self, line + stopped, failed=progress.stopped)


def _choice(options: dict[str, Any]) -> redetection.Choice:
    return redetection.Choice(
        redetect=options["redetect"],
        account=command_options.account(options["account"]),
        since=command_options.moment(options["since"], "--since"),
        until=command_options.moment(options["until"], "--until"),
    )
