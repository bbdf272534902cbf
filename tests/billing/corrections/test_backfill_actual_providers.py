"""`backfill_actual_providers`: sets missing providers, re-detects on request, and keeps the rollups in step."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from billing.corrections import apply_corrections, redetection
from billing.models import UsageAdjustment, UsageLog
from providers import rulebook
from providers.models import DetectionRule, Provider
from tests.billing.ledger_rows import NOON, clear_detection, record, rollups, run

pytestmark = pytest.mark.django_db

MIXED_CALLS: tuple[dict[str, Any], ...] = (
    {"provider": "video", "model": "wan-2.5", "endpoint": "/video-generation/wavespeed"},
    {"provider": "Gemini", "model": "gemini-2.5-pro", "endpoint": "/generate", "cost_usd": None},
    {"provider": "openai", "model": "gpt-4o", "endpoint": "https://acme.openai.azure.com/x", "account": "b"},
    {"provider": "openai", "model": "gpt-4o", "endpoint": "https://acme.openai.azure.com/x", "status_code": 500},
    {"provider": "audio", "model": "nobody-knows", "occurred_at": "2025-05-05T00:00:00Z"},
)
PROVIDERS = ["wavespeed", "google", "azure", "azure", "unknown"]


def actual_providers() -> list[str | None]:
    return list(UsageLog.objects.order_by("event_id").values_list("actual_provider_name", flat=True))


def add_acme_rule() -> None:
    """Adds an operator's rule that overrides the shipped one for a host."""
    acme = Provider.objects.create(slug="acme", name="Acme")
    DetectionRule.objects.create(slug="own", evidence="host", pattern="acme.openai.azure.com", provider=acme)
    rulebook.invalidate()


@pytest.mark.parametrize("size", ["1", "2", "2000"])
def test_missing_providers_are_detected_and_rollups_follow(size: str) -> None:
    record(*MIXED_CALLS)
    expected = rollups()
    clear_detection()
    assert rollups() != expected

    result = run("backfill_actual_providers", "--batch-size", size)

    assert (result.status, result.lines) == (
        0,
        [
            "2 not detected -> azure",
            "1 not detected -> google",
            "1 not detected -> unknown",
            "1 not detected -> wavespeed",
            "5 logs examined, 5 detected; 0 would now cost differently.",
        ],
    )
    assert (actual_providers(), rollups()) == (PROVIDERS, expected)
    assert run("verify_ledger").status == 0
    assert UsageAdjustment.objects.count() == 0


def test_a_second_run_has_nothing_to_detect() -> None:
    record(*MIXED_CALLS)
    clear_detection()
    run("backfill_actual_providers")

    assert run("backfill_actual_providers").out == "0 logs examined, 0 detected; 0 would now cost differently.\n"


def test_logs_with_a_provider_are_unchanged() -> None:
    record(*MIXED_CALLS)
    add_acme_rule()
    clear_detection(event_id="e0")

    run("backfill_actual_providers")

    assert actual_providers() == PROVIDERS


def test_a_dry_run_reports_the_counts_and_changes_nothing() -> None:
    record(*MIXED_CALLS)
    clear_detection()
    before = rollups()

    result = run("backfill_actual_providers", "--dry-run")

    assert result.lines[-1] == "5 logs examined, 5 would be detected; 0 would now cost differently."
    assert (actual_providers(), rollups()) == ([None] * 5, before)


def test_account_since_and_until_select_the_logs() -> None:
    record(*MIXED_CALLS)
    clear_detection()

    run("backfill_actual_providers", "--account", "b")
    assert actual_providers() == [None, None, "azure", None, None]
    run("backfill_actual_providers", "--until", "2026-01-01")
    assert actual_providers() == [None, None, "azure", None, "unknown"]
    run("backfill_actual_providers", "--since", "2026-11-22T12:00:01Z")
    assert actual_providers() == [None, None, "azure", None, "unknown"]
    run("backfill_actual_providers", "--since", "2026-11-22T12:00Z")
    assert actual_providers() == PROVIDERS
    assert run("verify_ledger").status == 0


def test_voided_logs_get_a_provider_and_do_not_count() -> None:
    record(*MIXED_CALLS)
    UsageLog.objects.update(voided_at=NOON)
    clear_detection()

    run("backfill_actual_providers")

    assert actual_providers() == PROVIDERS
    assert all(not rows for rows in rollups().values())


def test_redetect_replaces_providers_and_records_adjustments() -> None:
    record(*MIXED_CALLS)
    add_acme_rule()

    result = run("backfill_actual_providers", "--redetect")

    assert result.lines == ["2 azure -> acme", "5 logs examined, 2 detected; 0 would now cost differently."]
    assert actual_providers() == ["wavespeed", "google", "acme", "acme", "unknown"]
    adjustments = UsageAdjustment.objects.order_by("log__event_id").values_list(
        "log__event_id", "kind", "delta_nano", "details"
    )
    before = {"confidence": "exact", "rule": "host-openai.azure.com", "evidence": "host acme.openai.azure.com"}
    details = {"from": "azure", "to": "acme", "rule": "own", "before": before}
    assert list(adjustments) == [("e2", "redetect", 0, details), ("e3", "redetect", 0, details)]
    assert UsageAdjustment.objects.values("batch").distinct().count() == 1
    assert UsageLog.objects.filter(cost_total=10**9).count() == 4
    assert run("verify_ledger").status == 0


def test_redetect_leaves_correct_providers_unchanged() -> None:
    record(*MIXED_CALLS)
    before = rollups()

    result = run("backfill_actual_providers", "--redetect")

    assert result.lines == ["5 logs examined, 0 detected; 0 would now cost differently."]
    assert (rollups(), UsageAdjustment.objects.count()) == (before, 0)


def test_redetect_counts_calls_that_would_now_cost_differently() -> None:
    tokens = {"input_tokens": 1000, "output_tokens": 10}
    record(
        {"provider": "openai", "cost_usd": None, "usage": tokens},
        {"provider": "openai", "cost_usd": "1", "usage": tokens},
    )
    UsageLog.objects.update(endpoint="https://somebody.example/")

    assert run("backfill_actual_providers", "--redetect").lines == [
        "2 openai -> unknown",
        "2 logs examined, 2 detected; 1 would now cost differently.",
    ]


def test_redetect_keeps_a_provider_stated_by_the_caller() -> None:
    record({"served_by": "Some Host", "endpoint": "https://acme.openai.azure.com/x"})
    add_acme_rule()

    run("backfill_actual_providers", "--redetect")

    assert actual_providers() == ["some-host"]


def test_logs_changed_by_another_run_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    record(*MIXED_CALLS)
    clear_detection()
    assign_providers, batch_sizes = redetection._assign_providers, []

    def assign_after_another_run(ids_by_call: Any, snapshot: Any) -> Any:
        batch_sizes.append(sum(map(len, ids_by_call.values())))
        if len(batch_sizes) == 1:
            UsageLog.objects.filter(event_id="e0").update(actual_provider_name="wavespeed", confidence="strong")
        return assign_providers(ids_by_call, snapshot)

    monkeypatch.setattr(redetection, "_assign_providers", assign_after_another_run)
    result = run("backfill_actual_providers")

    assert result.lines[-1] == "4 logs examined, 4 detected; 0 would now cost differently."
    assert (actual_providers(), batch_sizes) == (PROVIDERS, [5, 4])


def test_a_provider_set_between_reading_and_locking_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    record(*MIXED_CALLS)
    add_acme_rule()
    apply = apply_corrections.apply

    def apply_after_another_run(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(apply_corrections, "apply", apply)
        run("backfill_actual_providers", "--redetect")
        return apply(*arguments, **options)

    monkeypatch.setattr(apply_corrections, "apply", apply_after_another_run)
    result = run("backfill_actual_providers", "--redetect")

    assert result.lines[-1] == "5 logs examined, 0 detected; 0 would now cost differently."
    assert UsageAdjustment.objects.count() == 2
    assert run("verify_ledger").status == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("redetect", [True, False])
def test_concurrent_writers_and_backfills_keep_the_ledger_consistent(redetect: bool) -> None:
    record(*({**call, "event_id": f"{batch}:{index}"} for batch in range(20) for index, call in enumerate(MIXED_CALLS)))
    clear_detection()
    errors: list[BaseException] = []

    def start_thread(work: Callable[[], object]) -> threading.Thread:
        def run_work() -> None:
            try:
                work()
            except BaseException as error:
                errors.append(error)
            finally:
                connection.close()

        thread = threading.Thread(target=run_work)
        thread.start()
        return thread

    def write() -> None:
        for batch in range(20):
            record(*({**call, "event_id": f"new {batch}:{index}"} for index, call in enumerate(MIXED_CALLS)))

    options = ("--redetect",) if redetect else ()
    backfill_twice = [lambda: run("backfill_actual_providers", "--batch-size", "7", *options)] * 2
    for thread in [start_thread(work) for work in (write, *backfill_twice)]:
        thread.join()

    assert errors == []
    assert UsageLog.objects.filter(actual_provider_name=None).count() == 0
    assert UsageLog.objects.count() == 200
    assert run("verify_ledger").status == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--account", "nobody"), "Account 'nobody' does not exist."),
        (
            ("--since", "yesterday"),
            "--since: 'yesterday' is not a date or time such as 2026-11-01 or 2026-11-01T09:30Z.",
        ),
        (("--batch-size", "0"), "--batch-size must be 1 to 10000."),
    ],
)
def test_invalid_arguments_change_nothing(arguments: tuple[str, ...], message: str) -> None:
    record(*MIXED_CALLS)
    clear_detection()

    result = run("backfill_actual_providers", *arguments)

    assert (result.status, result.err, actual_providers()) == (2, message, [None] * 5)
