"""A gzip file that is written in parts and from which one part can be read by its offset.

Each part is a gzip member (RFC 1952, 2.2) with its own CRC, so any program can read the whole file.
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

CHUNK_BYTES = 1 << 20
GZIP_WINDOW_BITS = 31  # zlib's window bits for one gzip member

WritePart = Callable[[str], None]


class DamagedFile(Exception):
    """The file does not contain what was written."""


@contextmanager
def open_writer(path: Path) -> Iterator[WritePart]:
    """Yield a function that appends a part. After the block, the complete file is on disk, in a folder only we can read.

    Raises BlockingIOError where another process is writing the file, or any OSError of the folder or disk.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = partial_path(path)
    with partial.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # released when the file is closed or the process dies
        if not partial.exists() or not os.path.samestat(partial.stat(), os.fstat(file.fileno())):
            raise BlockingIOError("Another process has just finished writing this file.")
        file.truncate(0)
        try:
            yield lambda text: _write_part(file, text)
            os.fsync(file.fileno())
        except BaseException:
            partial.unlink()
            raise
        partial.replace(path)
    sync_folder(path.parent)


def partial_path(path: Path) -> Path:
    """Where the file is while it is being written; the parts written so far can be read there."""
    return path.with_name(f"{path.name}.partial")


def _write_part(file: BinaryIO, text: str) -> None:
    file.write(gzip.compress(text.encode(), mtime=0))  # mtime=0: the same text gives the same bytes
    file.flush()


def sync_folder(folder: Path) -> None:
    """Make renames in the folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_part(path: Path, offset: int) -> tuple[str, int]:
    """The part that begins at byte `offset`, and the offset of the next part. Raises DamagedFile or OSError."""
    member, texts = zlib.decompressobj(GZIP_WINDOW_BITS), list[bytes]()
    with path.open("rb") as file:
        file.seek(offset)
        while not member.eof:
            chunk = file.read(CHUNK_BYTES)
            if not chunk:
                raise DamagedFile("The file ends in the middle of a part.")
            try:
                texts.append(member.decompress(chunk))
            except zlib.error as error:
                raise DamagedFile("A part of the file cannot be read.") from error
        return b"".join(texts).decode(), file.tell() - len(member.unused_data)


def checksum(path: Path) -> str:
    """The file's SHA-256 in hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
