"""`manage.py import_legacy_logs URL`: imports a legacy `api_usage_logs` table into the ledger."""

from __future__ import annotations

from contextlib import closing

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from billing.events import legacy_rows, legacy_tables
from billing.events.lines import ImportLine
from billing.recording import bulk_import
from billing.recording.metering import Result
from lib import commands, money
from providers import rulebook
from providers.detection import label_key


class Command(BaseCommand):
    help = "Import the usage log of a legacy system, which is only read. Safe to repeat, also after an interruption."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("url", metavar="URL", help="sqlite:///old.sqlite3, postgres://… or mysql://…")
        parser.add_argument(
            "--source", default="legacy", metavar="NAME", help="Event ids are NAME:id (default: legacy)."
        )
        parser.add_argument("--dry-run", action="store_true", help="Show what would be imported, store nothing.")

    def handle(self, *, url: str, source: str, dry_run: bool, **_options: object) -> None:
        try:
            table = legacy_tables.open_table(url)
        except legacy_tables.UnreadableTable as error:
            raise commands.usage_error(str(error)) from error
        counts, totals = bulk_import.ImportCounts(), legacy_rows.LegacyTotals()
        with closing(table), commands.Progress(self, "rows", len(table)) as progress:
            lines = (legacy_rows.to_line(row, source, totals) for row in table.rows())
            for batch in bulk_import.import_lines(lines, counts, clock=timezone.now, dry_run=dry_run):
                _count_provider_changes(batch, totals)
                progress.add(len(batch))
                if progress.stopped:
                    break
        for note in (*counts.refused_lines(), *_notes(totals), *_cost_totals(counts, totals)):
            self.stdout.write(note)
        stopped = " Stopped before the end: run the command again to continue." if progress.stopped else ""
        commands.finish(self, counts.summary(dry_run=dry_run) + stopped, failed=progress.stopped or counts.refused > 0)


def _count_provider_changes(batch: list[tuple[ImportLine, Result]], totals: legacy_rows.LegacyTotals) -> None:
    """Counts the rows whose provider differs from that of the legacy system."""
    labels = rulebook.current().labels
    for line, result in batch:
        old, new = legacy_rows.legacy_provider(line), result.actual_provider
        if old and new and label_key(old) not in {label_key(new), label_key(rulebook.provider_label(new, labels))}:
            totals.provider_changes[old, new] += 1


def _notes(totals: legacy_rows.LegacyTotals) -> list[str]:
    notes = [
        f"{count} rows: provider was {old!r}, detected {new}."
        for (old, new), count in totals.provider_changes.most_common()
    ]
    if totals.mismatched_totals:
        notes.append(
            f"{totals.mismatched_totals} rows have a token total other than input plus output; input and output were imported."
        )
    if totals.without_cost:
        notes.append(f"{totals.without_cost} rows have no cost; they were rated by the price book.")
    if totals.truncated_messages:
        notes.append(
            f"{totals.truncated_messages} error messages were truncated to {legacy_rows.MAX_ERROR_MESSAGE} characters."
        )
    return notes


def _cost_totals(counts: bulk_import.ImportCounts, totals: legacy_rows.LegacyTotals) -> list[str]:
    """Compares the cost read, summed in the legacy table's number type and exactly, with the cost stored."""
    new, before = money.exact_usd(counts.new_nano), money.exact_usd(counts.duplicate_nano)
    return [
        f"Cost read:   {totals.float_cost} as the legacy table sums it, {totals.exact_cost:f} USD exactly.",
        f"Cost stored: {money.exact_usd(counts.new_nano + counts.duplicate_nano)} USD ({new} now, {before} before).",
    ]
