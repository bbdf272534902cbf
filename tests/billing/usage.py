"""Records usage events for tests through `metering.record`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from billing.events import events
from billing.models import Account, UsageLog
from billing.recording import metering
from billing.recording.metering import EventSource


def record(account: Account, at: datetime, *batch: dict[str, Any]) -> list[UsageLog]:
    """Records events, OpenAI calls with generated ids by default, and returns their logs in order."""
    source = EventSource(account=account, may_state_cost=True, any_age=True)
    parsed = [
        events.parse({"event_id": f"e{number}", "provider": "openai", **fields}) for number, fields in enumerate(batch)
    ]
    results = metering.record(parsed, source=source, at=at)
    assert [result.status for result in results] == ["accepted"] * len(batch)
    by_id = UsageLog.objects.in_bulk([result.id for result in results])
    return [by_id[result.id] for result in results if result.id]
