"""`manage.py import_usage PATH`: imports usage events of any age from files of other systems."""

from __future__ import annotations

import time
from argparse import RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from billing.events.usage_files import options as file_options
from billing.events.usage_files import shipped_formats, usage_file
from billing.events.usage_files.formats import BadMapping
from billing.events.usage_files.usage_file import UsageFile
from billing.recording import bulk_import
from lib import commands, money

EXAMPLES = """
Examples:
  manage.py import_usage activity.csv --account acme
  manage.py import_usage usage.csv --account acme --format openai-usage
  manage.py import_usage costs.csv --account acme --format focus --rate EUR=1.0840
  manage.py import_usage calls.csv --account acme --set provider=openai --map 'in + cached=input_tokens' \\
      --map usage.out=output_tokens --values batch:TRUE=batch --map batch=service_tier --timezone UTC
"""
_REPEATED = (  # option, metavar, help
    ("--map", "COLUMN=FIELD", "e.g. --map ContextTokens=input_tokens, 'a + b=input_tokens' or usage.in=input_tokens"),
    ("--set", "FIELD=VALUE", "Set a field of every event, e.g. --set provider=openai"),
    ("--values", "COLUMN:TEXT=VALUE", "Replace a column's text, e.g. --values batch:TRUE=batch; * stands for any text"),
    ("--rate", "CURRENCY=USD", "US dollars for one unit of a currency, e.g. --rate EUR=1.0840; others are refused"),
)


class Command(BaseCommand):
    help = (
        "Import usage events of any age from a .csv, .tsv, .jsonl or .json file, also as .gz.\n"
        "A file of a known format is recognised by its columns, unless --map says otherwise.\n"
        "Safe to repeat, also after an interruption."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:  # noqa: ANN401
        return super().create_parser(
            prog_name, subcommand, epilog=EXAMPLES, formatter_class=RawDescriptionHelpFormatter, **kwargs
        )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", metavar="PATH", nargs="?")
        parser.add_argument("--format", metavar="NAME", help="A shipped format, PATH.toml, or `fields` for none.")
        parser.add_argument("--list-formats", action="store_true", help="List the shipped formats.")
        for option, metavar, text in _REPEATED:
            parser.add_argument(option, action="append", default=[], metavar=metavar, help=text)
        parser.add_argument(
            "--timezone", metavar="ZONE", help="Time zone of times without an offset, e.g. UTC or Europe/Berlin."
        )
        parser.add_argument("--account", metavar="ID", help="Account of all events; created if it does not exist.")
        parser.add_argument("--id-prefix", metavar="NAME", help="Event ids are NAME:line, or NAME:id if rows have ids.")
        parser.add_argument(
            "--encoding", help="The file's encoding (default: UTF-8, or UTF-16 if it starts like that)."
        )
        parser.add_argument("--dry-run", action="store_true", help="Show what would be imported, store nothing.")

    def handle(self, *, path: str | None, dry_run: bool, list_formats: bool, **options: Any) -> None:  # noqa: ANN401 - argparse
        if list_formats:
            for shape in shipped_formats.load().values():
                self.stdout.write(f"{shape.name:<20} {shape.label}")
            return
        if path is None:
            raise commands.usage_error("Name a file, or use --list-formats.")
        counts, start = bulk_import.ImportCounts(), time.monotonic()
        try:
            with Path(path).open("rb") as stream, commands.Progress(self, "lines") as progress:
                file = usage_file.open_stream(stream, Path(path).name, _parse(options), options["format"])
                self._name_format(file)
                for batch in bulk_import.import_lines(file.lines, counts, clock=timezone.now, dry_run=dry_run):
                    progress.add(len(batch))
                    if progress.stopped:
                        break
        except (BadMapping, OSError) as error:
            raise commands.usage_error(str(error)) from error
        rate = round(counts.read / max(time.monotonic() - start, 0.001))
        self._report(file, counts, rate)
        stopped = " Stopped before the end: run the command again to continue." if progress.stopped else ""
        commands.finish(self, counts.summary(dry_run=dry_run) + stopped, failed=progress.stopped or counts.refused > 0)

    def _name_format(self, file: UsageFile) -> None:
        if file.format:
            layout = f" ({file.layout.label})" if file.layout.label else ""
            recognised = "recognised by its columns" if file.recognised else "as named"
            self.stderr.write(f"Format: {file.format.name}{layout}, {recognised}.")

    def _report(self, file: UsageFile, counts: bulk_import.ImportCounts, rate: int) -> None:
        for column, reason in file.left_out.items():
            self.stderr.write(f"Column {column!r} {reason} and was ignored.")
        for line in counts.refused_lines():
            self.stdout.write(line)
        for reason, count in file.skipped.items():
            self.stdout.write(f"{count} skipped: {reason}")
        for currency, total in file.credits.items():
            self.stdout.write(f"{total.count} credits of {total.amount:f} {currency} in all were not imported.")
        self.stdout.write(
            f"{counts.tokens} tokens and {money.exact_usd(counts.new_nano)} USD imported, {rate} lines/s."
        )


def _parse(options: dict[str, Any]) -> file_options.Options:
    constants = list(options["set"])
    if options["account"] is not None:
        constants.append(f"account={options['account']}")
    return file_options.parse(
        maps=options["map"],
        constants=constants,
        values=options["values"],
        rates=options["rate"],
        zone=options["timezone"],
        prefix=options["id_prefix"],
        encoding=options["encoding"],
    )
