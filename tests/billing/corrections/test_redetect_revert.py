"""Reverting a redetect batch restores providers, evidence and totals."""

from __future__ import annotations

from typing import Any

import pytest

from billing.corrections import corrections
from billing.models import CorrectionBatch, UsageAdjustment, UsageLog
from providers import rulebook
from providers.models import DetectionRule, Provider
from tests.billing.ledger_rows import NOON, assert_ledger_consistent, record, rollups, run

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at("2026-11-22T12:00")]

AZURE = {"endpoint": "https://acme.openai.azure.com/x"}
DETECTION_COLUMNS = ("event_id", "actual_provider_name", "confidence", "detection_rule", "evidence")


def add_rule(slug: str, order: int = 1000) -> None:
    provider, _ = Provider.objects.get_or_create(slug=slug, defaults={"name": slug})
    DetectionRule.objects.create(
        slug=f"own-{slug}", evidence="host", pattern="acme.openai.azure.com", provider=provider, order=order
    )
    rulebook.invalidate()


def detection_values() -> list[tuple[Any, ...]]:
    return list(UsageLog.objects.order_by("event_id").values_list(*DETECTION_COLUMNS))


def redetect() -> CorrectionBatch:
    run("backfill_actual_providers", "--redetect")
    return CorrectionBatch.objects.filter(kind="redetect").latest("id")


def test_a_redetect_batch_is_reverted_completely() -> None:
    record(AZURE, {**AZURE, "account": "b"}, {})
    before = detection_values(), rollups()
    add_rule("acme")
    batch = redetect()
    assert (batch.logs, batch.delta_nano, batch.reason, batch.actor) == (
        2,
        0,
        "detected again",
        "backfill_actual_providers",
    )
    assert_ledger_consistent()
    list(corrections.revert(batch, actor="ann", size=1, clock=lambda: NOON))

    assert (detection_values(), rollups()) == before
    targets = {adjustment.details["to"] for adjustment in UsageAdjustment.objects.filter(kind="revert", delta_nano=0)}
    assert targets == {"azure"}
    assert_ledger_consistent()


def test_redetects_are_reverted_last_first() -> None:
    record(AZURE)
    add_rule("acme")
    first = redetect()
    add_rule("second", order=1)
    second = redetect()
    assert UsageLog.objects.get().actual_provider_name == "second"

    steps = list(corrections.revert(first, actor="ann", size=10, clock=lambda: NOON))
    assert [step.skipped.total() for step in steps] == [1]
    list(corrections.revert(second, actor="ann", size=10, clock=lambda: NOON))
    assert UsageLog.objects.get().actual_provider_name == "acme"
    (adjustment,) = UsageAdjustment.objects.filter(kind="redetect", reverted_by=None)
    corrections.revert_adjustment(adjustment, reason="x", actor="ann", at=NOON)
    assert UsageLog.objects.get().actual_provider_name == "azure"
    assert_ledger_consistent()


def test_a_provider_that_contradicts_the_corrections_in_force_is_reported() -> None:
    record(AZURE)
    add_rule("acme")
    list(corrections.revert(redetect(), actor="ann", size=10, clock=lambda: NOON))
    UsageLog.objects.update(actual_provider_name="acme")

    assert "actual_provider_name is acme, should be azure" in run("verify_ledger").out


def test_a_missing_revert_is_reported() -> None:
    record(AZURE)
    corrections.void(UsageLog.objects.get(), reason="x", actor="ann", at=NOON)
    corrections.revert_adjustment(UsageAdjustment.objects.get(), reason="x", actor="ann", at=NOON)
    UsageAdjustment.objects.filter(kind="revert").delete()

    assert "usage_adjustments" in run("verify_ledger").out


def test_a_stopped_redetect_continues_in_its_batch() -> None:
    record(AZURE, {**AZURE, "account": "b"})
    add_rule("acme")
    batch = corrections.start(
        kind=UsageAdjustment.Kind.REDETECT,
        choice={"account": None, "since": None, "until": None},
        reason="x",
        actor="ann",
        at=NOON,
    )
    assert redetect() == batch
    assert redetect() != batch
    assert CorrectionBatch.objects.get(pk=batch.pk).logs == 2
