"""The stored files of imports: in a private folder, under names of our own, until they are imported or discarded."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from django.conf import settings

from billing.errors import Refused
from billing.models import UsageImport
from lib import ids

MAX_FILES = 20  # stored at once, so that at most MAX_FILES * IMPORT_MAX_MIB of disk space are used
MAX_NAME_LENGTH = 200
ENDED = (UsageImport.State.FINISHED, UsageImport.State.DISCARDED)  # their files are deleted
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")  # each also as .gz


def check_name(name: str) -> None:
    """Raises Refused if the name does not end like that of a file type that can be read."""
    if not name.lower().removesuffix(".gz").endswith(SUFFIXES):
        types = ", ".join(SUFFIXES)
        raise Refused("invalid", f"Only files of these types can be imported: {types}, also as .gz.", "file")


def path_of(usage_import: UsageImport) -> Path:
    return Path(settings.IMPORT_DIR) / usage_import.stored_name


def store(*, name: str, chunks: Iterable[bytes], actor: str, at: datetime) -> UsageImport:
    """Store an uploaded file that only this service's user can open, and its import.

    The import's row comes first, so that no file is ever without one. Raises Refused, or OSError; nothing is left then.
    """
    check_name(name)
    if UsageImport.objects.exclude(state__in=ENDED).count() >= MAX_FILES:
        raise Refused("too_many", f"{MAX_FILES} files are waiting. Import or discard one of them first.", "file")
    usage_import = UsageImport.objects.create(
        name=_printable(name), stored_name=f"{ids.new_id()}.upload", actor=actor, created_at=at
    )
    try:
        usage_import.size = _write(path_of(usage_import), chunks)
        if not usage_import.size:
            raise Refused("invalid", "The file is empty.", "file")
    except (OSError, Refused):
        remove(usage_import)
        usage_import.delete()
        raise
    usage_import.save(update_fields=["size"])
    return usage_import


def remove(usage_import: UsageImport) -> None:
    path_of(usage_import).unlink(missing_ok=True)


def _write(path: Path, chunks: Iterable[bytes]) -> int:
    """Returns the number of bytes."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    size = 0
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        for chunk in chunks:
            size += file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return size


def _printable(name: str) -> str:
    """The uploaded name as text that every database stores; the end of a long name, which says the type."""
    return "".join(character if character.isprintable() else "_" for character in name)[-MAX_NAME_LENGTH:]
