"""Corrections of closed periods: the log changes, the closed totals stay, and the open period shows the difference."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F

from billing.corrections import corrections, repricing
from billing.corrections.repricing import RepricingChoice
from billing.ledger import closed_periods
from billing.models import Account, ClosedPeriod, PlatformDay, UsageAdjustment, UsageDay, UsageLog, UsageModel
from billing.statements import statements
from providers import rulebook
from providers.models import DetectionRule, Provider
from tests.billing.ledger_rows import NOON, assert_ledger_consistent, record, rollups, run, set_price
from tests.conftest import Api

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(NOON)]

OCTOBER, NOVEMBER, DECEMBER = date(2026, 10, 1), date(2026, 11, 1), date(2026, 12, 1)
IN_OCTOBER = datetime(2026, 10, 20, tzinfo=UTC)
NEW_MODEL = "brand-new-1"
USAGE = {"input_tokens": 1000}
SAMPLE_CALLS: tuple[dict[str, Any], ...] = (
    {"cost_usd": "1"},
    {"cost_usd": "2"},
    {"model": NEW_MODEL, "cost_usd": None, "usage": USAGE},
    {"model": NEW_MODEL, "cost_usd": None, "usage": USAGE},
)


@pytest.fixture
def october(db: None) -> dict[str, list[tuple[Any, ...]]]:
    """Records four calls in October and closes it. Returns the rollups."""
    record(*({**call, "occurred_at": "2026-10-20T00:00:00Z"} for call in SAMPLE_CALLS), at=IN_OCTOBER)
    assert statements.close_due(NOON) == 1
    return rollups()


def get_log(event_id: str) -> UsageLog:
    return UsageLog.objects.get(event_id=event_id)


def void(event_id: str) -> UsageAdjustment:
    corrections.void(get_log(event_id), reason="x", actor="ann", at=NOON)
    return UsageAdjustment.objects.get(kind="void", log__event_id=event_id, reverted_by=None)


def revert(adjustment: UsageAdjustment) -> None:
    corrections.revert_adjustment(adjustment, reason="x", actor="ann", at=NOON)


def summary(api: Api, **query: str) -> tuple[str, int, int, str]:
    body = api.get("usage/summary/", **query).json()
    return body["total_cost_usd"], body["total_calls"], body["unpriced_calls"], body["prior_adjustments_usd"]


def test_a_late_void_changes_the_log_and_is_reported_in_the_open_period(
    service: Api, october: dict[str, list[tuple[Any, ...]]]
) -> None:
    adjustment = void("e0")

    assert (adjustment.period, adjustment.corrects_period) == (NOVEMBER, OCTOBER)
    assert (adjustment.delta_nano, adjustment.late_at) == (-(10**9), NOON)
    row = service.get(f"usage/logs/{adjustment.log_id}/").json()
    assert (row["cost_usd"], row["voided"], row["period"]) == ("0", True, "2026-10")
    assert rollups() == october
    assert summary(service, account="a", period="2026-10") == ("3", 4, 2, "0")
    assert summary(service, account="a") == ("0", 0, 0, "-1")
    assert summary(service, period="2026-10") == ("3", 4, 2, "0")
    assert summary(service) == ("0", 0, 0, "-1")
    assert_ledger_consistent()


def test_a_void_in_an_open_period_changes_its_rollups_and_is_no_prior_adjustment(service: Api) -> None:
    record(*SAMPLE_CALLS)
    void("e0")

    assert summary(service, account="a") == ("2", 3, 2, "0")
    assert summary(service) == ("2", 3, 2, "0")


def test_a_late_repricing_and_its_revert_leave_the_closed_rollups_unchanged(
    service: Api, october: dict[str, list[tuple[Any, ...]]]
) -> None:
    set_price(NEW_MODEL, input_tokens="5")
    result = run("reprice")
    assert result.lines[0] == "a: 2 calls, 0 -> 0.01 USD, 0 unpriced"
    assert summary(service, account="a") == ("0", 0, 0, "0.01")
    assert rollups() == october
    assert_ledger_consistent()

    batch = result.lines[-1].partition("Batch ")[2].rstrip(".")
    run("reprice", "--revert", batch)
    assert summary(service, account="a") == ("0", 0, 0, "0")
    assert UsageAdjustment.objects.filter(late_at=NOON, period=NOVEMBER, corrects_period=OCTOBER).count() == 4
    assert rollups() == october
    assert_ledger_consistent()

    assert run("reprice").lines[0] == "a: 2 calls, 0 -> 0.01 USD, 0 unpriced"
    assert_ledger_consistent()


def test_corrections_made_before_closing_stay_in_the_closed_totals(service: Api) -> None:
    record(*({**call, "occurred_at": "2026-10-20T00:00:00Z"} for call in SAMPLE_CALLS), at=IN_OCTOBER)
    set_price(NEW_MODEL, input_tokens="5")
    run("reprice")
    early_void = void("e0")
    statements.close_due(NOON)
    closed_rollups = rollups()
    assert summary(service, account="a", period="2026-10") == ("2.01", 3, 0, "0")

    revert(early_void)
    void("e2")
    set_price(NEW_MODEL, input_tokens="7")
    run("reprice", "--model", NEW_MODEL)
    revert(UsageAdjustment.objects.filter(kind="reprice", log__event_id="e3", reverted_by=None).latest("id"))
    revert(UsageAdjustment.objects.get(kind="reprice", log__event_id="e3", reverted_by=None))

    assert (get_log("e0").effective_nano, get_log("e2").effective_nano, get_log("e3").is_priced) == (10**9, 0, False)
    assert rollups() == closed_rollups
    assert summary(service, account="a", period="2026-10") == ("2.01", 3, 0, "0")
    # 1 for e0 restored, 0.005 for e2 voided, 0.005 for e3 reverted
    assert summary(service, account="a") == ("0", 0, 0, "0.99")
    assert_ledger_consistent()


def test_a_call_whose_repricing_was_reverted_after_closing_can_be_repriced_again(db: None) -> None:
    record({**SAMPLE_CALLS[2], "occurred_at": "2026-10-20T00:00:00Z"}, at=IN_OCTOBER)
    set_price(NEW_MODEL, input_tokens="5")
    run("reprice")
    closed_periods.close(Account.objects.get(), OCTOBER, NOON)
    revert(UsageAdjustment.objects.get())
    assert UsageModel.objects.get().unpriced_calls == 0

    assert repricing.preview(RepricingChoice(unpriced=True)).changes[0].new_nano == 5_000_000


def test_drift_in_a_closed_period_is_reported(october: Any) -> None:
    void("e0")
    set_price(NEW_MODEL, input_tokens="5")
    run("reprice")
    for model, column in ((UsageDay, "cost_nano"), (UsageModel, "unpriced_calls"), (PlatformDay, "tokens_total")):
        row = model._default_manager.filter(calls__gt=0)
        with transaction.atomic():
            row.update(**{column: F(column) + 1})
            result = run("verify_ledger")
            assert (result.status, column in result.out) == (1, True)
            transaction.set_rollback(True)
    assert_ledger_consistent()


def test_drift_in_a_log_that_was_corrected_late_is_reported(october: Any) -> None:
    void("e0")
    UsageLog.objects.filter(event_id="e0").update(effective_nano=1)

    assert "effective_nano is 1, should be 0" in run("verify_ledger").out


def test_rebuilding_rollups_restores_a_closed_period_as_it_was_closed(
    october: dict[str, list[tuple[Any, ...]]],
) -> None:
    void("e0")
    UsageDay.objects.update(calls=F("calls") + 3)
    run("rebuild_rollups")

    assert rollups() == october
    assert_ledger_consistent()


def test_a_redetect_skips_closed_periods_and_counts_them(october: dict[str, list[tuple[Any, ...]]]) -> None:
    record({"event_id": "now"})
    acme = Provider.objects.create(slug="acme", name="Acme")
    DetectionRule.objects.create(slug="own", evidence="family", pattern="*", provider=acme)
    rulebook.invalidate()
    result = run("backfill_actual_providers", "--redetect")

    assert result.lines == [
        "1 openai -> acme",
        "5 logs examined, 1 detected; 4 of closed periods skipped; 0 would now cost differently.",
    ]
    assert dict(UsageLog.objects.values_list("event_id", "actual_provider_name"))["e0"] == "openai"
    assert_ledger_consistent()


def test_a_period_is_closed_only_once(october: Any) -> None:
    assert not closed_periods.close(Account.objects.get(), OCTOBER, NOON)
    assert ClosedPeriod.objects.get().closed_at == NOON


def test_late_corrections_count_in_the_first_open_period(october: Any) -> None:
    closed_periods.close(Account.objects.get(), NOVEMBER, NOON)

    assert void("e0").period == DECEMBER
    assert_ledger_consistent(without=("closed_periods", "statements"))  # November ends later


def test_the_open_period_follows_the_anchor_day_of_the_account(db: None) -> None:
    record({"occurred_at": "2026-10-20T00:00:00Z"}, at=IN_OCTOBER)
    Account.objects.update(anchor_day=25)
    closed_periods.close(Account.objects.get(), OCTOBER, NOON)

    assert void("e0").period == date(2026, 10, 25)


def test_closing_a_period_of_one_account_leaves_other_accounts_open(october: Any) -> None:
    record({"event_id": "theirs", "account": "b", "occurred_at": "2026-10-20T00:00:00Z"}, at=IN_OCTOBER)
    adjustment = void("theirs")

    assert (adjustment.period, adjustment.late_at) == (OCTOBER, None)
    assert not UsageDay.objects.filter(account__external_id="b").exclude(calls=0).exists()
    assert_ledger_consistent()


@pytest.mark.parametrize("redetect", [(), ("--redetect",)])
def test_missing_providers_are_detected_in_closed_periods_too(october: Any, redetect: tuple[str, ...]) -> None:
    UsageLog.objects.update(actual_provider_name=None, confidence="", detection_rule="", evidence="")
    run("rebuild_rollups")
    run("backfill_actual_providers", *redetect)

    assert set(UsageLog.objects.values_list("actual_provider_name", flat=True)) == {"openai"}
    assert (rollups(), UsageAdjustment.objects.count()) == (october, 0)
    assert_ledger_consistent()
