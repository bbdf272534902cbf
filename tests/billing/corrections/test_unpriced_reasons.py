"""Why a call is unpriced: kept through re-pricing and its revert, and found for logs of releases that did not store it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from billing import jobs
from billing.models import UsageAdjustment, UsageLog
from lib.jobs import ProblemFound
from tests.billing import archived_periods
from tests.billing.ledger_rows import NOON, assert_ledger_consistent, differences, record, run, set_price
from tests.billing.repricing_calls import MIXED_CALLS, NEW_MODEL, USAGE, batch_in_output, record_then_price
from tests.conftest import Api

pytestmark = pytest.mark.django_db


def reasons() -> dict[str, str | None]:
    return dict(UsageLog.objects.order_by("event_id").values_list("event_id", "unpriced_reason"))


def as_of_the_previous_release(**filters: Any) -> None:
    """Rows as that release wrote them: no reason, one call, and no checksum of these."""
    UsageLog.objects.filter(**filters).update(unpriced_reason=None, calls=1, checksum=None)


def find_reasons() -> str:
    return jobs.find_unpriced_reasons(NOON, clock=lambda: NOON)


def test_a_reprice_clears_the_reason_and_its_revert_sets_it_again(service: Api) -> None:
    record(MIXED_CALLS[0])
    assert reasons() == {"e0": "price_unknown"}
    set_price(NEW_MODEL, input_tokens="2", output_tokens="10")

    batch = batch_in_output(run("reprice"))
    assert reasons() == {"e0": None}
    row = service.get("usage/logs/", account="a").json()["results"][0]
    assert (row["priced"], row["unpriced_reason"], row["usage_state"]) == (True, None, "complete")
    assert_ledger_consistent()

    run("reprice", "--revert", str(batch.id))
    assert reasons() == {"e0": "price_unknown"}
    assert_ledger_consistent()


def test_a_revert_of_a_reprice_by_the_previous_release_sets_a_reason() -> None:
    record(MIXED_CALLS[0])
    set_price(NEW_MODEL, input_tokens="2", output_tokens="10")
    batch = batch_in_output(run("reprice"))
    adjustment = UsageAdjustment.objects.get()
    details = {**adjustment.details, "before": {"nano": 0, "priced": False}}
    UsageAdjustment.objects.update(
        details={k: v for k, v in details.items() if k not in ("unpriced_reason", "usage_state")}
    )
    assert_ledger_consistent()

    run("reprice", "--revert", str(batch.id))
    assert reasons() == {"e0": "price_unknown"}
    assert_ledger_consistent()


def test_a_call_that_loses_its_price_gets_a_reason() -> None:
    set_price(NEW_MODEL, input_tokens="2")
    record(MIXED_CALLS[0])
    assert reasons() == {"e0": None}
    set_price(NEW_MODEL, seconds="2")

    run("reprice", "--model", NEW_MODEL)
    assert reasons() == {"e0": "usage_unknown"}
    assert UsageAdjustment.objects.get().details["unpriced_reason"] == "usage_unknown"
    assert_ledger_consistent()


def test_a_reprice_that_leaves_a_call_unpriced_renews_its_reason_without_an_adjustment() -> None:
    record_then_price()
    assert (reasons()["e5"], reasons()["e7"]) == ("price_unknown", "price_unknown")
    result = run("reprice")

    assert (reasons()["e5"], reasons()["e7"]) == ("price_unknown", "usage_unknown")
    assert UsageAdjustment.objects.filter(log__event_id="e7").count() == 0
    assert batch_in_output(result).logs == 3
    assert_ledger_consistent()


def test_reasons_of_old_logs_are_found_by_the_price_of_their_day() -> None:
    record(*MIXED_CALLS, {"model": NEW_MODEL, "cost_usd": None, "usage": USAGE, "occurred_at": "2026-11-01T00:00:00Z"})
    as_of_the_previous_release()
    set_price(NEW_MODEL, since=NOON.date(), seconds="2")
    assert differences("log_keys", "log_values") == []

    assert find_reasons() == "6 reasons found"
    assert reasons() == {
        "e0": "usage_unknown",
        "e1": "usage_unknown",
        "e2": None,
        "e3": None,
        "e4": None,
        "e5": "price_unknown",  # of another provider
        "e6": "usage_unknown",
        "e7": "price_unknown",  # it has a price since, and waits to be re-priced
        "e8": "price_unknown",  # of an earlier day
    }
    assert find_reasons() == "0 reasons found"
    assert UsageAdjustment.objects.count() == 0
    assert_ledger_consistent()


def test_a_stopped_run_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    record(*MIXED_CALLS)
    as_of_the_previous_release()
    monkeypatch.setattr("billing.corrections.unpriced_reasons.PAGE_SIZE", 1)
    calls = iter([NOON, NOON])

    def killed_in_the_third() -> datetime:
        return next(calls)

    with pytest.raises(ProblemFound, match="2 reasons found; 1 failed: b: StopIteration"):
        jobs.find_unpriced_reasons(NOON, clock=killed_in_the_third)
    assert sum(reason is not None for reason in reasons().values()) == 2

    assert find_reasons() == "3 reasons found"
    assert sum(reason is not None for reason in reasons().values()) == 5
    assert_ledger_consistent()


def test_logs_of_a_period_that_is_being_archived_stay_as_they_are(settings: Any, tmp_path: Any) -> None:
    settings.KEEP_LOGS_DAYS, settings.ARCHIVE_DIR = 60, str(tmp_path / "archive")
    archived_periods.record_october()
    as_of_the_previous_release()
    archived_periods.run_job(archived_periods.DUE_AT)

    assert find_reasons() == "0 reasons found"
    assert (
        archived_periods.run_job(archived_periods.DUE_AT + archived_periods.HOUR) == "5 logs of closed periods deleted"
    )
    assert_ledger_consistent()
