"""The checksum of a usage log: every hashed column changes it, and the same values give the same one on every database."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from billing.ledger import row_checksum
from billing.models import UsageLog
from tests.billing.ledger_rows import differences, record

ERASED_OR_CORRECTED = {
    *("user_agent", "ip_address", "checksum", "effective_nano", "is_priced", "voided_at", "usage_state"),
    *("unpriced_reason", "resolved"),
}
METADATA: tuple[dict[str, Any], ...] = (
    {"number": 1e3},
    {"number": 1e308, "list": [0.1, -0.0, 10**39, {"ü": None}]},
    {"b": True, "a": "text", "empty": {}},
)


def test_every_column_is_hashed_unless_it_may_change() -> None:
    columns = {field.attname for field in UsageLog._meta.concrete_fields}
    assert columns - {*row_checksum.OWN_COLUMNS, *row_checksum.PROFILE_COLUMNS} == ERASED_OR_CORRECTED


def test_the_formats_do_not_change() -> None:
    """Stored checksums depend on them: another format needs another version."""
    profile = row_checksum.hash_profile(
        ("openai", "text", "gpt-4o", "", "POST", "", {}, True, "openai", "exact", "r", "e")
    )
    at, day = datetime(2026, 11, 22, 12, 0, 0, 1, tzinfo=UTC), date(2026, 11, 22)
    numbers, key = [5] * 5, bytes(range(16))
    values: tuple[Any, ...] = (
        key,
        1,
        "e1",
        key,
        key,
        *numbers,
        {"seconds": "1.5"},
        1,
        2,
        3,
        6,
        None,
        "price_book",
        True,
    )
    values += (5, 200, "", 0, None, None, at, at, day, day, None, None)
    read = {"reader": "openai", "unread": ["usage.x"]}

    for version, checksum in CHECKSUMS.items():

        def compute(metadata: Any, calls: int = 1, reading: Any = read, version: int = version) -> int:
            return row_checksum.compute(profile, (*values, metadata, calls, reading), version)

        assert (compute({"b": 1.0, "a": [2**60]}), row_checksum.version_of(checksum)) == (checksum, version)
        assert compute({"a": [float(2**60)], "b": 1}) == checksum
        assert compute({"a": [2**60], "b": 1.5}) != checksum
        assert (compute({"b": 1, "a": [2**60]}, calls=2) == checksum) == (version == 1)
        assert (compute({"b": 1, "a": [2**60]}, reading=None) == checksum) == (version == 1)


CHECKSUMS = {1: 138_816_651_337_999_073, 2: 186_035_259_791_598_114}


@pytest.mark.django_db
def test_a_stored_log_has_the_checksum_of_the_values_that_are_read_back() -> None:
    record(*({"metadata": metadata, "usage": {"seconds": "0.5", "images": 2}} for metadata in METADATA))

    assert UsageLog.objects.filter(checksum=None).count() == 0
    assert differences("log_checksums") == []

    UsageLog.objects.filter(event_id="e0").update(metadata={"number": 1001})
    assert [difference.key for difference in differences("log_checksums")] == [
        (UsageLog.objects.get(event_id="e0").id,)
    ]
