"""Shared by tests of unread fields: calls whose responses have numbers that no reader knows, and decisions on these."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from billing import jobs
from billing.corrections import unread_resolution
from billing.events import event_responses
from billing.models import CorrectionBatch, UnreadField, UsageLog
from billing.recording import metering
from tests.billing.ledger_rows import NOON, TRUSTED_SOURCE, set_price
from tests.conftest import Api

State = UnreadField.State
MODEL = "new-1"
THINKING, RATIO = "usage.thinking_units", "usage.load_factor"


def response(**unknown: Any) -> dict[str, Any]:
    """1,000 input tokens and 500 output tokens, beside numbers that no reader knows."""
    usage = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500, **unknown}
    return {"id": "c1", "object": "chat.completion", "model": MODEL, "usage": usage}


def set_rates() -> None:
    """$2 and $10 for a million input and output tokens."""
    set_price(MODEL, input_tokens="2", output_tokens="10")


def send(api: Api, event_id: str = "e1", *, account: str = "a", **unknown: Any) -> dict[str, Any]:
    event = {"event_id": event_id, "provider": "openai", "account": account, "model": MODEL}
    answer: dict[str, Any] = api.post("usage/", {**event, "response": response(**unknown)}).json()
    return answer


def record(*, at: datetime, **unknown: Any) -> None:
    """Records a call at another time than now."""
    event = {"event_id": "e1", "provider": "openai", "account": "a", "model": MODEL, "response": response(**unknown)}
    metering.record([event_responses.parse(event)], source=TRUSTED_SOURCE, at=at)


def gather(at: datetime = NOON) -> str:
    return jobs.gather_unread_fields(at, clock=lambda: NOON)


def fields() -> dict[str, tuple[str, int, str, str]]:
    """State, number of calls, example value and model of each field."""
    return {
        field.path: (field.state, field.total_calls, field.example_value, field.example_model)
        for field in UnreadField.objects.all()
    }


def decide(path: str, state: State, unit: str = "") -> CorrectionBatch:
    """Decides on the field, and completes the past calls."""
    (field,) = (field for field in UnreadField.objects.all() if field.path == path)
    batch = unread_resolution.decide(field, state=state, unit=unit, actor="ann", at=NOON)
    assert batch is not None
    finish(batch)
    return batch


def finish(batch: CorrectionBatch) -> None:
    for _ in unread_resolution.run(batch, clock=lambda: NOON):
        pass
    batch.refresh_from_db()


def state_of(event_id: str = "e1") -> tuple[str, bool, int, int]:
    """Usage state, whether the cost is an estimate, cost in nano-USD, and total tokens of a call."""
    log = UsageLog.objects.get(event_id=event_id)
    tokens = log.resolved["tokens"][2] if log.resolved else log.tokens_total
    return log.usage_state, log.is_estimated, log.effective_nano, tokens
