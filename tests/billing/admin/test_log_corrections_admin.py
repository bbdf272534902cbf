"""Void and revert on a log's page: with a reason, by who may; viewers see no button and are refused."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from billing.corrections import corrections, repricing
from billing.corrections.repricing import Choice
from billing.models import Account, CorrectionBatch, UsageAdjustment, UsageLog
from providers import price_edits
from providers.models import Price, PriceRate
from tests.billing.ledger_rows import run
from tests.billing.usage import record

pytestmark = pytest.mark.django_db
LOGS = "/admin/billing/usagelog/"


@pytest.fixture
def recent() -> datetime:
    return timezone.now() - timedelta(hours=1)


@pytest.fixture
def log(account: Account, recent: datetime) -> UsageLog:
    (log,) = record(account, recent, {"model": "gpt-4o", "usage": {"input_tokens": 1000, "output_tokens": 500}})
    return log


def page(client: Client, log: UsageLog) -> str:
    return " ".join(client.get(f"{LOGS}{log.id}/change/").content.decode().split())


def void_path(log: UsageLog) -> str:
    return f"{LOGS}{log.id}/void/"


def revert_path(adjustment: UsageAdjustment) -> str:
    return f"{LOGS}{adjustment.log_id}/revert/{adjustment.id}/"


def void(log: UsageLog, at: datetime) -> UsageAdjustment:
    corrections.void(log, reason="Twice", actor="olga", at=at)
    return UsageAdjustment.objects.get(kind="void")


def messages_of(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def test_an_operator_voids_a_call_with_a_reason(operator: Client, log: UsageLog) -> None:
    assert f'<a href="{void_path(log)}">Void this call</a>' in page(operator, log)
    asked = operator.get(void_path(log)).content.decode()
    assert "<dd>$0.0075</dd>" in asked
    assert UsageAdjustment.objects.count() == 0

    answer = operator.post(void_path(log), {"reason": " Charged\n twice. "}, follow=True)

    assert messages_of(answer) == ["Call e0: voided, from $0.0075 to nothing."]
    told = UsageAdjustment.objects.values_list("kind", "delta_nano", "reason", "actor").get()
    assert told == ("void", -7_500_000, "Charged twice.", "operator")
    shown = page(operator, log)
    assert '<p class="figure">void</p>' in shown
    assert "<td>Charged twice.</td> <td>operator</td>" in shown
    assert void_path(log) not in shown
    assert run("verify_ledger").status == 0


@pytest.mark.parametrize("reason", ["", " \n ", "x" * 501, "a\x00b", "a\x01b"])
def test_without_a_fitting_reason_nothing_changes(operator: Client, log: UsageLog, reason: str) -> None:
    answer: Any = operator.post(void_path(log), {"reason": reason})

    assert (answer.status_code, list(answer.context["form"].errors)) == (200, ["reason"])
    assert (UsageAdjustment.objects.count(), CorrectionBatch.objects.count()) == (0, 0)
    assert UsageLog.objects.get().voided_at is None


def test_voiding_twice_changes_nothing_more(operator: Client, log: UsageLog, recent: datetime) -> None:
    void(log, recent)
    answer = operator.post(void_path(log), {"reason": "Again"}, follow=True)

    assert messages_of(answer) == ["Call e0: voided, from $0.0075 to nothing."]
    assert UsageAdjustment.objects.count() == 1


def test_an_operator_reverts_a_void(operator: Client, log: UsageLog, recent: datetime) -> None:
    adjustment = void(log, recent)
    assert f'href="{revert_path(adjustment)}">Revert</a>' in page(operator, log)
    assert "<dd>voided, from $0.0075 to nothing</dd>" in operator.get(revert_path(adjustment)).content.decode()

    answer = operator.post(revert_path(adjustment), {"reason": "It was one call after all"}, follow=True)

    assert messages_of(answer) == ["Call e0: void taken back, from nothing to $0.0075."]
    log.refresh_from_db()
    assert (log.effective_nano, log.voided_at) == (7_500_000, None)
    shown = page(operator, log)
    assert "<td>reverted</td>" in shown
    assert "/revert/" not in shown
    assert operator.get(revert_path(adjustment)).status_code == 404
    assert run("verify_ledger").status == 0


def test_a_repricing_is_told_with_its_batch_and_reverted(operator: Client, log: UsageLog, recent: datetime) -> None:
    adjustment = reprice(recent)
    shown = page(operator, log)
    batch = f"/admin/billing/correctionbatch/{adjustment.batch}/change/"
    link = f'<a class="declared nowrap" href="{batch}">batch {adjustment.batch}</a>'
    assert f"<td>re-priced, from $0.0075 to $0.001 {link}</td>" in shown
    assert "first <span title=" in shown

    answer = operator.post(revert_path(adjustment), {"reason": "Wrong list"}, follow=True)
    assert messages_of(answer) == ["Call e0: re-pricing taken back, from $0.001 to $0.0075."]


def test_of_a_voided_call_the_void_goes_first(operator: Client, log: UsageLog, recent: datetime) -> None:
    repriced = reprice(recent)
    log.refresh_from_db()
    voided = void(log, recent)
    shown = page(operator, log)

    assert (revert_path(voided) in shown, revert_path(repriced) in shown) == (True, False)
    assert operator.post(revert_path(repriced), {"reason": "x"}).status_code == 404
    assert UsageAdjustment.objects.filter(kind="revert").count() == 0


def test_what_cannot_be_reverted_any_more_says_why(
    operator: Client, log: UsageLog, recent: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    adjustment = void(log, recent)

    def refuse(*_: object, **__: object) -> None:
        raise corrections.NotReverted("It is reverted already.")

    monkeypatch.setattr(corrections, "revert_one", refuse)
    answer = operator.post(revert_path(adjustment), {"reason": "x"}, follow=True)
    assert messages_of(answer) == ["Nothing was reverted. It is reverted already."]


def test_a_viewer_sees_no_button_and_is_refused(viewer: Client, log: UsageLog, recent: datetime) -> None:
    assert void_path(log) not in page(viewer, log)
    assert viewer.get(void_path(log)).status_code == 403
    assert viewer.post(void_path(log), {"reason": "x"}).status_code == 403
    assert UsageAdjustment.objects.count() == 0

    adjustment = void(log, recent)
    assert "/revert/" not in page(viewer, log)
    assert viewer.get(revert_path(adjustment)).status_code == 403
    assert viewer.post(revert_path(adjustment), {"reason": "x"}).status_code == 403
    assert UsageAdjustment.objects.count() == 1


def test_a_stranger_is_asked_to_log_in(client: Client, log: UsageLog) -> None:
    assert client.post(void_path(log), {"reason": "x"}).status_code == 302
    assert UsageAdjustment.objects.count() == 0


def test_what_does_not_exist_is_404(operator: Client, log: UsageLog, recent: datetime) -> None:
    adjustment = void(log, recent)
    nobody = "00000000-0000-0000-0000-000000000000"
    for path in (f"{nobody}/void/", f"{log.id}/revert/{nobody}/", f"{nobody}/revert/{adjustment.id}/"):
        assert operator.post(f"{LOGS}{path}", {"reason": "x"}).status_code == 404
    assert UsageAdjustment.objects.count() == 1


def test_a_reason_is_escaped(operator: Client, log: UsageLog) -> None:
    operator.post(void_path(log), {"reason": "<script>alert(1)</script>"})
    shown = page(operator, log)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "<script>alert(1)" not in shown


def test_the_page_takes_a_fixed_number_of_queries(
    operator: Client, log: UsageLog, recent: datetime, django_assert_num_queries: Any
) -> None:
    page(operator, log)
    # Session, user, log, adjustments, books, account, permissions (own and of groups), and the log for the admin itself.
    for _ in range(3):
        corrections.void(log, reason="Twice", actor="olga", at=recent)
        corrections.revert_one(UsageAdjustment.objects.latest("id"), reason="Mistaken", actor="olga", at=recent)
    with django_assert_num_queries(9):
        page(operator, log)


def reprice(at: datetime) -> UsageAdjustment:
    price = Price.objects.get(provider__slug="openai", pattern="gpt-4o")
    price_edits.record(price=price, rates=[PriceRate(unit="input_tokens", nano_per_million=1_000_000_000)])
    batch = repricing.start(Choice(), reason="New list", actor="olga", at=at)
    list(repricing.go_on(batch, size=100, at=at))
    return UsageAdjustment.objects.get(kind="reprice")
