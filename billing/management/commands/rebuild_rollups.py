"""`manage.py rebuild_rollups`: corrects the rollups by their differences to the log while the service runs."""

from django.core.management.base import BaseCommand, CommandParser

from billing.verification import rollup_check
from lib import commands

MAX_SHOWN = 50


class Command(BaseCommand):
    help = "Correct the rollups by adding their differences to the log."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Show what is wrong, change nothing.")

    def handle(self, *, dry_run: bool, **_options: object) -> None:
        fixed = 0
        with commands.Progress(self, "rows compared") as progress:
            for part in rollup_check.rebuild(dry_run=dry_run):
                for difference in part.differences[: max(0, MAX_SHOWN - fixed)]:
                    self.stdout.write(str(difference))
                fixed += len(part.differences)
                progress.add(part.rows)
                if progress.stopped:
                    commands.finish(self, f"Stopped: {fixed} rows {_outcome(dry_run=dry_run)} so far.", failed=True)
        more = f", the first {MAX_SHOWN} shown" if fixed > MAX_SHOWN else ""
        commands.finish(self, f"{progress.done} rows compared, {fixed} {_outcome(dry_run=dry_run)}{more}.")


def _outcome(*, dry_run: bool) -> str:
    return "would be corrected" if dry_run else "corrected"
