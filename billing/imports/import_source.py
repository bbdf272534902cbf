"""Opens the stored file of an import with its options, and says what the file has beside its events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from billing.events.usage_files import formats, shipped_formats, usage_file
from billing.events.usage_files import options as file_options
from billing.events.usage_files.options import Options
from billing.events.usage_files.usage_file import UsageFile
from billing.imports import stored_files
from billing.models import UsageImport

BadMapping = formats.BadMapping


class ChangedFile(Exception):
    """The stored file is not the one that was uploaded."""


@contextmanager
def open_file(usage_import: UsageImport) -> Iterator[UsageFile]:
    """Raises BadMapping if the file does not fit the options, ChangedFile, or OSError."""
    path, options = stored_files.path_of(usage_import), usage_import.options
    if not usage_import.size or not path.is_file() or path.stat().st_size != usage_import.size:
        raise ChangedFile("The stored file is missing or incomplete. Upload it again.")
    with path.open("rb") as stream:
        yield usage_file.open_stream(stream, usage_import.name, parse(options), options.get("format"))


def parse(options: dict[str, Any]) -> Options:
    """The options of an import's row. Raises BadMapping."""
    account = [f"account={options['account']}"] if "account" in options else []
    return file_options.parse(
        maps=options.get("maps", []),
        constants=[*options.get("constants", []), *account],
        values=options.get("values", []),
        rates=options.get("rates", []),
        zone=options.get("timezone"),
        prefix=options.get("id_prefix"),
        encoding=options.get("encoding"),
    )


def format_choices() -> list[tuple[str, str]]:
    """The names of formats, each with its label."""
    shipped = [(shape.name, shape.label) for shape in shipped_formats.load().values()]
    return [
        ("", "Recognise by its columns"),
        (usage_file.FIELDS_FORMAT, "Columns are fields of a usage event"),
        *shipped,
    ]


def describe(file: UsageFile) -> dict[str, Any]:
    """Format, columns left out, skipped rows and credits, as JSON. Complete when all lines have been taken."""
    return {
        "format": _describe_format(file),
        "left_out": sorted(file.left_out.items()),
        "skipped": sorted(file.skipped.items()),
        "credits": sorted((currency, total.count, f"{total.amount:f}") for currency, total in file.credits.items()),
    }


def _describe_format(file: UsageFile) -> str:
    if file.format is None:
        return "Columns are fields of a usage event"
    layout = f" ({file.layout.label})" if file.layout.label else ""
    return f"{file.format.label}{layout}, {'recognised by its columns' if file.recognised else 'as chosen'}"
