"""Ids and look-up keys: UUIDv7 for rows of growing tables, uuid5 for ids that callers chose.

The write path holds them as their 16 bytes, which are compared, sorted and packed at the speed of C.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import uuid_utils
import uuid_utils.compat

# Ours for ever: a changed namespace would make every stored event look new.
NAMESPACE = uuid_utils.UUID("5d0c1b5e-6f0e-5c1b-9a53-7b9f2f0f6c1e")
BATCH_BITS = 20
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def new_id() -> UUID:
    """A UUIDv7: unique, and rising with time, so that new rows land at the end of an index."""
    return uuid_utils.compat.uuid7()


def new_ids(count: int) -> list[bytes]:
    """As many UUIDv7 in rising order, as bytes: one, and its successors in the last 20 of its 74 random bits."""
    first = new_id().int >> BATCH_BITS << BATCH_BITS
    return [number.to_bytes(16, "big") for number in range(first, first + count)]


def earlier(made: UUID, by: timedelta) -> UUID:
    """The least id of the millisecond that lies `by` before the one in which `made`, a UUIDv7, was made."""
    return _least((made.int >> 80) - by // MILLISECOND)


def least_of(at: datetime) -> UUID:
    """The least id of the millisecond `at`: what was made from then on has a greater one."""
    return _least((at - EPOCH) // MILLISECOND)


def _least(milliseconds: int) -> UUID:
    return UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62)


def key_of(text: str) -> UUID:
    """The key under which a caller's own id is looked up: exact on every collation (case and blanks count)."""
    return UUID(bytes=bytes_of(text))


def bytes_of(text: str) -> bytes:
    """The same key as its 16 bytes."""
    key: bytes = uuid_utils.uuid5(NAMESPACE, text).bytes
    return key


def text_of(key: bytes) -> str:
    """The usual text of the UUID with these 16 bytes."""
    digits = key.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
