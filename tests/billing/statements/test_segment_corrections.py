"""A statement with several segments after its closing: corrections follow its segments, and the check knows what they were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from billing.corrections import corrections
from billing.ledger import ledger
from billing.models import Account, Archive, Plan, Statement, SubscriptionEvent, UsageLog
from billing.verification import statement_check
from lib.money import NANO
from tests.billing.closed_october import close, october, record_call
from tests.billing.subscribers import create_soft_plan, set_billing_anchor
from tests.conftest import Api
from tests.frozen_clock import Clock, utc

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at("2026-10-01")]
SUBSCRIBE = "accounts/acct_42/subscribe/"
Segments = list[dict[str, Any]]


@pytest.fixture
def two_segments(account: Account, bound: Api, clock: Clock) -> tuple[UsageLog, UsageLog, UsageLog]:
    """A closed October: $10 and $4 of a plan that includes 5, then $60 of one that includes 50. Due: 9 and 24."""
    set_billing_anchor(account, billed_from="2026-10-01")
    create_soft_plan("small", 5)
    create_soft_plan("wide", 50, monthly_usd=20)
    bound.post(SUBSCRIBE, {"plan": "small", "cycle": "monthly"})
    logs = [record_call(account, "2026-10-10", "10", "first"), record_call(account, "2026-10-16T10:29", "4", "second")]
    clock.move_to("2026-10-16T10:30")
    bound.post(SUBSCRIBE, {"plan": "wide", "cycle": "monthly"})
    logs.append(record_call(account, "2026-10-16T10:30", "60", "third"))
    close(clock)
    due = [line["nano"] for line in october().lines if line["kind"] == "overage"]
    assert due == [9 * NANO, 24 * NANO]
    return logs[0], logs[1], logs[2]


def correction_amounts(period: str) -> list[tuple[str, int]]:
    statement = Statement.objects.get(period=period)
    return [(line["text"], line["nano"]) for line in statement.lines if line["kind"] == "correction"]


def test_corrections_of_a_closed_period_change_the_overage_of_the_segment_they_belong_to(
    two_segments: tuple[UsageLog, UsageLog, UsageLog], clock: Clock
) -> None:
    first, second, third = two_segments
    stored = Statement.objects.values().get()
    # 74 - 4: at the change 10 were used, so 5 are due; then 60 more up to 70, so 20 are due.
    corrections.void(second, reason="", actor="", at=utc("2026-11-10"))
    close(clock, "2026-12-04T01:00")
    # 10 used: 5 due, as before; then nothing: 0 due instead of 20.
    corrections.void(third, reason="", actor="", at=utc("2026-12-10"))
    close(clock, "2027-01-04T01:00")
    corrections.void(first, reason="", actor="", at=utc("2027-01-10"))
    close(clock, "2027-02-04T01:00")

    assert correction_amounts("2026-11-01") == [("1 late correction of 2026-10: -$4.00 at cost", -8 * NANO)]
    assert correction_amounts("2026-12-01") == [("1 late correction of 2026-10: -$60.00 at cost", -20 * NANO)]
    assert correction_amounts("2027-01-01") == [("1 late correction of 2026-10: -$10.00 at cost", -5 * NANO)]
    assert Statement.objects.values().get(period="2026-10-01") == stored


def test_corrections_stay_right_after_the_logs_are_archived(
    two_segments: tuple[UsageLog, UsageLog, UsageLog], account: Account, clock: Clock
) -> None:
    corrections.void(two_segments[1], reason="", actor="", at=utc("2026-11-10"))
    close(clock, "2026-12-04T01:00")
    Archive.objects.create(account=account, period="2026-10-01", begun_at=utc("2026-12-05"), deleted=3)
    ledger.delete(UsageLog.objects.filter(account=account))

    assert statement_differences() == {}


def statement_differences() -> dict[str, dict[str, tuple[object, object]]]:
    """The wrong columns of each statement, by the name of its period."""
    differences = [difference for part in statement_check.check() for difference in part.differences]
    return {f"{difference.key[1]:%Y-%m}": difference.columns for difference in differences}


MOVED_BOUND = ({"ends_at": "2026-10-17T10:30:00+00:00"}, {"starts_at": "2026-10-17T10:30:00+00:00"})
MOVED_USE = ({"used_to_nano": 15 * NANO}, {"used_from_nano": 15 * NANO})
CHANGES: dict[str, Callable[[Segments], object]] = {
    "a bound": lambda parts: [part.update(change) for part, change in zip(parts, MOVED_BOUND, strict=True)],
    "a plan": lambda parts: parts[0].update(plan=Plan.objects.get(slug="pro").pk),
    "an allowance": lambda parts: parts[0].update(allowance_nano=None),
    "use at the bound": lambda parts: [part.update(change) for part, change in zip(parts, MOVED_USE, strict=True)],
    "a missing segment": lambda parts: parts.pop(),
    "no segment": lambda parts: parts.clear(),
    "a damaged segment": lambda parts: parts[0].clear(),
}


@pytest.mark.usefixtures("two_segments")
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_segment_is_reported(change: str) -> None:
    statement = october()
    CHANGES[change](statement.segments or [])
    statement.save(update_fields=["segments"])

    assert list(statement_differences()) == ["2026-10"]


@pytest.mark.usefixtures("two_segments")
@pytest.mark.parametrize("model", [SubscriptionEvent, UsageLog])
def test_a_changed_source_of_segments_is_reported(model: type[SubscriptionEvent] | type[UsageLog]) -> None:
    column, later = ("effective_at", "id") if model is SubscriptionEvent else ("timestamp", "timestamp")
    row = model._default_manager.order_by(f"-{later}")[:1].get()
    model._default_manager.filter(pk=row.pk).update(**{column: utc("2026-10-16T10:28")})

    assert list(statement_differences()["2026-10"]) == [
        "overage_nano",
        "total_nano",
        "total_cents",
        "lines",
        "segments",
    ]


@pytest.mark.usefixtures("two_segments")
def test_the_rules_of_a_statement_are_checked() -> None:
    Statement.objects.update(rules=1)
    assert "segments" in statement_differences()["2026-10"]


@pytest.mark.usefixtures("two_segments")
def test_a_statement_of_the_first_rules_stays_as_it_is(
    two_segments: tuple[UsageLog, UsageLog, UsageLog], clock: Clock
) -> None:
    """Written before allowances were dated: one allowance of 50 for the whole period, 24 due; later corrections follow it."""
    text = "Usage of $74.00, of which the plan includes $50.00"
    line = {"kind": "overage", "text": text, "period": "2026-10", "nano": 24 * NANO, "cents": 2400}
    fees = [line for line in october().lines if line["kind"] == "fee"]
    total = sum(line["nano"] for line in [*fees, line])
    Statement.objects.update(
        rules=1,
        segments=None,
        lines=[*fees, line],
        overage_nano=24 * NANO,
        total_nano=total,
        total_cents=total * 100 // NANO,
    )
    corrections.void(two_segments[1], reason="", actor="", at=utc("2026-11-10"))
    close(clock, "2026-12-04T01:00")

    assert correction_amounts("2026-11-01") == [("1 late correction of 2026-10: -$4.00 at cost", -4 * NANO)]
