"""`manage.py prune`: removes all data past its retention at once; the periodic jobs do so in small steps."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

import billing.ledger.retention
import monitoring.retention
from billing.archive import archive_job
from lib import commands, retention
from lib.retention import RetentionRule

RULES = (*monitoring.retention.RULES, *billing.ledger.retention.RULES, archive_job.RULE)
BATCHES_PER_STEP = 20  # batches between two checks whether to stop


class Command(BaseCommand):
    help = "Remove data that is older than the KEEP_… settings allow. The periodic jobs do the same."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only count the rows.")

    def handle(self, *, dry_run: bool, **_options: Any) -> None:  # noqa: ANN401 - argparse
        at = timezone.now()
        if dry_run:
            for rule, count in retention.count_due(RULES, at):
                self.stdout.write(f"{count} {rule.label} {_describe_age(rule)}")
            return commands.finish(self, "Nothing was changed.")
        removed = []
        with commands.Progress(self, "rows") as progress:
            for rule in RULES:
                before = progress.done
                while not progress.stopped:
                    deleted = retention.delete_batches(rule, at, batches=BATCHES_PER_STEP)
                    if deleted is None:
                        break
                    progress.add(deleted, rule.label)
                removed.append((rule, progress.done - before))
        return commands.finish(self, f"Removed: {retention.describe(removed)}.", failed=progress.stopped)


def _describe_age(rule: RetentionRule) -> str:
    return f"older than {rule.days()} days" if rule.days() else "(kept for ever)"
