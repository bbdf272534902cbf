"""`manage.py import_usage PATH`: imports usage events of any age from a JSONL or CSV file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from billing.events import event_files, lines
from billing.recording import bulk_import
from lib import commands, money


class Command(BaseCommand):
    help = "Import usage events of any age from a .jsonl or .csv file. Safe to repeat, also after an interruption."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", metavar="PATH")
        parser.add_argument(
            "--map", action="append", default=[], metavar="COLUMN=FIELD", help="e.g. --map ContextTokens=input_tokens"
        )
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="FIELD=VALUE",
            help="Set a field of every event, e.g. --set provider=openai",
        )
        parser.add_argument(
            "--timezone", metavar="ZONE", help="Time zone of times without an offset, e.g. UTC or Europe/Berlin."
        )
        parser.add_argument("--account", metavar="ID", help="Account of all events; created if it does not exist.")
        parser.add_argument("--id-prefix", metavar="NAME", help="Event ids are NAME:line (default: the file's name).")
        parser.add_argument("--dry-run", action="store_true", help="Show what would be imported, store nothing.")

    def handle(self, *, path: str, dry_run: bool, **options: Any) -> None:  # noqa: ANN401 - argparse
        counts, start = bulk_import.ImportCounts(), time.monotonic()
        try:
            lines, ignored = _open(Path(path), options)
            with commands.Progress(self, "lines") as progress:
                for batch in bulk_import.import_lines(lines, counts, clock=timezone.now, dry_run=dry_run):
                    progress.add(len(batch))
                    if progress.stopped:
                        break
        except (event_files.BadMapping, OSError) as error:
            raise commands.usage_error(str(error)) from error
        for column in ignored:
            self.stderr.write(f"Column {column!r} is not a field and was ignored.")
        for line in counts.refused_lines():
            self.stdout.write(line)
        rate = round(counts.read / max(time.monotonic() - start, 0.001))
        self.stdout.write(
            f"{counts.tokens} tokens and {money.exact_usd(counts.new_nano)} USD imported, {rate} lines/s."
        )
        stopped = " Stopped before the end: run the command again to continue." if progress.stopped else ""
        commands.finish(self, counts.summary(dry_run=dry_run) + stopped, failed=progress.stopped or counts.refused > 0)


def _open(file: Path, options: dict[str, Any]) -> tuple[Iterator[lines.ImportLine], list[str]]:
    values = list(options["set"])
    if options["account"] is not None:
        values.append(f"account={options['account']}")
    prefix = file.name if options["id_prefix"] is None else options["id_prefix"]
    mapping = event_files.parse_mapping(prefix, maps=options["map"], values=values, zone=options["timezone"])
    return event_files.read_lines(file, mapping), event_files.ignored_columns(file, mapping)
