"""`manage.py explain_charge`: the explanation of the API, on the terminal."""

from __future__ import annotations

import json
import uuid

import pytest

from billing.models import UsageLog
from tests.billing.ledger_rows import record, run
from tests.conftest import Api

pytestmark = pytest.mark.django_db

PRICE_SOURCE = "valid from 2025-01-01, matched by exact model id; source: earlier system."


@pytest.fixture
def log() -> UsageLog:
    record({"event_id": "e 1", "cost_usd": None, "usage": {"input_tokens": 1000, "output_tokens": 500}})
    return UsageLog.objects.get()


def test_it_prints_sentences_and_a_table(log: UsageLog) -> None:
    result = run("explain_charge", str(log.id))

    assert (result.status, result.lines) == (
        0,
        [
            f"a e 1 ({log.id}): $0.0075",
            "1,000 input tokens at $2.50 per million = $0.0025",
            "500 output tokens at $10.00 per million = $0.005",
            "Total: $0.0075 (exact).",
            f"Price {log.price_id} for gpt-4o at OpenAI, {PRICE_SOURCE}",
            "Served by OpenAI (weak): model gpt-4o.",
            "unit           quantity  rate_usd_per_million  cost_usd",
            "input_tokens       1000                   2.5    0.0025",
            "output_tokens       500                    10     0.005",
            "rounding                                              0",
        ],
    )


def test_a_log_can_be_given_by_account_and_event_id(log: UsageLog) -> None:
    assert run("explain_charge", "a", "e 1").out == run("explain_charge", str(log.id)).out


def test_it_prints_the_json_of_the_api(log: UsageLog, service: Api) -> None:
    printed = json.loads(run("explain_charge", str(log.id), "--json").out)
    row = service.get(f"usage/logs/{log.id}/").json()

    assert printed["explanation"] == row["explanation"]
    assert printed.keys() == row.keys()


def test_an_unpriced_call_has_no_table() -> None:
    record({"cost_usd": None, "model": "nobody-knows", "usage": {"input_tokens": 5}})
    result = run("explain_charge", "a", "e0")

    assert (result.status, len(result.lines)) == (0, 3)
    assert result.lines[0].endswith(": unpriced")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["e1"], "'e1' is not a log id. To find an event, give ACCOUNT EVENT_ID."),
        (["a", "e1", "x"], "Give one log id, or ACCOUNT EVENT_ID."),
        (["a", "unknown"], "Log 'a unknown' does not exist."),
        ([str(uuid.UUID(int=0))], "Log '00000000-0000-0000-0000-000000000000' does not exist."),
    ],
)
def test_a_usage_error_has_exit_status_2(log: UsageLog, arguments: list[str], message: str) -> None:
    result = run("explain_charge", *arguments)
    assert (result.status, result.out, result.err) == (2, "", message)
