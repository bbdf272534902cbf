"""Ids and lookup keys: UUIDv7 for rows of growing tables, UUIDv5 for ids that callers choose.

The write path uses their 16 bytes, which Python compares, sorts and packs at the speed of C.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import uuid_utils
import uuid_utils.compat

# Never change it: with another namespace, every stored event would look new.
NAMESPACE = uuid_utils.UUID("5d0c1b5e-6f0e-5c1b-9a53-7b9f2f0f6c1e")
SEQUENCE_BITS = 20
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def new_id() -> UUID:
    """A UUIDv7: unique and rising with time, so that new rows go to the end of an index."""
    return uuid_utils.compat.uuid7()


def new_ids(count: int) -> list[bytes]:
    """`count` UUIDv7 in rising order, as bytes: the first one, then increments of the last 20 of its 74 random bits."""
    first = new_id().int >> SEQUENCE_BITS << SEQUENCE_BITS
    return [number.to_bytes(16, "big") for number in range(first, first + count)]


def min_id_before(uuid7: UUID, interval: timedelta) -> UUID:
    """The smallest id of the millisecond that lies `interval` before the creation of `uuid7`."""
    return _min_id((uuid7.int >> 80) - interval // MILLISECOND)


def min_id_at(at: datetime) -> UUID:
    """The smallest id of the millisecond `at`: ids created later are greater."""
    return _min_id((at - EPOCH) // MILLISECOND)


def _min_id(milliseconds: int) -> UUID:
    return UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62)


def lookup_key(text: str) -> UUID:
    """The key that stands for a caller's own id in look-ups: exact under every collation (case and blanks count)."""
    return UUID(bytes=lookup_key_bytes(text))


def lookup_key_bytes(text: str) -> bytes:
    """`lookup_key` as its 16 bytes."""
    key: bytes = uuid_utils.uuid5(NAMESPACE, text).bytes
    return key


def uuid_text(uuid_bytes: bytes) -> str:
    """The text form of the UUID with these 16 bytes."""
    digits = uuid_bytes.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
