"""The Service page: what somebody on call asks first, answered from what is stored."""

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
from lib.readiness import Finding
from monitoring import health, recorder, request_rows
from monitoring.models import JobRun
from tests.billing.alerted import planned
from tests.billing.usage import record

pytestmark = pytest.mark.django_db
PAGE = "/admin/service/"


@pytest.fixture(autouse=True)
def _measured_anew() -> None:
    health.measured_in.cache_clear()
    provider_health.measured_in.cache_clear()


def page_of(client: Client) -> str:
    """With its white space as a reader sees it."""
    response = client.get(PAGE)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def ran(name: str, outcome: str, summary: str) -> None:
    now = timezone.now()
    JobRun.objects.create(
        name=name, due_at=now + timedelta(hours=1), started_at=now, finished_at=now, outcome=outcome, summary=summary
    )


def test_every_readiness_check_is_told(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        "database": Finding("ok", "answers"),
        "disk": Finding("critical", "full"),
        "lag": Finding("warning", "slow"),
    }
    monkeypatch.setattr(checks, "run", lambda: found)
    page = page_of(viewer)
    assert '<dt>database</dt> <dd><span class="badge ok">ok</span> answers' in page
    assert '<dt>disk</dt> <dd><span class="badge critical">critical</span> full' in page
    assert '<dt>lag</dt> <dd><span class="badge warning">warning</span> slow' in page


def test_ledger_and_detection_are_as_their_jobs_found_them(viewer: Client) -> None:
    ran("verify_ledger", "trouble", "9 rows compared, 1 differences")
    ran("find_undetected", "done", "0 logs not yet detected")
    page = page_of(viewer)
    assert (
        '<dt>Ledger check</dt> <dd> <span class="badge critical">found trouble</span> 9 rows compared, 1 diff' in page
    )
    assert '<dt>Detection</dt> <dd> <span class="badge ok">ok</span> 0 logs not yet detected' in page


def test_jobs_that_nobody_runs_are_told_as_such(viewer: Client) -> None:
    ran("verify_ledger", "done", "fine")
    JobRun.objects.create(name="prune", due_at=timezone.now() - timedelta(hours=1), started_at=timezone.now())
    page = page_of(viewer)
    assert "start manage.py run_jobs --loop beside the server" in page
    assert '<span class="badge unknown">not run yet</span>' in page
    assert '<span class="badge warning">late</span>' in page
    assert f"Jobs: {len(checked()) - 1} need a look" in page


def checked() -> list[Any]:
    from lib import jobs

    return list(jobs.registered())


def test_drops_of_every_process_and_of_this_one(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "none in the last 24 hours, by any process" in page_of(viewer)
    request_rows.store_drops(1_234, timezone.now())
    monkeypatch.setattr(recorder._recorder, "_dropped", 3)
    assert "1,234 in the last 24 hours, by all processes; 3 by this one since it started" in page_of(viewer)


def test_deliveries_that_wait_that_are_overdue_and_that_were_given_up(viewer: Client, account: Account) -> None:
    now = timezone.now()
    one = planned(account, "https://hooks.example.com/")
    Delivery.objects.update(due_at=now)
    assert "1 waiting, none overdue" in page_of(viewer)
    Delivery.objects.update(due_at=now - timedelta(minutes=6))
    assert "1 of 1 waiting are overdue" in page_of(viewer)
    Delivery.objects.update(state="failed", ended_at=now, error="The answer was 500.")
    page = page_of(viewer)
    assert "1 deliveries in the last 90 days" in page
    assert f'href="/admin/billing/delivery/{one.pk}/change/"' in page
    assert "The answer was 500." in page


def test_unknown_fallback_and_unpriced_calls_of_all_accounts(viewer: Client, account: Account) -> None:
    now = timezone.now()
    host = {"provider": "text", "endpoint": "https://nobody-knows.example.com/v1"}
    known = {"event_id": "a", "model": "gpt-4o", "endpoint": "https://api.openai.com/v1/chat/completions"}
    record(account, now, known, {"event_id": "b", "provider": "tavily"}, {"event_id": "c", **host})
    record(account, now - timedelta(days=40), {"event_id": "old", "provider": "tavily"})
    figures = service_figures.figures(now)
    assert (figures.calls, figures.unknown_calls, figures.fallback_calls, figures.unpriced_calls) == (3, 1, 2, 3)
    assert [(one.label, one.calls) for one in figures.fallbacks] == [("Tavily", 1), ("Unknown", 1)]
    page = page_of(viewer)
    assert 'actual_provider=unknown">1</a>' in page
    assert 'priced=no">3</a>' in page


def test_corrections_that_are_not_finished(viewer: Client) -> None:
    assert "all finished" in page_of(viewer)
    CorrectionBatch.objects.create(kind="reprice", choice={}, created_at=timezone.now())
    assert "1 not finished" in page_of(viewer)


def test_who_may_not_see_usage_sees_the_service_alone(client: Client) -> None:
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_jobrun"))
    client.force_login(user)
    page = page_of(client)
    assert "Is this process ready?" in page
    assert "Alert deliveries" not in page
    assert "Provider health" not in page


def test_nothing_measured_is_never_healthy(viewer: Client) -> None:
    assert "Healthy" not in page_of(viewer)
