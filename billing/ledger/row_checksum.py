"""The checksum of a usage log: of every column that never changes, and of its provider when it was recorded. Pure.

Left out are `effective_nano`, `is_priced`, `unpriced_reason`, `usage_state` and `voided_at`, which corrections move, and
what is erased later: client address and user agent. The value fits a signed 64-bit column: one byte for the version of the
format, and 56 bits of BLAKE2b over MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md). It finds damage; it
is no signature.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import msgspec

VERSION = 2
# The columns of a call's profile; those of the provider are hashed as they were when the log was recorded.
PROFILE_COLUMNS = (
    *("provider", "category", "model_used", "endpoint", "method", "served_by", "variant", "cached_included"),
    *("actual_provider_name", "confidence", "detection_rule", "evidence"),
)
OWN_COLUMNS = (
    *("id", "account_id", "event_id", "event_key", "digest"),
    *("tokens_input", "tokens_output", "tokens_total", "tokens_cached", "tokens_cache_write", "units"),
    *("cost_input", "cost_output", "cost_other", "cost_total", "price_id", "cost_source", "is_billable"),
    *("response_time_ms", "status_code", "error_message", "retry_count", "request_bytes", "response_bytes"),
    *("timestamp", "received_at", "usage_day", "usage_period", "late_for", "counts_at", "metadata"),
    *("calls", "reading"),
)
METADATA, READING = OWN_COLUMNS.index("metadata"), OWN_COLUMNS.index("reading")
OLDER_WIDTHS = {1: METADATA + 1}  # how many of OWN_COLUMNS an earlier version of the format has
HASH_BYTES = 7
MAX_EXACT_INTEGER = 2**53  # of a 64-bit floating-point number

_encode = msgspec.msgpack.Encoder(order="sorted").encode


def hash_profile(values: Sequence[Any]) -> bytes:
    """The hash of the values of PROFILE_COLUMNS, 16 bytes."""
    return blake2b(_encode(values), digest_size=16).digest()


def compute(profile_hash: bytes, values: tuple[Any, ...], version: int = VERSION) -> int:
    """The checksum, given the values of OWN_COLUMNS. UUIDs are 16 bytes; databases may return other types of number."""
    for column in (METADATA, READING):
        if values[column]:
            values = (*values[:column], _normalize(values[column]), *values[column + 1 :])
    hashed = blake2b(profile_hash + _encode(values[: OLDER_WIDTHS.get(version)]), digest_size=HASH_BYTES).digest()
    return version << 8 * HASH_BYTES | int.from_bytes(hashed, "big")


def version_of(checksum: int) -> int:
    """The version of the format by which a checksum was computed."""
    return checksum >> 8 * HASH_BYTES


def _normalize(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The value with each number in one form: PostgreSQL returns 1e3 as 1000, and 1e308 as 309 digits."""
    if isinstance(value, dict):
        return {key: _normalize(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_normalize(child) for child in value]
    if isinstance(value, float):
        return int(value) if abs(value) < MAX_EXACT_INTEGER and value.is_integer() else value
    return float(value) if isinstance(value, int) and abs(value) >= MAX_EXACT_INTEGER else value
