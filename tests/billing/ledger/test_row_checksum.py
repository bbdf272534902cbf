"""The checksum of a usage log: every hashed column changes it, and the same values give the same one on every database."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from billing.ledger import row_checksum
from billing.models import UsageLog
from tests.billing.ledger_rows import differences, record

ERASED_OR_CORRECTED = {"user_agent", "ip_address", "checksum", "effective_nano", "is_priced", "voided_at"}
METADATA: tuple[dict[str, Any], ...] = (
    {"number": 1e3},
    {"number": 1e308, "list": [0.1, -0.0, 10**39, {"ü": None}]},
    {"b": True, "a": "text", "empty": {}},
)


def test_every_column_is_hashed_unless_it_may_change() -> None:
    columns = {field.attname for field in UsageLog._meta.concrete_fields}
    assert columns - {*row_checksum.OWN_COLUMNS, *row_checksum.PROFILE_COLUMNS} == ERASED_OR_CORRECTED


def test_the_format_does_not_change() -> None:
    """Stored checksums depend on it: another format needs another version."""
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
    values += (5, 200, "", 0, None, None, at, at, day, day, None, None, {"b": 1.0, "a": [2**60]})

    checksum = row_checksum.compute(profile, values)

    assert (checksum, row_checksum.version_of(checksum)) == (CHECKSUM, 1)
    assert row_checksum.compute(profile, (*values[:-1], {"a": [float(2**60)], "b": 1})) == checksum
    assert row_checksum.compute(profile, (*values[:-1], {"a": [2**60], "b": 1.5})) != checksum


CHECKSUM = 138_816_651_337_999_073


@pytest.mark.django_db
def test_a_stored_log_has_the_checksum_of_the_values_that_are_read_back() -> None:
    record(*({"metadata": metadata, "usage": {"seconds": "0.5", "images": 2}} for metadata in METADATA))

    assert UsageLog.objects.filter(checksum=None).count() == 0
    assert differences("log_checksums") == []

    UsageLog.objects.filter(event_id="e0").update(metadata={"number": 1001})
    assert [difference.key for difference in differences("log_checksums")] == [
        (UsageLog.objects.get(event_id="e0").id,)
    ]
