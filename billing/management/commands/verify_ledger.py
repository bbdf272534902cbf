"""`manage.py verify_ledger`: checks, to the nano-dollar, that the ledger agrees with itself and with all totals."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from billing.models import LedgerCheckProgress
from billing.verification import verify
from billing.verification.differences import CheckedPart
from billing.verification.verify import Run
from lib import commands

MAX_SHOWN = 50


class Command(BaseCommand):
    help = (
        "Compare the usage log and its adjustments with rollups, statements, subscriptions and reservations."
        " Exit status 0: equal, 1: different or stopped."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        choice = parser.add_mutually_exclusive_group()
        choice.add_argument("--only", choices=sorted(verify.CHECKS), metavar="CHECK", help="run this check alone")
        choice.add_argument("--resume", action="store_true", help="continue the run that was stopped or killed")

    def handle(self, *, only: str | None = None, resume: bool = False, **_options: object) -> None:
        run, printed = self._start(resume=resume, save=only is None), 0
        with commands.Progress(self, "rows compared") as progress:
            progress.skip(run.total.rows)
            for parts in verify.check_all(run, only=[only] if only else ()):
                for part in parts:
                    printed += self._show(part, MAX_SHOWN - printed)
                if only is None:
                    run.save(timezone.now())
                names = dict.fromkeys((parts[0].check, parts[-1].check))
                progress.add(sum(part.rows for part in parts), " to ".join(names))
                if progress.stopped:
                    hint = "" if only else " Run it again with --resume to continue."
                    commands.finish(self, f"Stopped: {run.total}.{hint}", failed=True)
        run.delete()
        for name, check in verify.CHECKS.items():
            if name in run.results:
                self.stdout.write(f"{name}: {run.results[name]} ({check.compares})")
        differences = run.total.differences
        more = f", the first {MAX_SHOWN} shown" if differences > MAX_SHOWN else ""
        commands.finish(self, f"{run.total}{more}.", failed=differences > 0)

    def _start(self, *, resume: bool, save: bool) -> Run:
        run = Run.load() if resume else None
        if resume:
            self.stderr.write(
                f"Continuing at {run.scan}." if run else "Nothing to continue; starting from the beginning."
            )
        elif save:
            LedgerCheckProgress.objects.all().delete()
        return run or Run(timezone.now())

    def _show(self, part: CheckedPart, limit: int) -> int:
        """Print up to `limit` differences; return their number."""
        differences = part.differences[: max(0, limit)]
        for difference in differences:
            self.stdout.write(str(difference))
        return len(differences)
