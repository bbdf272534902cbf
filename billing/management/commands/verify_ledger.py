"""`manage.py verify_ledger`: whether log and adjustments equal rollups and statements, to the nano-dollar, in one snapshot."""

from django.core.management.base import BaseCommand

from billing.verification import verify
from lib import commands

SHOWN = 50


class Command(BaseCommand):
    help = "Compare the usage log and its adjustments with rollups and statements. Exit status 0: equal, 1: not."

    def handle(self, **_options: object) -> None:
        differences = 0
        with commands.Progress(self, "rows compared") as progress:
            for part in verify.parts():
                for difference in part.differences[: max(0, SHOWN - differences)]:
                    self.stdout.write(str(difference))
                differences += len(part.differences)
                progress.add(part.rows)
                if progress.stopped:
                    commands.close(self, f"Stopped after {progress.done} rows, {differences} differences.", failed=True)
        more = f", the first {SHOWN} shown" if differences > SHOWN else ""
        line = f"{progress.done} rows compared, {differences} differences{more}."
        commands.close(self, line, failed=differences > 0)
