"""Corrections of closed periods: the log moves, the closed figures stay, and the open period tells the difference."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F

from billing.corrections import corrections, repricing
from billing.corrections.repricing import Choice
from billing.ledger import closed_periods
from billing.models import Account, ClosedPeriod, PlatformDay, UsageAdjustment, UsageDay, UsageLog, UsageModel
from providers import rulebook
from providers.models import DetectionRule, Provider
from tests.billing.ledger_rows import NOW, assert_equal, record, rollups, run, set_price
from tests.conftest import Api

pytestmark = pytest.mark.django_db

OCTOBER, NOVEMBER, DECEMBER = date(2026, 10, 1), date(2026, 11, 1), date(2026, 12, 1)
IN_OCTOBER = datetime(2026, 10, 20, tzinfo=UTC)
NEW = "brand-new-1"
USAGE = {"input_tokens": 1000}
CALLS: tuple[dict[str, Any], ...] = (
    {"cost_usd": "1"},
    {"cost_usd": "2"},
    {"model": NEW, "cost_usd": None, "usage": USAGE},
    {"model": NEW, "cost_usd": None, "usage": USAGE},
)


@pytest.fixture
def october(db: None) -> dict[str, list[tuple[Any, ...]]]:
    """Four calls of October, which is closed; the totals as they stand since."""
    record(*({**call, "occurred_at": "2026-10-20T00:00:00Z"} for call in CALLS), at=IN_OCTOBER)
    assert closed_periods.close(Account.objects.get(), OCTOBER, NOW)
    return rollups()


def log(event_id: str) -> UsageLog:
    return UsageLog.objects.get(event_id=event_id)


def void(event_id: str) -> UsageAdjustment:
    corrections.void(log(event_id), reason="x", actor="ann", at=NOW)
    return UsageAdjustment.objects.get(kind="void", log__event_id=event_id, reverted_by=None)


def revert(adjustment: UsageAdjustment) -> None:
    corrections.revert_one(adjustment, reason="x", actor="ann", at=NOW)


def summary(api: Api, **query: str) -> tuple[str, int, int, str]:
    one = api.get("usage/summary/", **query).json()
    return one["total_cost_usd"], one["total_calls"], one["unpriced_calls"], one["prior_adjustments_usd"]


def test_a_late_void_moves_the_log_and_the_open_period_tells_it(
    service: Api, october: dict[str, list[tuple[Any, ...]]]
) -> None:
    one = void("e0")

    assert (one.period, one.corrects_period, one.delta_nano, one.late_at) == (NOVEMBER, OCTOBER, -(10**9), NOW)
    row = service.get(f"usage/logs/{one.log_id}/").json()
    assert (row["cost_usd"], row["voided"], row["period"]) == ("0", True, "2026-10")
    assert rollups() == october
    assert summary(service, account="a", period="2026-10") == ("3", 4, 2, "0")
    assert summary(service, account="a") == ("0", 0, 0, "-1")
    assert summary(service, period="2026-10") == ("3", 4, 2, "0")
    assert summary(service) == ("0", 0, 0, "-1")
    assert_equal()


def test_a_correction_in_time_moves_the_rollups_and_is_no_prior_one(service: Api) -> None:
    record(*CALLS)
    void("e0")

    assert summary(service, account="a") == ("2", 3, 2, "0")
    assert summary(service) == ("2", 3, 2, "0")


def test_a_late_re_pricing_and_its_revert(service: Api, october: dict[str, list[tuple[Any, ...]]]) -> None:
    set_price(NEW, input_tokens="5")
    end = run("reprice")
    assert end.lines[0] == "a: 2 calls, 0 -> 0.01 USD, 0 without a price"
    assert summary(service, account="a") == ("0", 0, 0, "0.01")
    assert rollups() == october
    assert_equal()

    batch = end.lines[-1].partition("Batch ")[2].rstrip(".")
    run("reprice", "--revert", batch)
    assert summary(service, account="a") == ("0", 0, 0, "0")
    assert UsageAdjustment.objects.filter(late_at=NOW, period=NOVEMBER, corrects_period=OCTOBER).count() == 4
    assert rollups() == october
    assert_equal()

    assert run("reprice").lines[0] == "a: 2 calls, 0 -> 0.01 USD, 0 without a price"
    assert_equal()


def test_what_was_corrected_before_the_closing_stays_in_the_closed_figures(service: Api) -> None:
    record(*({**call, "occurred_at": "2026-10-20T00:00:00Z"} for call in CALLS), at=IN_OCTOBER)
    set_price(NEW, input_tokens="5")
    run("reprice")
    early = void("e0")
    closed_periods.close(Account.objects.get(), OCTOBER, NOW)
    closed = rollups()
    assert summary(service, account="a", period="2026-10") == ("2.01", 3, 0, "0")

    revert(early)
    void("e2")
    set_price(NEW, input_tokens="7")
    run("reprice", "--model", NEW)
    revert(UsageAdjustment.objects.filter(kind="reprice", log__event_id="e3", reverted_by=None).latest("id"))
    revert(UsageAdjustment.objects.get(kind="reprice", log__event_id="e3", reverted_by=None))

    assert (log("e0").effective_nano, log("e2").effective_nano, log("e3").is_priced) == (10**9, 0, False)
    assert rollups() == closed
    assert summary(service, account="a", period="2026-10") == ("2.01", 3, 0, "0")
    assert summary(service, account="a") == (
        "0",
        0,
        0,
        "0.99",
    )  # 1 back, 0.005 voided, 0.005 + 0.002 - 0.002 taken back
    assert_equal()


def test_a_price_that_was_taken_back_after_the_closing_is_found_again(db: None) -> None:
    record({**CALLS[2], "occurred_at": "2026-10-20T00:00:00Z"}, at=IN_OCTOBER)
    set_price(NEW, input_tokens="5")
    run("reprice")
    closed_periods.close(Account.objects.get(), OCTOBER, NOW)
    revert(UsageAdjustment.objects.get())
    assert UsageModel.objects.get().unpriced_calls == 0

    assert repricing.preview(Choice(unpriced=True)).changes[0].new_nano == 5_000_000


def test_drift_of_a_closed_period_is_found(october: Any) -> None:
    void("e0")
    set_price(NEW, input_tokens="5")
    run("reprice")
    for model, columns in ((UsageDay, "cost_nano"), (UsageModel, "unpriced_calls"), (PlatformDay, "tokens_total")):
        row = model._default_manager.filter(calls__gt=0)
        with transaction.atomic():
            row.update(**{columns: F(columns) + 1})
            end = run("verify_ledger")
            assert (end.status, columns in end.out) == (1, True)
            transaction.set_rollback(True)
    assert_equal()


def test_drift_of_a_log_that_was_corrected_late_is_found(october: Any) -> None:
    void("e0")
    UsageLog.objects.filter(event_id="e0").update(effective_nano=1)

    assert "effective_nano is 1, should be 0" in run("verify_ledger").out


def test_rebuilding_leaves_a_closed_period_as_it_was_closed(october: dict[str, list[tuple[Any, ...]]]) -> None:
    void("e0")
    UsageDay.objects.update(calls=F("calls") + 3)
    run("rebuild_rollups")

    assert rollups() == october
    assert_equal()


def test_a_redetect_skips_closed_periods_and_counts_them(october: dict[str, list[tuple[Any, ...]]]) -> None:
    record({"event_id": "now"})
    ours = Provider.objects.create(slug="acme", name="Acme")
    DetectionRule.objects.create(slug="own", evidence="family", pattern="*", provider=ours)
    rulebook.changed()
    end = run("backfill_actual_providers", "--redetect")

    assert end.lines == [
        "1 openai -> acme",
        "5 logs looked at, 1 named; 4 of closed periods skipped; 0 would now rate differently.",
    ]
    assert dict(UsageLog.objects.values_list("event_id", "actual_provider_name"))["e0"] == "openai"
    assert_equal()


def test_a_period_is_closed_once(october: Any) -> None:
    assert not closed_periods.close(Account.objects.get(), OCTOBER, NOW)
    assert ClosedPeriod.objects.get().closed_at == NOW


def test_corrections_count_in_the_first_period_that_is_open(october: Any) -> None:
    closed_periods.close(Account.objects.get(), NOVEMBER, NOW)

    assert void("e0").period == DECEMBER
    assert_equal()


def test_the_open_period_is_the_accounts_own(db: None) -> None:
    record({"occurred_at": "2026-10-20T00:00:00Z"}, at=IN_OCTOBER)
    Account.objects.update(anchor_day=25)
    closed_periods.close(Account.objects.get(), OCTOBER, NOW)

    assert void("e0").period == date(2026, 10, 25)


def test_a_neighbours_period_stays_open(october: Any) -> None:
    record({"event_id": "theirs", "account": "b", "occurred_at": "2026-10-20T00:00:00Z"}, at=IN_OCTOBER)
    one = void("theirs")

    assert (one.period, one.late_at) == (OCTOBER, None)
    assert not UsageDay.objects.filter(account__external_id="b").exclude(calls=0).exists()
    assert_equal()


@pytest.mark.parametrize("redetect", [(), ("--redetect",)])
def test_a_first_name_is_given_in_a_closed_period_too(october: Any, redetect: tuple[str, ...]) -> None:
    UsageLog.objects.update(actual_provider_name=None, confidence="", detection_rule="", evidence="")
    run("rebuild_rollups")
    run("backfill_actual_providers", *redetect)

    assert set(UsageLog.objects.values_list("actual_provider_name", flat=True)) == {"openai"}
    assert (rollups(), UsageAdjustment.objects.count()) == (october, 0)
    assert_equal()
