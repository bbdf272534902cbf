"""`manage.py prune` and its jobs: rows past their retention are deleted in batches; `--dry-run` changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

import billing.ledger.retention
import monitoring.retention
from billing.models import ErasureCursor, ProviderMinute, UsageLog
from lib import jobs
from monitoring import request_rows
from monitoring.models import ApiRequest, RequestMinute
from tests.billing.ledger_rows import CommandResult, record, run
from tests.monitoring.conftest import entry

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
PERSONAL = {"ip_address": "192.0.2.1", "user_agent": "x"}


def prune(*options: str, at: datetime = NOON) -> CommandResult:
    with time_machine.travel(at, tick=False):
        return run("prune", *options)


@pytest.fixture
def rows_of_all_ages() -> None:
    """Creates requests and minutes just within and just past each retention."""
    ages = [timedelta(0), 30 * DAY, 30 * DAY + timedelta(seconds=1), 90 * DAY, 90 * DAY + timedelta(minutes=1)]
    request_rows.store(request_rows.build_batch([entry(NOON - age) for age in ages]))
    for age in (89 * DAY, 91 * DAY):
        ProviderMinute.objects.create(minute=NOON - age, actual="openai", slot=0, calls=1)


@pytest.mark.usefixtures("rows_of_all_ages")
def test_requests_are_deleted_after_30_days_and_minutes_after_90() -> None:
    assert prune().out == (
        "Removed: 3 requests, 1 minutes of requests, 1 hours of requests, 0 logs with an address or user agent, "
        "1 minutes of providers, 0 logs of closed periods.\n"
    )
    assert list(ApiRequest.objects.values_list("at", flat=True)) == [NOON, NOON - 30 * DAY]
    assert RequestMinute.objects.count() == 4
    assert ProviderMinute.objects.get().minute == NOON - 89 * DAY


@pytest.mark.usefixtures("rows_of_all_ages")
def test_a_dry_run_lists_what_would_be_deleted() -> None:
    result = prune("--dry-run")
    assert result.lines == [
        "3 requests older than 30 days",
        "1 minutes of requests older than 90 days",
        "1 hours of requests older than 90 days",
        "0 logs with an address or user agent older than 90 days",
        "1 minutes of providers older than 90 days",
        "0 logs of closed periods (kept for ever)",
        "Nothing was changed.",
    ]
    assert (ApiRequest.objects.count(), RequestMinute.objects.count(), ProviderMinute.objects.count()) == (5, 5, 2)


@pytest.mark.usefixtures("rows_of_all_ages")
def test_0_keeps_for_ever(settings: Any) -> None:
    settings.KEEP_REQUESTS_DAYS = settings.KEEP_MINUTES_DAYS = settings.KEEP_ADDRESSES_DAYS = 0
    assert prune("--dry-run").lines[0] == "0 requests (kept for ever)"
    prune()
    assert (ApiRequest.objects.count(), RequestMinute.objects.count(), ProviderMinute.objects.count()) == (5, 5, 2)


def test_addresses_are_erased_90_days_after_receipt_and_a_retry_is_still_a_duplicate() -> None:
    received_at = timezone.now()
    events = [PERSONAL, {"ip_address": "192.0.2.1"}, {"user_agent": "x"}, {}]
    first = record(*events)

    assert prune(at=received_at + 90 * DAY - DAY).out.endswith("0 minutes of providers, 0 logs of closed periods.\n")
    assert UsageLog.objects.exclude(ip_address="").count() == 2

    later = received_at + 91 * DAY
    assert prune("--dry-run", at=later).lines[3] == "3 logs with an address or user agent older than 90 days"
    assert "3 logs with an address" in prune(at=later).out
    assert UsageLog.objects.filter(ip_address="", user_agent="").count() == 4
    assert prune("--dry-run", at=later).lines[3].startswith("0 logs")
    assert [(result.status, result.log_id) for result in record(*events)] == [
        ("duplicate", result.log_id) for result in first
    ]


def test_logs_already_examined_are_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(billing.ledger.retention, "BATCH_ROWS", 2)
    record(*[PERSONAL] * 3)
    at = timezone.now() + 91 * DAY
    assert billing.ledger.retention.prune(at) == "3 logs with an address or user agent, 0 minutes of providers erased"
    assert ErasureCursor.objects.get().log == max(UsageLog.objects.values_list("id", flat=True))

    UsageLog.objects.update(user_agent="came back")
    assert billing.ledger.retention.prune(at).startswith("0 logs")


def test_a_job_deletes_a_limited_number_of_batches_and_the_next_run_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitoring.retention, "BATCH_ROWS", 2)
    monkeypatch.setattr("lib.retention.delete_due.__kwdefaults__", {"batches": 2})
    request_rows.store(request_rows.build_batch([entry(NOON - 31 * DAY)] * 5))
    assert monitoring.retention.prune(NOON) == "4 requests, 0 minutes of requests, 0 hours of requests deleted"
    assert monitoring.retention.prune(NOON) == "1 requests, 0 minutes of requests, 0 hours of requests deleted"


def test_both_functions_are_registered_as_jobs() -> None:
    by_name = {job.name: job for job in jobs.registered()}
    assert by_name["prune_requests"].run is monitoring.retention.prune
    assert by_name["erase_addresses"].run is billing.ledger.retention.prune
