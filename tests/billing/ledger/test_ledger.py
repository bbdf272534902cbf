"""Ledger rows: COPY and INSERT store the same rows, every column once, and ids are 16 ordered bytes."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from billing.charges import call_profile
from billing.events import events
from billing.ledger import ledger
from billing.models import Account, UsageLog
from billing.recording import metering
from billing.recording.metering import EventSource
from lib import ids
from tests.billing.ledger_rows import differences

TEXTS = ("", "a", "\u00e9\u4e2d\U0001f680", "<script>", "x" * 200, "'\"\\")


def test_the_ledger_has_every_field_of_the_table_once() -> None:
    assert sorted((*ledger.COLUMNS, *SET_BY_CORRECTIONS)) == sorted(ledger.FIELDS)


SET_BY_CORRECTIONS = ("resolved",)


def test_every_column_is_copied_once() -> None:
    assert sorted(
        (*ledger.FIXED_COLUMNS, *ledger.VARYING_COLUMNS, *ledger.REPEATING_COLUMNS, *call_profile.COLUMNS)
    ) == sorted(ledger.COLUMNS)


def random_event(rng: random.Random, number: int, at: datetime) -> dict[str, Any]:
    """An event with extreme values: empty and long texts, null and 0, early and late times."""
    return {
        "event_id": f"{number}-{rng.choice(TEXTS)}",
        "occurred_at": (at - timedelta(microseconds=rng.randrange(60 * 86_400_000_000))).isoformat(),
        "provider": rng.choice(("openai", "video", "Acme.1", "image")),
        "category": rng.choice((None, "text", "video")),
        "model": rng.choice((" GPT-4o ", "gpt-4o", *TEXTS)),
        "endpoint": rng.choice(("https://api.openai.com/v1?key=1", *TEXTS)),
        "method": rng.choice(("GET", "POST")),
        "served_by": rng.choice((None, "azure")),
        "usage": {"input_tokens": rng.randrange(10**9), "seconds": rng.choice((None, "0.5")), "images": 0},
        "variant": {"quality": rng.choice((None, "\u00e9"))},
        "cached_tokens_included": rng.random() < 0.5,
        "cost_usd": rng.choice((None, "0", "1.000000001")),
        "response_time_ms": rng.randrange(10**9),
        "status_code": rng.choice((200, 599)),
        "error_message": rng.choice(("a\tb\n", *TEXTS)),
        "retry_count": rng.randrange(1_000_000),
        "request_bytes": rng.choice((None, 0, 10**15)),
        "response_bytes": rng.choice((None, 1)),
        "user_agent": rng.choice(TEXTS),
        "ip_address": rng.choice((None, "::1")),
        "metadata": rng.choice(({}, {"a": [1.5, None, -(10**30), {"\u00e9": "\U0001f680"}], "b": "\n"})),
    }


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(3))
def test_a_row_is_the_same_whether_copied_or_inserted(
    account: Account, now: datetime, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    batch = [events.parse(random_event(rng, number, now)) for number in range(ledger.MIN_COPY_ROWS)]
    source = EventSource(account=account, may_state_cost=True, any_age=True)
    stored = []
    for copied in (True, False):
        monkeypatch.setattr(ledger, "MIN_COPY_ROWS", ledger.MIN_COPY_ROWS if copied else 10**6)
        results = metering.record(batch, source=source, at=now)
        assert [result.status for result in results] == ["accepted"] * len(batch)
        assert {result.id for result in results} == set(UsageLog.objects.values_list("id", flat=True))
        columns = [column for column in ledger.FIELDS if column not in ("id", "checksum")]
        stored.append(list(UsageLog.objects.order_by("event_key").values(*columns)))
        assert differences("log_checksums") == []
        UsageLog.objects.all().delete()

    assert stored[0] == stored[1]
    assert len({row["error_message"] for row in stored[0]}) == len(TEXTS) + 1


def test_ids_are_unique_and_ascending() -> None:
    new_ids = [new_id for _ in range(3) for new_id in ids.new_ids(1000)]

    assert len(set(new_ids)) == 3000
    assert {UUID(bytes=new_id).version for new_id in new_ids} == {7}
    assert new_ids[:1000] == sorted(new_ids[:1000])
    assert [ids.uuid_text(new_id) for new_id in new_ids] == [str(UUID(bytes=new_id)) for new_id in new_ids]
