"""The ledger's own form of a log: COPY and INSERT store the same row of it, and ids are their 16 bytes."""

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
from billing.recording.metering import Source
from lib import ids

TEXTS = ("", "a", "\u00e9\u4e2d\U0001f680", "<script>", "x" * 200, "'\"\\")


def test_a_new_log_and_its_kind_have_the_columns_of_the_table_each_once() -> None:
    assert sorted(ledger.COLUMNS) == sorted(ledger.FIELDS)


def test_every_column_is_copied_once() -> None:
    assert sorted((*ledger.FIXED, *ledger.VARYING, *ledger.REPEATING, *call_profile.COLUMNS)) == sorted(ledger.COLUMNS)


def some_event(chance: random.Random, number: int, at: datetime) -> dict[str, Any]:
    """An event with whatever the columns take: empty and long, null and 0, early and late."""
    return {
        "event_id": f"{number}-{chance.choice(TEXTS)}",
        "occurred_at": (at - timedelta(microseconds=chance.randrange(60 * 86_400_000_000))).isoformat(),
        "provider": chance.choice(("openai", "video", "Acme.1", "image")),
        "category": chance.choice((None, "text", "video")),
        "model": chance.choice((" GPT-4o ", "gpt-4o", *TEXTS)),
        "endpoint": chance.choice(("https://api.openai.com/v1?key=1", *TEXTS)),
        "method": chance.choice(("GET", "POST")),
        "served_by": chance.choice((None, "azure")),
        "usage": {"input_tokens": chance.randrange(10**9), "seconds": chance.choice((None, "0.5")), "images": 0},
        "variant": {"quality": chance.choice((None, "\u00e9"))},
        "cached_tokens_included": chance.random() < 0.5,
        "cost_usd": chance.choice((None, "0", "1.000000001")),
        "response_time_ms": chance.randrange(10**9),
        "status_code": chance.choice((200, 599)),
        "error_message": chance.choice(("a\tb\n", *TEXTS)),
        "retry_count": chance.randrange(1_000_000),
        "request_bytes": chance.choice((None, 0, 10**15)),
        "response_bytes": chance.choice((None, 1)),
        "user_agent": chance.choice(TEXTS),
        "ip_address": chance.choice((None, "::1")),
        "metadata": chance.choice(({}, {"a": [1.5, None, -(10**30), {"\u00e9": "\U0001f680"}], "b": "\n"})),
    }


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(3))
def test_a_row_is_the_same_whether_copied_or_inserted(
    account: Account, now: datetime, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    batch = [events.parse(some_event(chance, number, now)) for number in range(ledger.COPY_FROM)]
    source = Source(account=account, may_state_cost=True, any_age=True)
    stored = []
    for copied in (True, False):
        monkeypatch.setattr(ledger, "COPY_FROM", ledger.COPY_FROM if copied else 10**6)
        results = metering.record(batch, source=source, at=now)
        assert [result.status for result in results] == ["accepted"] * len(batch)
        assert {result.id for result in results} == set(UsageLog.objects.values_list("id", flat=True))
        columns = [column for column in ledger.FIELDS if column != "id"]
        stored.append(list(UsageLog.objects.order_by("event_key").values(*columns)))
        UsageLog.objects.all().delete()

    assert stored[0] == stored[1]
    assert len({row["error_message"] for row in stored[0]}) == len(TEXTS) + 1


def test_ids_rise_and_differ() -> None:
    made = [one for _ in range(3) for one in ids.new_ids(1000)]

    assert len(set(made)) == 3000
    assert {UUID(bytes=one).version for one in made} == {7}
    assert made[:1000] == sorted(made[:1000])
    assert [ids.text_of(one) for one in made] == [str(UUID(bytes=one)) for one in made]
