"""`manage.py import_legacy_logs URL`: an older `api_usage_logs` table into the ledger."""

from __future__ import annotations

from contextlib import closing

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from billing.events import legacy_rows, legacy_tables
from billing.events.lines import Line
from billing.recording import bulk_import
from billing.recording.metering import Result
from lib import commands, money
from providers import rulebook
from providers.detection import label_key


class Command(BaseCommand):
    help = "Bring in the usage log of an earlier system; it is only read. Safe to run again, and after a stop."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("url", metavar="URL", help="sqlite:///old.sqlite3, postgres://… or mysql://…")
        parser.add_argument(
            "--source", default="legacy", metavar="NAME", help="Event ids are NAME:id (default: legacy)."
        )
        parser.add_argument("--dry-run", action="store_true", help="Tell what would come in, store nothing.")

    def handle(self, *, url: str, source: str, dry_run: bool, **_options: object) -> None:
        try:
            table = legacy_tables.open_table(url)
        except legacy_tables.NotReadable as error:
            raise commands.bad_use(str(error)) from error
        counts, seen = bulk_import.Counts(), legacy_rows.Read()
        with closing(table), commands.Progress(self, "rows", len(table)) as progress:
            lines = (legacy_rows.line(row, source, seen) for row in table.rows())
            for batch in bulk_import.bring_in(lines, counts, at=timezone.now(), dry_run=dry_run):
                _compare(batch, seen)
                progress.add(len(batch))
                if progress.stopped:
                    break
        for told in (*counts.refused_lines(), *_oddities(seen), *_sums(counts, seen)):
            self.stdout.write(told)
        stopped = " Stopped before the end: run it again to go on." if progress.stopped else ""
        commands.close(self, counts.summary(dry_run=dry_run) + stopped, failed=progress.stopped or counts.refused > 0)


def _compare(batch: list[tuple[Line, Result]], seen: legacy_rows.Read) -> None:
    """Where the older system named a provider, and it is another one than ours."""
    labels = rulebook.current().labels
    for line, result in batch:
        old = legacy_rows.old_name(line)
        ours = result.actual_provider
        if old and ours and label_key(old) not in {label_key(ours), label_key(labels.get(ours, ours))}:
            seen.differences[old, ours] += 1


def _oddities(seen: legacy_rows.Read) -> list[str]:
    told = [
        f"{count} rows were {old!r} there and are {ours} here." for (old, ours), count in seen.differences.most_common()
    ]
    if seen.odd_totals:
        told.append(
            f"{seen.odd_totals} rows have a token total that is not input plus output; input and output came in."
        )
    if seen.without_cost:
        told.append(f"{seen.without_cost} rows have no cost: the price book rates them.")
    if seen.cut_messages:
        told.append(f"{seen.cut_messages} error messages were cut to {legacy_rows.ERROR_MESSAGE} characters.")
    return told


def _sums(counts: bulk_import.Counts, seen: legacy_rows.Read) -> list[str]:
    """What was read in the older table's own numbers and exactly, beside what is stored."""
    new, known = money.exact_usd(counts.new_nano), money.exact_usd(counts.repeated_nano)
    return [
        f"Cost read:   {seen.native} as the older table adds it, {seen.exact:f} USD exactly.",
        f"Cost stored: {money.exact_usd(counts.new_nano + counts.repeated_nano)} USD ({new} now, {known} before).",
    ]
