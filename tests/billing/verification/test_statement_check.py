"""Statements say what they said when they were written: first detections later are no difference, other changes are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from billing.models import Account, Statement, UsageDay, UsageLog
from billing.statements import statements
from billing.verification import statement_check
from tests.billing.ledger_rows import clear_detection, record, run

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at("2026-11-22T12:00")]

IN_OCTOBER, CLOSED_AT = datetime(2026, 10, 20, 12, tzinfo=UTC), datetime(2026, 11, 4, 2, tzinfo=UTC)
CALLS: tuple[dict[str, Any], ...] = (
    {"provider": "video", "model": "wan-2.5", "endpoint": "/video-generation/wavespeed", "cost_usd": "3"},
    {"provider": "Gemini", "model": "gemini-2.5-pro", "endpoint": "/generate", "usage": {"input_tokens": 70}},
    {"provider": "gemini", "model": "gemini-2.5-pro", "endpoint": "/generate", "cost_usd": "0.5"},
    {"provider": "openai", "model": "gpt-4o", "endpoint": "https://acme.openai.azure.com/x"},
    {"provider": "openai", "model": "gpt-4o", "usage": {"input_tokens": 9}},
    {"provider": "exa", "model": "search", "cost_usd": "2"},
    {"provider": "tavily", "model": "search", "cost_usd": "4"},
)
# What is not detected at closing, and what the statement then says.
UNDETECTED: dict[str, tuple[dict[str, Any], set[str]]] = {
    "all calls": ({}, {"video", "gemini", "openai", "exa", "tavily"}),
    "some calls": (
        {"event_id__in": ("e0", "e2")},
        {"video", "google", "gemini", "azure", "openai", "exa", "tavily"},
    ),
    "none": ({"event_id": "none"}, {"wavespeed", "google", "azure", "openai", "exa", "tavily"}),
}


def close(undetected: dict[str, Any]) -> Statement:
    record(*CALLS, at=IN_OCTOBER)
    clear_detection(**undetected)
    Account.objects.update(next_close_at=None)
    statements.close_due(CLOSED_AT)
    return Statement.objects.get()


def wrong_columns() -> list[str]:
    differences = [difference for part in statement_check.check() for difference in part.differences]
    return [name for difference in differences for name in difference.columns]


@pytest.mark.parametrize("case", UNDETECTED)
def test_a_first_detection_after_the_statement_is_no_difference(case: str) -> None:
    undetected, labels = UNDETECTED[case]
    close(undetected)
    before = Statement.objects.values().get()
    assert {line["provider"] for line in before["usage"]} == labels

    run("backfill_actual_providers")

    assert not UsageLog.objects.filter(actual_provider_name=None).exists()
    assert set(UsageDay.objects.filter(calls__gt=0).values_list("actual", flat=True)) == UNDETECTED["none"][1]
    assert run("verify_ledger").status == 0
    assert Statement.objects.values().get() == before


def move(statement: Statement, source: str, target: str, **amounts: int) -> None:
    """Moves usage from one provider's line to another's, with cents and order as they would be."""
    lines = {line["provider"]: {**line} for line in statement.usage}
    for line in lines.values():
        del line["cents"]
    for name, amount in amounts.items():
        lines[source][name] -= amount
        lines[target][name] += amount
    ordered = sorted(lines.values(), key=lambda line: (-line["nano"], line["provider"]))
    statement.usage = statements.with_cents(ordered)


def swap_lines(statement: Statement) -> None:
    statement.usage[0], statement.usage[1] = statement.usage[1], statement.usage[0]


def change(statement: Statement, name: str, by: int) -> None:
    statement.usage[0][name] += by


CHANGES: dict[str, Callable[[Statement], None]] = {
    "cost of two providers": lambda statement: move(statement, "exa", "tavily", nano=10_000_000),
    "calls of two providers": lambda statement: move(statement, "tavily", "openai", calls=1),
    "tokens that no detection moves": lambda statement: move(statement, "gemini", "exa", tokens=1),
    "more than detections may move": lambda statement: move(statement, "openai", "video", nano=1),
    "the provider of a line": lambda statement: statement.usage[0].update(provider="serper"),
    "a provider twice": lambda statement: statement.usage[0].update(provider=statement.usage[1]["provider"]),
    "a missing line": lambda statement: statement.usage.pop(),
    "the order": swap_lines,
    "cents": lambda statement: change(statement, "cents", 1),
    "cost": lambda statement: change(statement, "nano", 1),
    "calls": lambda statement: change(statement, "calls", 1),
    "a damaged line": lambda statement: statement.usage[0].clear(),
}


@pytest.mark.parametrize("detected", [False, True], ids=["before the backfill", "after the backfill"])
@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_line_is_reported(name: str, detected: bool) -> None:
    statement = close({})
    if detected:
        run("backfill_actual_providers")
    CHANGES[name](statement)
    statement.save(update_fields=["usage"])

    assert wrong_columns() in (["usage"], ["sources"])
    assert run("verify_ledger").status == 1
