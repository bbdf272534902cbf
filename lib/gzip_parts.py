"""A gzip file that is written part by part and read back one part at a time, from any of their offsets.

Each part is a gzip member (RFC 1952, 2.2), so that any program reads the file whole, and each is checked by its own CRC.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

CHUNK = 1 << 20
WITH_HEADER = 31  # zlib's window bits for one gzip member

Write = Callable[[str], None]


class Damaged(Exception):
    """The file does not hold what was written."""


@contextmanager
def writing(path: Path) -> Iterator[Write]:
    """A function that adds a part. The file is there when the block ends well: whole, on the disk, in a folder of ours alone.

    Raises BlockingIOError where another process is writing it, or any OSError of a folder or disk.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = partial_of(path)
    with partial.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until it is closed, or its process killed
        if not partial.exists() or not os.path.samestat(partial.stat(), os.fstat(file.fileno())):
            raise BlockingIOError("Another process ended a moment ago: what is open here is its file.")
        file.truncate(0)
        try:
            yield lambda text: _add(file, text)
            os.fsync(file.fileno())
        except BaseException:
            partial.unlink()
            raise
        partial.replace(path)
    sync(path.parent)


def partial_of(path: Path) -> Path:
    """Where the file is while it is written: what was added so far can be read there."""
    return path.with_name(f"{path.name}.partial")


def _add(file: BinaryIO, text: str) -> None:
    file.write(gzip.compress(text.encode(), mtime=0))  # the same text makes the same bytes
    file.flush()


def sync(folder: Path) -> None:
    """What was renamed in the folder is so after a power cut as well."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def part(path: Path, offset: int) -> tuple[str, int]:
    """The part that begins at `offset`, and where the next one does. Raises Damaged, or OSError."""
    member, texts = zlib.decompressobj(WITH_HEADER), list[bytes]()
    with path.open("rb") as file:
        file.seek(offset)
        while not member.eof:
            chunk = file.read(CHUNK)
            if not chunk:
                raise Damaged("The file ends in the middle of a part.")
            try:
                texts.append(member.decompress(chunk))
            except zlib.error as error:
                raise Damaged("The file has a part that cannot be read.") from error
        return b"".join(texts).decode(), file.tell() - len(member.unused_data)


def checksum(path: Path) -> str:
    """The file's SHA-256 in hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
