"""Rows in PostgreSQL's binary COPY format, packed column by column. Pure.

Source: PostgreSQL's documentation of COPY, "Binary Format". Numbers are big-endian; a value is its length and its bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from struct import Struct, calcsize
from typing import Any
from uuid import UUID

import msgspec

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
EPOCH_DAY = EPOCH.date().toordinal()
MICROSECOND = timedelta(microseconds=1)

_length = Struct(">i").pack
_int4, _int8 = Struct(">ii").pack, Struct(">iq").pack

Pack = Callable[[Any], bytes]


def int8(value: int) -> bytes:
    return _int8(8, value)


def boolean(value: bool) -> bytes:
    return b"\0\0\0\1\1" if value else b"\0\0\0\1\0"


def text(value: str) -> bytes:
    if not value:
        return b"\0\0\0\0"
    encoded = value.encode()
    return _length(len(encoded)) + encoded


# Providers, models, endpoints and rules repeat from row to row.
repeated_text = lru_cache(maxsize=8192)(text)


@lru_cache(maxsize=4096)
def day(value: date) -> bytes:
    return _int4(4, value.toordinal() - EPOCH_DAY)


def moment(value: datetime) -> bytes:
    return _int8(8, (value - EPOCH) // MICROSECOND)


def jsonb(value: object) -> bytes:
    if not value:
        return b"\0\0\0\3\1{}"
    encoded = msgspec.json.encode(value)
    return _length(len(encoded) + 1) + b"\1" + encoded


def uuid(value: UUID | bytes) -> bytes:
    return b"\0\0\0\x10" + (value if isinstance(value, bytes) else value.bytes)


def nullable(pack: Pack) -> Pack:
    return lambda value: NULL if value is None else pack(value)


def run(codes: Sequence[str], *, width: int) -> Callable[[Sequence[Any]], bytes]:
    """Packs the start of a row of `width` columns: those of a fixed length, by their codes in `struct`, all at once."""
    row = Struct(">h" + "".join(f"i{code}" for code in codes))
    lengths = [part for code in codes for part in (calcsize(f">{code}"), None)]

    def pack(values: Sequence[Any]) -> bytes:
        parts = [width, *lengths]
        parts[2::2] = values
        return row.pack(*parts)

    return pack


def rows(packed: Iterable[bytes]) -> bytes:
    """The whole of what COPY … FROM STDIN (FORMAT BINARY) takes, of rows that begin with their width."""
    return b"".join([HEADER, *packed, TRAILER])
