"""While logs have no name yet, every answer shows their declared label as a fallback, and none fails."""

from __future__ import annotations

import pytest

from billing.models import UsageLog
from tests.billing.ledger_rows import record, unnamed
from tests.conftest import Api

pytestmark = pytest.mark.django_db


def test_logs_without_a_name_are_listed_under_their_label(service: Api) -> None:
    record({"provider": "Gemini", "model": "gemini-2.5-pro"}, {"provider": "openai"})
    unnamed(event_id="e0")

    answer = service.get("usage/logs/", account="a", **{"from": "2026-11-22T00:00:00Z", "to": "2026-11-23T00:00:00Z"})

    shown = {row["event_id"]: (row["actual_provider"], row["confidence"]) for row in answer.json()["results"]}
    assert answer.status_code == 200
    assert shown == {"e0": ("gemini", "fallback"), "e1": ("openai", "weak")}


def test_one_such_log_explains_itself(service: Api) -> None:
    record({"provider": "Gemini", "model": "gemini-2.5-pro"})
    unnamed()

    answer = service.get(f"usage/logs/{UsageLog.objects.get().id}/")

    assert answer.status_code == 200
    assert (answer.json()["actual_provider"], answer.json()["confidence"]) == ("gemini", "fallback")
