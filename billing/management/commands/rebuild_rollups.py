"""`manage.py rebuild_rollups`: put the rollups right by their differences to the log, while the service runs."""

from django.core.management.base import BaseCommand, CommandParser

from billing.verification import rollup_check
from lib import commands

SHOWN = 50


class Command(BaseCommand):
    help = "Apply the differences between log and rollups as increments."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Tell what is wrong, change nothing.")

    def handle(self, *, dry_run: bool, **_options: object) -> None:
        fixed = 0
        with commands.Progress(self, "rows compared") as progress:
            for part in rollup_check.rebuild(dry_run=dry_run):
                for difference in part.differences[: max(0, SHOWN - fixed)]:
                    self.stdout.write(str(difference))
                fixed += len(part.differences)
                progress.add(part.rows)
                if progress.stopped:
                    commands.close(self, f"Stopped: {fixed} rows {_done(dry_run=dry_run)} so far.", failed=True)
        more = f", the first {SHOWN} shown" if fixed > SHOWN else ""
        commands.close(self, f"{progress.done} rows compared, {fixed} {_done(dry_run=dry_run)}{more}.")


def _done(*, dry_run: bool) -> str:
    return "to be put right" if dry_run else "put right"
