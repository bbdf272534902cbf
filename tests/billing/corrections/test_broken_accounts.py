"""A correction batch over several accounts of which one fails: the others are corrected, and the batch stays open."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import Sum
from django.test import Client

from billing import jobs as billing_jobs
from billing.corrections import repricing
from billing.corrections.repricing import RepricingChoice
from billing.models import CorrectionBatch, UsageAdjustment, UsageDay, UsageLog
from billing.models.rollups import MAX_NANO
from lib import jobs
from providers import rulebook
from providers.models import DetectionRule, Provider
from tests.billing import broken_accounts
from tests.billing.broken_accounts import CASES, NAMES, TOTALS, ZONE, assert_named, break_account, healthy
from tests.billing.ledger_rows import (
    NOON,
    CommandResult,
    assert_ledger_consistent,
    clear_detection,
    record,
    run,
    set_price,
)
from tests.billing.repricing_calls import NEW_MODEL, batch_in_output

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at("2026-11-22T12:00")]
broken_cases = pytest.mark.parametrize(("broken", "kind"), CASES)

AZURE = {"endpoint": "https://acme.openai.azure.com/x"}
STILL_OPEN = "2 of them are still open: run the command again when the reason is gone."


def record_unpriced(**fields: Any) -> None:
    """Two unpriced calls of each account, and then a price: 5 mUSD each."""
    call = {"model": NEW_MODEL, "cost_usd": None, "usage": {"input_tokens": 1000}, **fields}
    record(*({**call, "event_id": f"e{number}", "account": name} for name in NAMES for number in range(2)))
    set_price(NEW_MODEL, input_tokens="5")


def charges() -> dict[str, int]:
    sums = UsageLog.objects.order_by().values("account__external_id").annotate(nano=Sum("effective_nano"))
    return {row["account__external_id"]: row["nano"] for row in sums}


def expected(broken: str, nano: int, left_nano: int) -> dict[str, int]:
    return {name: left_nano if name == broken else nano for name in NAMES}


def finish() -> str:
    try:
        return billing_jobs.finish_corrections(NOON + timedelta(days=400))
    except jobs.ProblemFound as problem:
        return str(problem)


def assert_open(result: CommandResult, broken: str, kind: str, batch: CorrectionBatch) -> None:
    assert result.status == 1
    assert_named(result.out, broken, kind)
    assert "2 skipped: an error occurred in their account" in result.lines
    assert (batch.finished_at, batch.skipped, batch.skips) == (None, 2, {"an error occurred in their account": 2})
    assert list(batch.failed_accounts or {}) == [broken]


@broken_cases
def test_other_accounts_are_repriced(broken: str, kind: str) -> None:
    record_unpriced()
    break_account(broken, kind)
    result = run("reprice", "--batch-size", "1")
    batch = batch_in_output(result)

    assert charges() == expected(broken, 10_000_000, 0)
    assert_open(result, broken, kind, batch)
    assert result.lines[-1].endswith(f"2 skipped. Batch {batch.pk}. {STILL_OPEN}")
    assert (batch.logs, batch.delta_nano) == (4, 20_000_000)
    problem = finish()
    assert problem.startswith("1 batches continued; 1 failed: ")
    assert_named(problem, broken, kind)

    broken_accounts.repair(broken)
    assert finish() == "1 batches continued"
    batch.refresh_from_db()
    assert charges() == expected(broken, 10_000_000, 10_000_000)
    assert (batch.logs, batch.delta_nano, batch.skipped, batch.failed_accounts) == (6, 30_000_000, 0, None)
    assert batch.finished_at is not None
    assert finish() == "0 batches continued"


@broken_cases
def test_other_accounts_are_reverted(broken: str, kind: str) -> None:
    record_unpriced()
    batch = batch_in_output(run("reprice"))
    if kind == ZONE:
        break_account(broken, kind)
    else:  # the totals can't fall any further
        UsageDay.objects.filter(account__external_id=broken).update(cost_nano=-MAX_NANO)
    result = run("reprice", "--revert", str(batch.pk), "--batch-size", "1")
    revert = CorrectionBatch.objects.get(kind="revert")

    assert charges() == expected(broken, 0, 10_000_000)
    assert_open(result, broken, kind, revert)
    batch.refresh_from_db()
    assert (batch.reverted_at, revert.logs, revert.delta_nano) == (None, 4, -20_000_000)
    assert_named(finish(), broken, kind)

    if kind == ZONE:
        broken_accounts.repair(broken)
    else:
        UsageDay.objects.filter(account__external_id=broken).update(cost_nano=10_000_000)
    assert finish() == "1 batches continued"
    batch.refresh_from_db()
    revert.refresh_from_db()
    assert charges() == dict.fromkeys(NAMES, 0)
    assert (revert.logs, revert.delta_nano, revert.failed_accounts) == (6, -30_000_000, None)
    assert batch.reverted_at == revert.finished_at is not None
    assert_ledger_consistent()


def add_rule() -> None:
    provider, _ = Provider.objects.get_or_create(slug="acme", defaults={"name": "acme"})
    DetectionRule.objects.create(
        slug="own-acme", evidence="host", pattern="acme.openai.azure.com", provider=provider, order=1000
    )
    rulebook.invalidate()


@broken_cases
def test_other_accounts_are_redetected(broken: str, kind: str) -> None:
    record(*({**AZURE, "event_id": f"e{number}", "account": name} for name in NAMES for number in range(2)))
    add_rule()
    break_account(broken, kind)
    if kind == TOTALS:
        broken_accounts.add_full_day(broken, NOON.date(), "acme")
    result = run("backfill_actual_providers", "--redetect", "--batch-size", "1")
    batch = CorrectionBatch.objects.get()

    assert result.status == 1
    assert_named(result.out, broken, kind)
    assert result.lines[-1].endswith(" 2 logs of accounts that failed are still open: run the command again.")
    providers = UsageLog.objects.values_list("account__external_id", "actual_provider_name").distinct()
    assert dict(providers) == {name: "azure" if name == broken else "acme" for name in NAMES}
    assert (batch.finished_at, list(batch.failed_accounts or {}), batch.logs) == (None, [broken], 4)
    assert_named(finish(), broken, kind)

    broken_accounts.repair(broken)
    assert finish() == "1 batches continued"
    batch.refresh_from_db()
    assert (batch.logs, batch.failed_accounts, batch.finished_at is None) == (6, None, False)
    assert set(UsageLog.objects.values_list("actual_provider_name", flat=True)) == {"acme"}


@pytest.mark.parametrize("broken", NAMES)
def test_providers_of_other_accounts_are_detected(broken: str) -> None:
    record(*({**AZURE, "event_id": f"e{number}", "account": name} for number in range(2) for name in NAMES))
    clear_detection()
    broken_accounts.add_full_day(broken, NOON.date(), "azure")
    result = run("backfill_actual_providers")

    assert result.status == 1
    assert_named(result.out, broken, TOTALS)
    assert result.lines[-1].startswith("6 logs examined, 4 detected; ")
    assert result.lines[-1].endswith(" 2 logs of accounts that failed are still open: run the command again.")
    undetected = UsageLog.objects.filter(actual_provider_name=None)
    assert set(undetected.values_list("account__external_id", flat=True)) == {broken}
    broken_accounts.repair(broken)
    assert run("backfill_actual_providers").status == 0
    assert not undetected.exists()
    assert_ledger_consistent()


def test_a_batch_that_waits_for_a_broken_account_is_not_joined() -> None:
    """The next re-pricing examines all accounts, under its own actor and reason."""
    record_unpriced()
    break_account("a1", ZONE)
    waiting = batch_in_output(run("reprice"))
    record({"account": "a0", "event_id": "new", "model": "newer", "cost_usd": None, "usage": {"input_tokens": 1000}})
    set_price("newer", input_tokens="1")
    second = batch_in_output(run("reprice", "--reason", "again"))

    assert second != waiting
    assert (second.logs, second.reason, list(second.failed_accounts or {})) == (1, "again", ["a1"])
    broken_accounts.repair("a1")
    assert finish() == "2 batches continued"
    assert list(CorrectionBatch.objects.order_by("created_at", "id").values_list("logs", flat=True)) == [6, 1]
    assert set(charges().values()) == {10_000_000, 11_000_000}
    assert_ledger_consistent()


def test_a_continued_batch_examines_only_the_accounts_that_failed() -> None:
    record_unpriced()
    break_account("a1", ZONE)
    batch = batch_in_output(run("reprice"))
    steps = list(repricing.run(batch, size=10, clock=lambda: NOON))
    assert [(step.examined, step.change.account, step.failed[:25]) for step in steps] == [
        (2, "a1", "a1: ZoneInfoNotFoundError")
    ]


def test_a_broken_batch_does_not_stop_the_others() -> None:
    record_unpriced()
    missing = CorrectionBatch.objects.create(
        kind="revert", choice={"batch": "00000000-0000-0000-0000-000000000000"}, created_at=NOON - timedelta(days=1)
    )
    batch = repricing.start(RepricingChoice(unpriced=True), reason="x", actor="ann", at=NOON)
    problem = finish()
    assert problem.startswith(f"2 batches continued; 1 failed: batch {missing.pk}: DoesNotExist: ")
    batch.refresh_from_db()
    assert (batch.logs, batch.finished_at is None) == (6, False)


def test_the_page_of_a_batch_names_the_account_that_failed(admin_client: Client) -> None:
    record_unpriced()
    break_account("a1", ZONE)
    form = {"unpriced": "on", "reason": "a price", "confirm": "on"}
    response: Any = admin_client.post("/admin/billing/correctionbatch/reprice/", form, follow=True)
    batch = CorrectionBatch.objects.get()
    page = response.content.decode()

    assert charges() == expected("a1", 10_000_000, 0)
    assert "Done, except some calls. a1: ZoneInfoNotFoundError:" in page
    assert "Some calls are still open. They are retried automatically; you can also continue the batch." in page
    assert "<li>2 skipped: an error occurred in their account</li>" in page
    assert '<span class="badge warning">running</span>' in page
    broken_accounts.repair("a1")
    response = admin_client.post(f"/admin/billing/correctionbatch/{batch.pk}/continue/", follow=True)
    page = response.content.decode()
    assert ("Done." in page, "still open" in page, "ZoneInfo" in page) == (True, False, False)
    assert charges() == dict.fromkeys(NAMES, 10_000_000)
    assert UsageAdjustment.objects.count() == 6
    assert healthy("a1") == ["a0", "a2"]
