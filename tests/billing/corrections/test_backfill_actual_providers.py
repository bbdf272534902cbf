"""`backfill_actual_providers`: names move with their rollups, once, and only where the old name still holds."""

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
from tests.billing.ledger_rows import NOW, record, rollups, run, unnamed

pytestmark = pytest.mark.django_db

CALLS: tuple[dict[str, Any], ...] = (
    {"provider": "video", "model": "wan-2.5", "endpoint": "/video-generation/wavespeed"},
    {"provider": "Gemini", "model": "gemini-2.5-pro", "endpoint": "/generate", "cost_usd": None},
    {"provider": "openai", "model": "gpt-4o", "endpoint": "https://acme.openai.azure.com/x", "account": "b"},
    {"provider": "openai", "model": "gpt-4o", "endpoint": "https://acme.openai.azure.com/x", "status_code": 500},
    {"provider": "audio", "model": "nobody-knows", "occurred_at": "2025-05-05T00:00:00Z"},
)
NAMES = ["wavespeed", "google", "azure", "azure", "unknown"]


def names() -> list[str | None]:
    return list(UsageLog.objects.order_by("event_id").values_list("actual_provider_name", flat=True))


def azure_is_ours() -> None:
    """An operator's rule that names a host otherwise than the shipped ones."""
    ours = Provider.objects.create(slug="acme", name="Acme")
    DetectionRule.objects.create(slug="own", evidence="host", pattern="acme.openai.azure.com", provider=ours)
    rulebook.changed()


@pytest.mark.parametrize("size", ["1", "2", "2000"])
def test_logs_without_a_name_get_one_and_take_their_rollups_along(size: str) -> None:
    record(*CALLS)
    right = rollups()
    unnamed()
    assert rollups() != right

    end = run("backfill_actual_providers", "--batch-size", size)

    assert (end.status, end.lines) == (
        0,
        [
            "2 not detected -> azure",
            "1 not detected -> google",
            "1 not detected -> unknown",
            "1 not detected -> wavespeed",
            "5 logs looked at, 5 named; 0 would now rate differently.",
        ],
    )
    assert (names(), rollups()) == (NAMES, right)
    assert run("verify_ledger").status == 0
    assert UsageAdjustment.objects.count() == 0


def test_a_second_run_finds_nothing() -> None:
    record(*CALLS)
    unnamed()
    run("backfill_actual_providers")

    assert run("backfill_actual_providers").out == "0 logs looked at, 0 named; 0 would now rate differently.\n"


def test_named_logs_are_left_alone() -> None:
    record(*CALLS)
    azure_is_ours()
    unnamed(event_id="e0")

    run("backfill_actual_providers")

    assert names() == NAMES


def test_a_dry_run_tells_the_same_and_changes_nothing() -> None:
    record(*CALLS)
    unnamed()
    before = rollups()

    end = run("backfill_actual_providers", "--dry-run")

    assert end.lines[-1] == "5 logs looked at, 5 would be named; 0 would now rate differently."
    assert (names(), rollups()) == ([None] * 5, before)


def test_account_and_times_choose_the_logs() -> None:
    record(*CALLS)
    unnamed()

    run("backfill_actual_providers", "--account", "b")
    assert names() == [None, None, "azure", None, None]
    run("backfill_actual_providers", "--until", "2026-01-01")
    assert names() == [None, None, "azure", None, "unknown"]
    run("backfill_actual_providers", "--since", "2026-11-22T12:00:01Z")
    assert names() == [None, None, "azure", None, "unknown"]
    run("backfill_actual_providers", "--since", "2026-11-22T12:00Z")
    assert names() == NAMES
    assert run("verify_ledger").status == 0


def test_voided_logs_get_a_name_and_count_nothing() -> None:
    record(*CALLS)
    UsageLog.objects.update(voided_at=NOW)
    unnamed()

    run("backfill_actual_providers")

    assert names() == NAMES
    assert all(not rows for rows in rollups().values())


def test_redetect_names_again_and_says_so_by_an_adjustment() -> None:
    record(*CALLS)
    azure_is_ours()

    end = run("backfill_actual_providers", "--redetect")

    assert end.lines == ["2 azure -> acme", "5 logs looked at, 2 named; 0 would now rate differently."]
    assert names() == ["wavespeed", "google", "acme", "acme", "unknown"]
    told = UsageAdjustment.objects.order_by("log__event_id").values_list(
        "log__event_id", "kind", "delta_nano", "details"
    )
    before = {"confidence": "exact", "rule": "host-openai.azure.com", "evidence": "host acme.openai.azure.com"}
    details = {"from": "azure", "to": "acme", "rule": "own", "before": before}
    assert list(told) == [("e2", "redetect", 0, details), ("e3", "redetect", 0, details)]
    assert UsageAdjustment.objects.values("batch").distinct().count() == 1
    assert UsageLog.objects.filter(cost_total=10**9).count() == 4
    assert run("verify_ledger").status == 0


def test_redetect_leaves_what_is_called_right() -> None:
    record(*CALLS)
    before = rollups()

    end = run("backfill_actual_providers", "--redetect")

    assert end.lines == ["5 logs looked at, 0 named; 0 would now rate differently."]
    assert (rollups(), UsageAdjustment.objects.count()) == (before, 0)


def test_redetect_tells_how_many_would_rate_differently() -> None:
    tokens = {"input_tokens": 1000, "output_tokens": 10}
    record(
        {"provider": "openai", "cost_usd": None, "usage": tokens},
        {"provider": "openai", "cost_usd": "1", "usage": tokens},
    )
    UsageLog.objects.update(endpoint="https://somebody.example/")

    assert run("backfill_actual_providers", "--redetect").lines == [
        "2 openai -> unknown",
        "2 logs looked at, 2 named; 1 would now rate differently.",
    ]


def test_a_callers_own_statement_stays_its_own() -> None:
    record({"served_by": "Some Host", "endpoint": "https://acme.openai.azure.com/x"})
    azure_is_ours()

    run("backfill_actual_providers", "--redetect")

    assert names() == ["some-host"]


def test_what_somebody_else_names_meanwhile_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    record(*CALLS)
    unnamed()
    first_names, calls = redetection._first_names, []

    def rival(found: Any, books: Any) -> Any:
        calls.append(sum(map(len, found.values())))
        if len(calls) == 1:
            UsageLog.objects.filter(event_id="e0").update(actual_provider_name="wavespeed", confidence="strong")
        return first_names(found, books)

    monkeypatch.setattr(redetection, "_first_names", rival)
    end = run("backfill_actual_providers")

    assert end.lines[-1] == "4 logs looked at, 4 named; 0 would now rate differently."
    assert (names(), calls) == (NAMES, [5, 4])


def test_what_somebody_else_names_between_the_look_and_the_lock_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    record(*CALLS)
    azure_is_ours()
    correct = apply_corrections.apply

    def rival(*arguments: Any, **more: Any) -> Any:
        monkeypatch.setattr(apply_corrections, "apply", correct)
        run("backfill_actual_providers", "--redetect")
        return correct(*arguments, **more)

    monkeypatch.setattr(apply_corrections, "apply", rival)
    end = run("backfill_actual_providers", "--redetect")

    assert end.lines[-1] == "5 logs looked at, 0 named; 0 would now rate differently."
    assert UsageAdjustment.objects.count() == 2
    assert run("verify_ledger").status == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("redetect", [True, False])
def test_writers_and_a_backfill_at_once_keep_the_ledger_equal(redetect: bool) -> None:
    record(*({**call, "event_id": f"{turn}:{index}"} for turn in range(20) for index, call in enumerate(CALLS)))
    unnamed()
    errors: list[BaseException] = []

    def caught(work: Callable[[], object]) -> threading.Thread:
        def body() -> None:
            try:
                work()
            except BaseException as error:
                errors.append(error)
            finally:
                connection.close()

        thread = threading.Thread(target=body)
        thread.start()
        return thread

    def write() -> None:
        for turn in range(20):
            record(*({**call, "event_id": f"new {turn}:{index}"} for index, call in enumerate(CALLS)))

    options = ("--redetect",) if redetect else ()
    backfill_twice = [lambda: run("backfill_actual_providers", "--batch-size", "7", *options)] * 2
    for thread in [caught(work) for work in (write, *backfill_twice)]:
        thread.join()

    assert errors == []
    assert UsageLog.objects.filter(actual_provider_name=None).count() == 0
    assert UsageLog.objects.count() == 200
    assert run("verify_ledger").status == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--account", "nobody"), "There is no account 'nobody'."),
        (("--since", "yesterday"), "--since: 'yesterday' is no date or time such as 2026-11-01 or 2026-11-01T09:30Z."),
        (("--batch-size", "0"), "--batch-size is 1 to 10000."),
    ],
)
def test_bad_use_names_nothing(arguments: tuple[str, ...], message: str) -> None:
    record(*CALLS)
    unnamed()

    end = run("backfill_actual_providers", *arguments)

    assert (end.status, end.err, names()) == (2, message, [None] * 5)
