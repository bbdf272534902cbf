"""Packs rows in PostgreSQL's binary COPY format. Pure.

Source: PostgreSQL's documentation of COPY, "Binary Format". Numbers are big-endian; a value is its length, then its bytes.
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

_pack_length = Struct(">i").pack
_pack_int4, _pack_int8 = Struct(">ii").pack, Struct(">iq").pack

Packer = Callable[[Any], bytes]


def int8(value: int) -> bytes:
    return _pack_int8(8, value)


def boolean(value: bool) -> bytes:
    return b"\0\0\0\1\1" if value else b"\0\0\0\1\0"


def text(value: str) -> bytes:
    if not value:
        return b"\0\0\0\0"
    encoded = value.encode()
    return _pack_length(len(encoded)) + encoded


# Providers, models, endpoints and rules repeat in many rows.
repeated_text = lru_cache(maxsize=8192)(text)


@lru_cache(maxsize=4096)
def day(value: date) -> bytes:
    return _pack_int4(4, value.toordinal() - EPOCH_DAY)


def timestamptz(value: datetime) -> bytes:
    return _pack_int8(8, (value - EPOCH) // MICROSECOND)


def jsonb(value: object) -> bytes:
    if not value:
        return b"\0\0\0\3\1{}"
    encoded = msgspec.json.encode(value)
    return _pack_length(len(encoded) + 1) + b"\1" + encoded


def uuid(value: UUID | bytes) -> bytes:
    return b"\0\0\0\x10" + (value if isinstance(value, bytes) else value.bytes)


def nullable(pack: Packer) -> Packer:
    return lambda value: NULL if value is None else pack(value)


def fixed_width_packer(codes: Sequence[str], *, width: int) -> Callable[[Sequence[Any]], bytes]:
    """A function that packs the start of a row of `width` columns: its fixed-length values, given by their `struct` codes."""
    row = Struct(">h" + "".join(f"i{code}" for code in codes))
    lengths = [item for code in codes for item in (calcsize(f">{code}"), None)]

    def pack(values: Sequence[Any]) -> bytes:
        items = [width, *lengths]
        items[2::2] = values
        return row.pack(*items)

    return pack


def copy_stream(packed_rows: Iterable[bytes]) -> bytes:
    """The complete input of COPY … FROM STDIN (FORMAT BINARY); each packed row begins with its number of columns."""
    return b"".join([HEADER, *packed_rows, TRAILER])
