"""The Service page: readiness, jobs, deliveries, detection and corrections for the person on call."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from billing.dashboards import service_figures
from billing.models import Account, CorrectionBatch, Delivery
from billing.reports import provider_health
from lib import readiness as checks
from lib.readiness import CheckResult
from monitoring import health, recorder, request_rows
from monitoring.models import JobRun
from tests.billing.alert_rows import enqueue_delivery
from tests.billing.usage import record

pytestmark = pytest.mark.django_db
PAGE = "/admin/service/"


@pytest.fixture(autouse=True)
def _fresh_measurements() -> None:
    health.measure_cached.cache_clear()
    provider_health.measure_cached.cache_clear()


def get_page(client: Client) -> str:
    """The HTML of the page, with white space collapsed."""
    response = client.get(PAGE)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def create_run(name: str, outcome: str, summary: str) -> None:
    now = timezone.now()
    JobRun.objects.create(
        name=name, due_at=now + timedelta(hours=1), started_at=now, finished_at=now, outcome=outcome, summary=summary
    )


def test_every_readiness_check_is_shown(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    results = {
        "database": CheckResult("ok", "reachable"),
        "disk": CheckResult("critical", "full"),
        "lag": CheckResult("warning", "slow"),
    }
    monkeypatch.setattr(checks, "run_checks", lambda: results)
    page = get_page(viewer)
    assert '<dt>database</dt> <dd><span class="badge ok">ok</span> reachable' in page
    assert '<dt>disk</dt> <dd><span class="badge critical">critical</span> full' in page
    assert '<dt>lag</dt> <dd><span class="badge warning">warning</span> slow' in page


def test_ledger_and_detection_show_the_results_of_their_jobs(viewer: Client) -> None:
    create_run("verify_ledger", "trouble", "9 rows compared, 1 differences")
    create_run("find_undetected", "done", "0 logs not yet detected")
    page = get_page(viewer)
    assert (
        '<dt>Ledger check</dt> <dd> <span class="badge critical">problems found</span> 9 rows compared, 1 diff' in page
    )
    assert '<dt>Detection</dt> <dd> <span class="badge ok">ok</span> 0 logs not yet detected' in page


def test_jobs_that_are_never_run_or_late_are_reported(viewer: Client) -> None:
    create_run("verify_ledger", "done", "fine")
    JobRun.objects.create(name="prune", due_at=timezone.now() - timedelta(hours=1), started_at=timezone.now())
    page = get_page(viewer)
    assert "Start manage.py run_jobs --loop alongside the server." in page
    assert '<span class="badge unknown">not run yet</span>' in page
    assert '<span class="badge warning">late</span>' in page
    assert f"Jobs: {len(registered_jobs()) - 1} need attention" in page


def registered_jobs() -> list[Any]:
    from lib import jobs

    return list(jobs.registered())


def test_drops_of_all_processes_and_of_this_process_are_shown(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "none in the last 24 hours, in any process" in get_page(viewer)
    request_rows.store_drops(1_234, timezone.now())
    monkeypatch.setattr(recorder._recorder, "_dropped", 3)
    assert "1,234 in the last 24 hours, in all processes; 3 in this process since it started" in get_page(viewer)


def test_pending_overdue_and_failed_deliveries_are_shown(viewer: Client, account: Account) -> None:
    now = timezone.now()
    delivery = enqueue_delivery(account, "https://hooks.example.com/")
    Delivery.objects.update(due_at=now)
    assert "1 pending, none overdue" in get_page(viewer)
    Delivery.objects.update(due_at=now - timedelta(minutes=6))
    assert "1 of 1 pending is overdue" in get_page(viewer)
    Delivery.objects.update(state="failed", ended_at=now, error="The response status was 500.")
    page = get_page(viewer)
    assert '<span class="badge warning">failed</span> 1 in the last 90 days' in page
    assert f'href="/admin/billing/delivery/{delivery.pk}/change/"' in page
    assert "The response status was 500." in page


def test_unknown_fallback_and_unpriced_calls_are_counted_over_all_accounts(viewer: Client, account: Account) -> None:
    now = timezone.now()
    unknown_host = {"provider": "text", "endpoint": "https://nobody-knows.example.com/v1"}
    known = {"event_id": "a", "model": "gpt-4o", "endpoint": "https://api.openai.com/v1/chat/completions"}
    record(account, now, known, {"event_id": "b", "provider": "tavily"}, {"event_id": "c", **unknown_host})
    record(account, now - timedelta(days=40), {"event_id": "old", "provider": "tavily"})
    figures = service_figures.figures(now)
    assert (figures.calls, figures.unknown_calls, figures.fallback_calls, figures.unpriced_calls) == (3, 1, 2, 3)
    assert [(fallback.label, fallback.calls) for fallback in figures.fallbacks] == [("Tavily", 1), ("Unknown", 1)]
    page = get_page(viewer)
    assert 'actual_provider=unknown">1</a>' in page
    assert 'priced=no">3</a>' in page


def test_unfinished_corrections_are_shown(viewer: Client) -> None:
    assert "all finished" in get_page(viewer)
    CorrectionBatch.objects.create(kind="reprice", choice={}, created_at=timezone.now())
    assert "1 unfinished" in get_page(viewer)


def test_without_permission_to_view_usage_only_the_service_is_shown(client: Client) -> None:
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_jobrun"))
    client.force_login(user)
    page = get_page(client)
    assert "Is this process ready?" in page
    assert "Alert deliveries" not in page
    assert "Provider health" not in page


def test_without_a_measurement_nothing_is_healthy(viewer: Client) -> None:
    assert "Healthy" not in get_page(viewer)
