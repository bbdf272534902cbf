"""A redetect is a batch that can be taken back: names, evidence and totals as they were."""

from __future__ import annotations

from typing import Any

import pytest

from billing.corrections import corrections
from billing.models import CorrectionBatch, UsageAdjustment, UsageLog
from providers import rulebook
from providers.models import DetectionRule, Provider
from tests.billing.ledger_rows import NOW, assert_equal, record, rollups, run

pytestmark = pytest.mark.django_db

AZURE = {"endpoint": "https://acme.openai.azure.com/x"}
NAMES = ("event_id", "actual_provider_name", "confidence", "detection_rule", "evidence")


def ours(slug: str, order: int = 1000) -> None:
    provider, _ = Provider.objects.get_or_create(slug=slug, defaults={"name": slug})
    DetectionRule.objects.create(
        slug=f"own-{slug}", evidence="host", pattern="acme.openai.azure.com", provider=provider, order=order
    )
    rulebook.changed()


def names() -> list[tuple[Any, ...]]:
    return list(UsageLog.objects.order_by("event_id").values_list(*NAMES))


def redetect() -> CorrectionBatch:
    run("backfill_actual_providers", "--redetect")
    return CorrectionBatch.objects.filter(kind="redetect").latest("id")


def test_a_redetect_is_taken_back_whole() -> None:
    record(AZURE, {**AZURE, "account": "b"}, {})
    before = names(), rollups()
    ours("acme")
    batch = redetect()
    assert (batch.logs, batch.delta_nano, batch.reason, batch.actor) == (
        *(2, 0),
        *("detected again", "backfill_actual_providers"),
    )
    assert_equal()
    list(corrections.revert(batch, actor="ann", size=1, at=NOW))

    assert (names(), rollups()) == before
    told = {one.details["to"] for one in UsageAdjustment.objects.filter(kind="revert", delta_nano=0)}
    assert told == {"azure"}
    assert_equal()


def test_names_are_taken_back_last_first() -> None:
    record(AZURE)
    ours("acme")
    first = redetect()
    ours("second", order=1)
    second = redetect()
    assert UsageLog.objects.get().actual_provider_name == "second"

    steps = list(corrections.revert(first, actor="ann", size=10, at=NOW))
    assert [step.skipped.total() for step in steps] == [1]
    list(corrections.revert(second, actor="ann", size=10, at=NOW))
    assert UsageLog.objects.get().actual_provider_name == "acme"
    (adjustment,) = UsageAdjustment.objects.filter(kind="redetect", reverted_by=None)
    corrections.revert_one(adjustment, reason="x", actor="ann", at=NOW)
    assert UsageLog.objects.get().actual_provider_name == "azure"
    assert_equal()


def test_a_name_that_does_not_follow_from_standing_corrections_is_told() -> None:
    record(AZURE)
    ours("acme")
    list(corrections.revert(redetect(), actor="ann", size=10, at=NOW))
    UsageLog.objects.update(actual_provider_name="acme")

    assert "actual_provider_name is acme, should be azure" in run("verify_ledger").out


def test_a_revert_that_is_not_there_is_told() -> None:
    record(AZURE)
    corrections.void(UsageLog.objects.get(), reason="x", actor="ann", at=NOW)
    corrections.revert_one(UsageAdjustment.objects.get(), reason="x", actor="ann", at=NOW)
    UsageAdjustment.objects.filter(kind="revert").delete()

    assert "usage_adjustments" in run("verify_ledger").out


def test_a_first_name_is_no_correction_and_a_stopped_run_goes_on_in_its_batch() -> None:
    record(AZURE, {**AZURE, "account": "b"})
    ours("acme")
    batch = corrections.start(
        kind=UsageAdjustment.Kind.REDETECT,
        choice={"account": None, "since": None, "until": None},
        reason="x",
        actor="ann",
        at=NOW,
    )
    assert redetect() == batch
    assert redetect() != batch
    assert CorrectionBatch.objects.get(pk=batch.pk).logs == 2
