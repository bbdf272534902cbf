"""The text of a file: unpacks gzip and decodes, in lines of bounded length, so that memory stays flat. Pure."""

from __future__ import annotations

import gzip
import io
import zlib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from billing.events.usage_files.formats import BadMapping

MAX_LINE = 1024 * 1024  # characters
MAX_EXPANSION = 200  # times its size, that a gzip file may expand to
FREE_EXPANSION = 64 * 1024 * 1024  # characters that any gzip file may expand to
_GZIP = b"\x1f\x8b"
_OTHER_TYPES = (  # first bytes -> what they are
    (b"PK\x03\x04", "a zip archive or an Excel workbook"),
    (b"PAR1", "a Parquet file"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook"),
    (b"%PDF", "a PDF document"),
    (b"SQLite format 3", "a SQLite database"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
)
READ_ERRORS = (EOFError, OSError, UnicodeError, zlib.error)


class UnreadableText(ValueError):
    """The rest of the file can't be read: it is damaged, cut off, or has a line that is too long."""


class _Borrowed(io.RawIOBase):
    """Reads a stream that others close."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - a writable buffer
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class FileText:
    """The decoded text of a seekable binary stream. Undecodable bytes become lone surrogates, which no field accepts."""

    def __init__(self, stream: BinaryIO, encoding: str | None = None) -> None:
        """Raises BadMapping if the file is no text."""
        stream.seek(0)
        self._max_characters: int | None = None
        if stream.read(len(_GZIP)) == _GZIP:
            self._max_characters = max(FREE_EXPANSION, stream.seek(0, io.SEEK_END) * MAX_EXPANSION)
            stream.seek(0)
            stream = cast("BinaryIO", gzip.GzipFile(fileobj=stream, mode="rb"))
        stream.seek(0)
        start = _first_bytes(stream)
        stream.seek(0)
        self.encoding = encoding or _guess_encoding(start)
        self._text = io.TextIOWrapper(
            io.BufferedReader(_Borrowed(stream)), self.encoding, errors="surrogateescape", newline=""
        )
        self._read_characters = 0

    def lines(self) -> Iterator[str]:
        """Yield the remaining lines with their ends. Raises UnreadableText."""
        while line := self.read_line():
            yield line

    def read_line(self, *, whole: bool = True) -> str:
        """The next line with its end, "" at the end; without `whole` maybe a part of a long line. Raises UnreadableText."""
        line = self._read(MAX_LINE + 1, lines=True)
        if whole and len(line) > MAX_LINE:
            raise UnreadableText(f"The line is longer than {MAX_LINE:,} characters; the rest of the file was not read.")
        return line

    def read(self, size: int) -> str:
        """Up to `size` characters. Raises UnreadableText."""
        return self._read(size, lines=False)

    def _read(self, size: int, *, lines: bool) -> str:
        try:
            text = self._text.readline(size) if lines else self._text.read(size)
        except READ_ERRORS as error:
            raise UnreadableText(f"The file is damaged or cut off: {error}.") from error
        self._read_characters += len(text)
        if self._max_characters is not None and self._read_characters > self._max_characters:
            raise UnreadableText(
                f"The file expands to more than {MAX_EXPANSION} times its size; unpack it and look at it."
            )
        return text


def _first_bytes(stream: BinaryIO) -> bytes:
    try:
        start = stream.read(4096)
    except READ_ERRORS as error:
        raise BadMapping(f"The file is damaged or cut off: {error}.") from error
    for magic, description in _OTHER_TYPES:
        if start.startswith(magic):
            raise BadMapping(f"The file is {description}; export it as CSV or JSON Lines.")
    if start.lstrip().startswith(b"<"):
        raise BadMapping("The file is HTML or XML; export it as CSV or JSON Lines.")
    return start


def _guess_encoding(start: bytes) -> str:
    """UTF-8 unless a byte order mark, or zero bytes beside ASCII, say UTF-16."""
    if start.startswith(BOM_UTF8):
        return "utf-8-sig"
    if start.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return "utf-16"
    if start[1:2] == b"\0" and start[:1] not in {b"", b"\0"}:
        return "utf-16-le"
    return "utf-16-be" if start[:1] == b"\0" and start[1:2] not in {b"", b"\0"} else "utf-8"
