"""`manage.py import_usage PATH`: usage events of any age out of a JSONL or CSV file."""

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
    help = "Bring in usage events of any age from a .jsonl or .csv file; safe to run again, and after a stop."

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
            help="e.g. --set provider=openai; for every event",
        )
        parser.add_argument("--timezone", metavar="ZONE", help="Of times that name none, e.g. UTC or Europe/Berlin.")
        parser.add_argument("--account", metavar="ID", help="Whose usage it is; made where it is missing.")
        parser.add_argument("--id-prefix", metavar="NAME", help="Event ids are NAME:line (default: the file's name).")
        parser.add_argument("--dry-run", action="store_true", help="Tell what would come in, store nothing.")

    def handle(self, *, path: str, dry_run: bool, **options: Any) -> None:  # noqa: ANN401 - argparse
        counts, start = bulk_import.Counts(), time.monotonic()
        try:
            lines, left_out = _opened(Path(path), options)
            with commands.Progress(self, "lines") as progress:
                for batch in bulk_import.bring_in(lines, counts, at=timezone.now(), dry_run=dry_run):
                    progress.add(len(batch))
                    if progress.stopped:
                        break
        except (event_files.BadPlan, OSError) as error:
            raise commands.bad_use(str(error)) from error
        for column in left_out:
            self.stderr.write(f"Column {column!r} is no field and was left out.")
        for line in counts.refused_lines():
            self.stdout.write(line)
        rate = round(counts.read / max(time.monotonic() - start, 0.001))
        self.stdout.write(
            f"{counts.tokens} tokens and {money.exact_usd(counts.new_nano)} USD came in, at {rate} lines/s."
        )
        stopped = " Stopped before the end: run it again to go on." if progress.stopped else ""
        commands.close(self, counts.summary(dry_run=dry_run) + stopped, failed=progress.stopped or counts.refused > 0)


def _opened(file: Path, options: dict[str, Any]) -> tuple[Iterator[lines.Line], list[str]]:
    values = list(options["set"])
    if options["account"] is not None:
        values.append(f"account={options['account']}")
    prefix = file.name if options["id_prefix"] is None else options["id_prefix"]
    plan = event_files.plan(prefix, maps=options["map"], values=values, zone=options["timezone"])
    return event_files.read(file, plan), event_files.left_out(file, plan)
