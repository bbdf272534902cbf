"""Void and revert on a log's page: a reason is required, and viewers see no button and are refused."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from billing.corrections import corrections, repricing
from billing.corrections.repricing import RepricingChoice
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


def log_page(client: Client, log: UsageLog) -> str:
    return " ".join(client.get(f"{LOGS}{log.id}/change/").content.decode().split())


def void_path(log: UsageLog) -> str:
    return f"{LOGS}{log.id}/void/"


def revert_path(adjustment: UsageAdjustment) -> str:
    return f"{LOGS}{adjustment.log_id}/revert/{adjustment.id}/"


def void(log: UsageLog, at: datetime) -> UsageAdjustment:
    corrections.void(log, reason="Twice", actor="olga", at=at)
    return UsageAdjustment.objects.get(kind="void")


def messages(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def test_an_operator_voids_a_call_with_a_reason(operator: Client, log: UsageLog) -> None:
    assert f'<a href="{void_path(log)}">Void call</a>' in log_page(operator, log)
    confirmation = operator.get(void_path(log)).content.decode()
    assert "<dd>$0.0075</dd>" in confirmation
    assert UsageAdjustment.objects.count() == 0

    response = operator.post(void_path(log), {"reason": " Charged\n twice. "}, follow=True)

    assert messages(response) == ["Call e0: voided, from $0.0075 to nothing."]
    correction = UsageAdjustment.objects.values_list("kind", "delta_nano", "reason", "actor").get()
    assert correction == ("void", -7_500_000, "Charged twice.", "operator")
    page = log_page(operator, log)
    assert '<p class="figure">voided</p>' in page
    assert "<td>Charged twice.</td> <td>operator</td>" in page
    assert void_path(log) not in page
    assert run("verify_ledger").status == 0


@pytest.mark.parametrize("reason", ["", " \n ", "x" * 501, "a\x00b", "a\x01b"])
def test_a_void_without_a_valid_reason_changes_nothing(operator: Client, log: UsageLog, reason: str) -> None:
    response: Any = operator.post(void_path(log), {"reason": reason})

    assert (response.status_code, list(response.context["form"].errors)) == (200, ["reason"])
    assert (UsageAdjustment.objects.count(), CorrectionBatch.objects.count()) == (0, 0)
    assert UsageLog.objects.get().voided_at is None


def test_voiding_a_call_twice_changes_nothing_more(operator: Client, log: UsageLog, recent: datetime) -> None:
    void(log, recent)
    response = operator.post(void_path(log), {"reason": "Again"}, follow=True)

    assert messages(response) == ["Call e0: voided, from $0.0075 to nothing."]
    assert UsageAdjustment.objects.count() == 1


def test_an_operator_reverts_a_void(operator: Client, log: UsageLog, recent: datetime) -> None:
    adjustment = void(log, recent)
    assert f'href="{revert_path(adjustment)}">Revert</a>' in log_page(operator, log)
    assert "<dd>voided, from $0.0075 to nothing</dd>" in operator.get(revert_path(adjustment)).content.decode()

    response = operator.post(revert_path(adjustment), {"reason": "It was one call after all"}, follow=True)

    assert messages(response) == ["Call e0: void reverted, from nothing to $0.0075."]
    log.refresh_from_db()
    assert (log.effective_nano, log.voided_at) == (7_500_000, None)
    page = log_page(operator, log)
    assert "<td>reverted</td>" in page
    assert "/revert/" not in page
    assert operator.get(revert_path(adjustment)).status_code == 404
    assert run("verify_ledger").status == 0


def test_a_repricing_is_shown_with_its_batch_and_reverted(operator: Client, log: UsageLog, recent: datetime) -> None:
    adjustment = reprice(recent)
    page = log_page(operator, log)
    batch = f"/admin/billing/correctionbatch/{adjustment.batch}/change/"
    link = f'<a class="declared nowrap" href="{batch}">batch {adjustment.batch}</a>'
    assert f"<td>re-priced, from $0.0075 to $0.001 {link}</td>" in page
    assert "originally <span title=" in page

    response = operator.post(revert_path(adjustment), {"reason": "Wrong list"}, follow=True)
    assert messages(response) == ["Call e0: re-pricing reverted, from $0.001 to $0.0075."]


def test_a_void_must_be_reverted_before_the_repricing(operator: Client, log: UsageLog, recent: datetime) -> None:
    repriced = reprice(recent)
    log.refresh_from_db()
    voided = void(log, recent)
    page = log_page(operator, log)

    assert (revert_path(voided) in page, revert_path(repriced) in page) == (True, False)
    assert operator.post(revert_path(repriced), {"reason": "x"}).status_code == 404
    assert UsageAdjustment.objects.filter(kind="revert").count() == 0


def test_a_refused_revert_says_why(
    operator: Client, log: UsageLog, recent: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    adjustment = void(log, recent)

    def refuse(*_: object, **__: object) -> None:
        raise corrections.NotReverted("It is reverted already.")

    monkeypatch.setattr(corrections, "revert_adjustment", refuse)
    response = operator.post(revert_path(adjustment), {"reason": "x"}, follow=True)
    assert messages(response) == ["Nothing was reverted. It is reverted already."]


def test_a_viewer_sees_no_button_and_is_refused(viewer: Client, log: UsageLog, recent: datetime) -> None:
    assert void_path(log) not in log_page(viewer, log)
    assert viewer.get(void_path(log)).status_code == 403
    assert viewer.post(void_path(log), {"reason": "x"}).status_code == 403
    assert UsageAdjustment.objects.count() == 0

    adjustment = void(log, recent)
    assert "/revert/" not in log_page(viewer, log)
    assert viewer.get(revert_path(adjustment)).status_code == 403
    assert viewer.post(revert_path(adjustment), {"reason": "x"}).status_code == 403
    assert UsageAdjustment.objects.count() == 1


def test_an_anonymous_user_must_log_in(client: Client, log: UsageLog) -> None:
    assert client.post(void_path(log), {"reason": "x"}).status_code == 302
    assert UsageAdjustment.objects.count() == 0


def test_an_unknown_log_or_correction_is_404(operator: Client, log: UsageLog, recent: datetime) -> None:
    adjustment = void(log, recent)
    unknown_id = "00000000-0000-0000-0000-000000000000"
    for path in (f"{unknown_id}/void/", f"{log.id}/revert/{unknown_id}/", f"{unknown_id}/revert/{adjustment.id}/"):
        assert operator.post(f"{LOGS}{path}", {"reason": "x"}).status_code == 404
    assert UsageAdjustment.objects.count() == 1


def test_a_reason_is_escaped(operator: Client, log: UsageLog) -> None:
    operator.post(void_path(log), {"reason": "<script>alert(1)</script>"})
    page = log_page(operator, log)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert(1)" not in page


def test_the_page_takes_a_fixed_number_of_queries(
    operator: Client, log: UsageLog, recent: datetime, django_assert_num_queries: Any
) -> None:
    log_page(operator, log)
    # Session, user, log, adjustments, catalog versions, account, permissions (user, groups), and the log for the admin.
    for _ in range(3):
        corrections.void(log, reason="Twice", actor="olga", at=recent)
        corrections.revert_adjustment(UsageAdjustment.objects.latest("id"), reason="Mistaken", actor="olga", at=recent)
    with django_assert_num_queries(9):
        log_page(operator, log)


def reprice(at: datetime) -> UsageAdjustment:
    price = Price.objects.get(provider__slug="openai", pattern="gpt-4o")
    price_edits.add_revision(price=price, rates=[PriceRate(unit="input_tokens", nano_per_million=1_000_000_000)])
    batch = repricing.start(RepricingChoice(), reason="New list", actor="olga", at=at)
    list(repricing.run(batch, size=100, clock=lambda: at))
    return UsageAdjustment.objects.get(kind="reprice")
