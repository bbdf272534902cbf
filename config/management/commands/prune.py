"""`manage.py prune`: what retention removes, all of it now; the jobs do the same, a part at a time."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

import billing.ledger.retention
import monitoring.retention
from billing.archive import archive_job
from lib import commands, retention
from lib.retention import Rule

RULES = (*monitoring.retention.RULES, *billing.ledger.retention.RULES, archive_job.RULE)
SOME = 20  # batches between two looks at whether to stop


class Command(BaseCommand):
    help = "Remove what is older than the KEEP_… settings say. The periodic jobs do so, too."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only say how much that is.")

    def handle(self, *, dry_run: bool, **_options: Any) -> None:  # noqa: ANN401 - argparse
        at = timezone.now()
        if dry_run:
            for rule, count in retention.due(RULES, at):
                self.stdout.write(f"{count} {rule.what} {_age(rule)}")
            return commands.close(self, "Nothing was changed.")
        removed = []
        with commands.Progress(self, "rows") as progress:
            for rule in RULES:
                before = progress.done
                while not progress.stopped and (some := retention.some(rule, at, batches=SOME)) is not None:
                    progress.add(some, rule.what)
                removed.append((rule, progress.done - before))
        return commands.close(self, f"Removed: {retention.told(removed)}.", failed=progress.stopped)


def _age(rule: Rule) -> str:
    return f"older than {rule.days()} days" if rule.days() else "(kept for ever)"
