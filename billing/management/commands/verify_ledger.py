"""`manage.py verify_ledger`: checks, to the nano-dollar and in one snapshot, that all totals equal the ledger."""

from django.core.management.base import BaseCommand

from billing.verification import verify
from lib import commands

MAX_SHOWN = 50


class Command(BaseCommand):
    help = "Compare the usage log and its adjustments with rollups and statements. Exit status 0: equal, 1: different."

    def handle(self, **_options: object) -> None:
        differences = 0
        with commands.Progress(self, "rows compared") as progress:
            for part in verify.check_all():
                for difference in part.differences[: max(0, MAX_SHOWN - differences)]:
                    self.stdout.write(str(difference))
                differences += len(part.differences)
                progress.add(part.rows)
                if progress.stopped:
                    commands.finish(
                        self, f"Stopped after {progress.done} rows, {differences} differences.", failed=True
                    )
        more = f", the first {MAX_SHOWN} shown" if differences > MAX_SHOWN else ""
        line = f"{progress.done} rows compared, {differences} differences{more}."
        commands.finish(self, line, failed=differences > 0)
