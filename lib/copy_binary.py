"""Rows in PostgreSQL's binary COPY format, packed column by column. Pure.

Source: PostgreSQL's documentation of COPY, "Binary Format". Numbers are big-endian; a value is its length and its bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from struct import Struct
from typing import Any
from uuid import UUID

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
EPOCH_DAY = EPOCH.date().toordinal()
MICROSECOND = timedelta(microseconds=1)

_length = Struct(">i").pack
_int2, _int4, _int8 = Struct(">ih").pack, Struct(">ii").pack, Struct(">iq").pack
_UUID_LENGTH = _length(16)

Pack = Callable[[Any], bytes]


def int2(value: int) -> bytes:
    return _int2(2, value)


def int4(value: int) -> bytes:
    return _int4(4, value)


def int8(value: int) -> bytes:
    return _int8(8, value)


def boolean(value: bool) -> bytes:
    return b"\0\0\0\1\1" if value else b"\0\0\0\1\0"


def text(value: str) -> bytes:
    encoded = value.encode()
    return _length(len(encoded)) + encoded


# Providers, models, endpoints and rules repeat from row to row.
repeated_text = lru_cache(maxsize=8192)(text)


def uuid(value: UUID) -> bytes:
    return _UUID_LENGTH + value.bytes


@lru_cache(maxsize=4096)
def day(value: date) -> bytes:
    return _int4(4, value.toordinal() - EPOCH_DAY)


def moment(value: datetime) -> bytes:
    return _int8(8, (value - EPOCH) // MICROSECOND)


def jsonb(value: object) -> bytes:
    if not value:
        return b"\0\0\0\3\1{}"
    encoded = json.dumps(value, ensure_ascii=False).encode()
    return _length(len(encoded) + 1) + b"\1" + encoded


def nullable(pack: Pack) -> Pack:
    return lambda value: NULL if value is None else pack(value)


def int8s(values: Sequence[int]) -> bytes:
    """A run of non-null bigint columns, packed at once."""
    lengths_and_values = [8] * (2 * len(values))
    lengths_and_values[1::2] = values
    return _run(len(values)).pack(*lengths_and_values)


@cache
def _run(count: int) -> Struct:
    return Struct(">" + "iq" * count)


def rows(width: int, packed: Iterable[bytes]) -> bytes:
    """The whole of what COPY … FROM STDIN (FORMAT BINARY) takes, of rows with `width` packed columns each."""
    start = Struct(">h").pack(width)
    return b"".join([HEADER, *[start + row for row in packed], TRAILER])
