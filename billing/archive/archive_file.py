"""A file of archived usage logs: an account's usage period as compressed CSV, and beside it what it holds and its checksum.

    account-12/2026-01-01.csv.gz     a header, then a row a log in the order of their time; in parts (lib/gzip_parts.py)
    account-12/2026-01-01.json       the manifest
    account-12/2026-01-01.sha256     of both, as `sha256sum --check` reads it

Values are as the log has them: money in nano-USD, times in UTC, JSON in its columns; a cell is empty for null. Client addresses
and user agents are left out: the log erases them after some days, and a file would keep them.
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

from billing.models import Archive, ArchivedEvent, UsageLog
from lib import gzip_parts, ids
from lib.gzip_parts import Damaged

FORMAT = 1
PERSONAL = ("ip_address", "user_agent")
COLUMNS = tuple(field.attname for field in UsageLog._meta.concrete_fields if field.name not in PERSONAL)
_values = attrgetter(*COLUMNS)
csv.field_size_limit(1 << 20)  # characters; PostgreSQL spells 4 KiB of metadata such as 1e308 out in 200,000


class Part(NamedTuple):
    """The ids of some logs, their rows as they stand in the file, and where the next part begins."""

    ids: list[UUID]
    text: str
    next: int


class Writer:
    """Adds logs to a file, and knows how many these were."""

    def __init__(self, path: Path, write: gzip_parts.Write) -> None:
        self._path, self._write, self._digest, self._logs = path, write, hashlib.sha256(), 0
        self._add(_lines([COLUMNS]))

    def add(self, logs: Sequence[UsageLog]) -> None:
        self._add(text_of(logs))
        self._logs += len(logs)

    def _add(self, text: str) -> None:
        self._write(text)
        self._digest.update(text.encode())

    def compare(self) -> int:
        """Read the file back; where its first logs begin. Raises Damaged where it does not hold what was added."""
        text, start = gzip_parts.part(self._path, 0)
        digest, logs, offset = hashlib.sha256(text.encode()), 0, start
        while offset < self._path.stat().st_size:
            one = part(self._path, offset)
            digest.update(one.text.encode())
            logs, offset = logs + len(one.ids), one.next
        if (digest.digest(), logs) != (self._digest.digest(), self._logs):
            raise Damaged("The file does not hold what was written.")
        return start

    def found(self) -> dict[str, Any]:
        """How many logs the file holds, its bytes, and its checksum."""
        return {"logs": self._logs, "size": self._path.stat().st_size, "sha256": gzip_parts.checksum(self._path)}


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """The file is there when the block ends well. Raises BlockingIOError, where another process is writing it, or OSError."""
    with gzip_parts.writing(path) as write:
        yield Writer(gzip_parts.partial_of(path), write)


def path_of(one: Archive) -> Path:
    """Accounts have names that no file may have."""
    return Path(settings.ARCHIVE_DIR) / f"account-{one.account_id}" / f"{one.period}.csv.gz"


def of_event(account: str, event_id: str) -> Path | None:
    """The file with an archived event, by the caller's ids."""
    found = ArchivedEvent.objects.filter(account__external_key=ids.key_of(account), event_key=ids.key_of(event_id))
    event = found.first()
    return path_of(Archive(account_id=event.account_id, period=event.period)) if event else None


def text_of(logs: Sequence[UsageLog]) -> str:
    """Rows of the file; the same logs make the same text."""
    return _lines(map(_cell, _values(log)) for log in logs)


def part(path: Path, offset: int) -> Part:
    """Raises Damaged or OSError."""
    try:
        text, after = gzip_parts.part(path, offset)
        ids = [UUID(row[0]) for row in csv.reader(io.StringIO(text, newline=""))]
    except (ValueError, IndexError, csv.Error) as error:  # another file's text, or none at all
        raise Damaged("The file has rows that begin with no id.") from error
    return Part(ids, text, after)


def describe(path: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest, and the checksums of it and the file, which need not be there yet."""
    stem = path.name.removesuffix(".csv.gz")
    described = path.with_name(f"{stem}.json")
    whole = {"format": FORMAT, "file": path.name, **manifest, "columns": COLUMNS, "left_out": PERSONAL}
    _put(described, json.dumps(whole, indent=2, default=str) + "\n")
    sums = ((manifest["sha256"], path), (gzip_parts.checksum(described), described))
    _put(path.with_name(f"{stem}.sha256"), "".join(f"{one}  {of.name}\n" for one, of in sums))
    gzip_parts.sync(path.parent)


def _put(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _lines(rows: Any) -> str:  # noqa: ANN401 - rows of anything that has a text
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)  # its own line ends, \r\n: else it would not quote a lone \r
    return text.getvalue()


def _cell(value: Any) -> Any:  # noqa: ANN401 - whatever a column holds
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return str(value).lower() if isinstance(value, bool) else value
