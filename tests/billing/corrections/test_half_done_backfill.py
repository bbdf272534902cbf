"""Before a backfill reaches a log, the API shows its declared label as a fallback provider."""

from __future__ import annotations

import pytest

from billing.models import UsageLog
from tests.billing.ledger_rows import clear_detection, record
from tests.conftest import Api

pytestmark = pytest.mark.django_db


def test_logs_without_a_detected_provider_are_listed_under_their_label(service: Api) -> None:
    record({"provider": "Gemini", "model": "gemini-2.5-pro"}, {"provider": "openai"})
    clear_detection(event_id="e0")

    response = service.get("usage/logs/", account="a", **{"from": "2026-11-22T00:00:00Z", "to": "2026-11-23T00:00:00Z"})

    providers = {row["event_id"]: (row["actual_provider"], row["confidence"]) for row in response.json()["results"]}
    assert response.status_code == 200
    assert providers == {"e0": ("gemini", "fallback"), "e1": ("openai", "weak")}


def test_a_log_without_a_detected_provider_is_returned_under_its_label(service: Api) -> None:
    record({"provider": "Gemini", "model": "gemini-2.5-pro"})
    clear_detection()

    response = service.get(f"usage/logs/{UsageLog.objects.get().id}/")

    assert response.status_code == 200
    assert (response.json()["actual_provider"], response.json()["confidence"]) == ("gemini", "fallback")
