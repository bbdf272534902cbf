"""Files of archived usage logs: one usage period of an account as compressed CSV, with a manifest and checksums.

    <installation>/account-12/2026-01-01.csv.gz     a header, then one row per log by time; in parts (lib/gzip_parts.py)
    <installation>/account-12/2026-01-01.json       the manifest
    <installation>/account-12/2026-01-01.sha256     of both files, in the format of `sha256sum --check`

Format 1 has no installation in its path and manifest, and fewer columns: each file's header names its own.

Values are those of the log: money in nano-USD, times in UTC, JSON as text, empty cells for null. Client addresses and user
agents are left out, as the log erases them after some days and a file would keep them.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings

from billing.models import Archive, ArchivedEvent, Installation, UsageLog
from lib import gzip_parts, ids
from lib.gzip_parts import DamagedFile

FORMAT_VERSION = 2
PERSONAL_COLUMNS = ("ip_address", "user_agent")
COLUMNS = tuple(field.attname for field in UsageLog._meta.concrete_fields if field.name not in PERSONAL_COLUMNS)
csv.field_size_limit(1 << 20)  # characters; 4 KiB of metadata with numbers such as 1e308 take 200,000 from PostgreSQL


class FilePart(NamedTuple):
    """The ids and rows of one part, and the file offset of the next part."""

    ids: list[UUID]
    text: str
    next_offset: int


class LogWriter:
    """Appends logs to a file and counts them."""

    def __init__(self, path: Path, write: gzip_parts.WritePart) -> None:
        self._path, self._write, self._digest, self._logs = path, write, hashlib.sha256(), 0
        self._add(_format_rows([COLUMNS]))

    def add(self, logs: Sequence[UsageLog]) -> None:
        self._add(format_logs(logs, COLUMNS))
        self._logs += len(logs)

    def _add(self, text: str) -> None:
        self._write(text)
        self._digest.update(text.encode())

    def verify(self) -> int:
        """Read the file back; return the offset of its first logs. Raises DamagedFile if it differs from what was added."""
        text, start = gzip_parts.read_part(self._path, 0)
        digest, logs, offset = hashlib.sha256(text.encode()), 0, start
        while offset < self._path.stat().st_size:
            part = read_part(self._path, offset)
            digest.update(part.text.encode())
            logs, offset = logs + len(part.ids), part.next_offset
        if (digest.digest(), logs) != (self._digest.digest(), self._logs):
            raise DamagedFile("The file does not contain what was written.")
        return start

    def facts(self) -> dict[str, Any]:
        """The file's number of logs, size in bytes, and checksum."""
        return {"logs": self._logs, "size": self._path.stat().st_size, "sha256": gzip_parts.checksum(self._path)}


@contextmanager
def open_writer(path: Path) -> Iterator[LogWriter]:
    """The file gets its name when the block succeeds. Raises OSError; BlockingIOError if another process is writing it."""
    with gzip_parts.open_writer(path) as write:
        yield LogWriter(gzip_parts.partial_path(path), write)


def archive_path(archive: Archive) -> Path:
    """Archives of earlier releases have no `folder` and lie directly in ARCHIVE_DIR."""
    folder = archive.folder or f"account-{archive.account_id}"
    return Path(settings.ARCHIVE_DIR) / folder / f"{archive.period}.csv.gz"


def folder_for(account_id: int) -> str:
    """The folder has the internal id, because external ids may not be valid file names."""
    return f"{installation_key()}/account-{account_id}"


def installation_key() -> UUID:
    return Installation.objects.get_or_create(pk=1, defaults={"key": ids.new_id()})[0].key


def is_written_by(path: Path, archive: Archive) -> bool:
    """Whether the file's manifest names this archive, so that the file may be replaced or removed."""
    try:
        manifest = json.loads(_manifest_path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.get("archive") == str(archive.pk)


def check_free(path: Path, archive: Archive) -> None:
    """Raises FileExistsError if the file was written for another archive."""
    if path.exists() and not is_written_by(path, archive):
        raise FileExistsError(
            f"{path.name} exists and belongs to another archive: a copy of this database wrote it, or this one before it was"
            " restored. Move it away, or set another ARCHIVE_DIR."
        )


def remove(path: Path, archive: Archive) -> None:
    """Remove the archive's files, if they are its own."""
    if is_written_by(path, archive):
        for file in (path, _checksums_path(path), _manifest_path(path)):
            file.unlink(missing_ok=True)


def find_event_file(account: str, event_id: str) -> Path | None:
    """The file of an archived event, given the external ids of account and event."""
    account_key, event_key = ids.lookup_key(account), ids.lookup_key(event_id)
    event = ArchivedEvent.objects.filter(account__external_key=account_key, event_key=event_key).first()
    archive = Archive.objects.filter(account_id=event.account_id, period=event.period).first() if event else None
    return archive_path(archive) if archive else None


def format_logs(logs: Sequence[UsageLog], columns: Sequence[str]) -> str:
    """The logs as rows of the file; the same logs always give the same text."""
    return _format_rows(map(_format_value, attrgetter(*columns)(log)) for log in logs)


def read_columns(path: Path) -> list[str]:
    """The columns of the file, which another release may have written. Raises DamagedFile or OSError."""
    text, _ = gzip_parts.read_part(path, 0)
    columns = next(csv.reader(io.StringIO(text, newline="")), [])
    if columns[:1] != ["id"] or not set(columns) <= set(COLUMNS):
        raise DamagedFile("The file has no header with columns of the usage log.")
    return columns


def read_part(path: Path, offset: int) -> FilePart:
    """Raises DamagedFile or OSError."""
    try:
        text, next_offset = gzip_parts.read_part(path, offset)
        ids = [UUID(row[0]) for row in csv.reader(io.StringIO(text, newline=""))]
    except (ValueError, IndexError, csv.Error) as error:  # the text of another file, or no text
        raise DamagedFile("The file has rows without a log id.") from error
    return FilePart(ids, text, next_offset)


def write_manifest(path: Path, archive: Archive, manifest: dict[str, Any]) -> None:
    """Write the manifest, and the checksums of the manifest and the file. The file itself may still be missing."""
    json_path = _manifest_path(path)
    content = {
        "format": FORMAT_VERSION,
        "installation": installation_key(),
        "archive": archive.pk,
        "file": path.name,
        **manifest,
        "columns": COLUMNS,
        "left_out": PERSONAL_COLUMNS,
    }
    _write_atomically(json_path, json.dumps(content, indent=2, default=str) + "\n")
    sums = ((manifest["sha256"], path), (gzip_parts.checksum(json_path), json_path))
    _write_atomically(_checksums_path(path), "".join(f"{sha256}  {file.name}\n" for sha256, file in sums))
    gzip_parts.sync_folder(path.parent)


def _manifest_path(path: Path) -> Path:
    return path.with_name(path.name.replace(".csv.gz", ".json"))


def _checksums_path(path: Path) -> Path:
    return path.with_name(path.name.replace(".csv.gz", ".sha256"))


def _write_atomically(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _format_rows(rows: Any) -> str:  # noqa: ANN401 - rows of any values
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)  # with the default line end \r\n, which makes it quote a lone \r
    return text.getvalue()


def _format_value(value: Any) -> Any:  # noqa: ANN401 - any type of a column
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return str(value).lower() if isinstance(value, bool) else value
