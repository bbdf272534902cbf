"""Ids and look-up keys: UUIDv7 for rows of growing tables, uuid5 for ids that callers chose."""

from uuid import UUID

import uuid_utils
import uuid_utils.compat

# Ours for ever: a changed namespace would make every stored event look new.
NAMESPACE = uuid_utils.UUID("5d0c1b5e-6f0e-5c1b-9a53-7b9f2f0f6c1e")


def new_id() -> UUID:
    """A UUIDv7: unique, and rising with time, so that new rows land at the end of an index."""
    return uuid_utils.compat.uuid7()


def key_of(text: str) -> UUID:
    """The key under which a caller's own id is looked up: exact on every collation (case and blanks count)."""
    return UUID(bytes=uuid_utils.uuid5(NAMESPACE, text).bytes)
