"""`run_jobs`: what is due runs once, whoever asks; a killed run is repeated; bad news is told."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client

from lib import ids, jobs
from monitoring import leases
from monitoring.models import JobRun
from tests.proof import children

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Work:
    """A job that counts its runs, and ends as it is told to."""

    def __init__(self) -> None:
        self.at: list[datetime] = []
        self.error: Exception | None = None

    def __call__(self, at: datetime) -> str:
        self.at.append(at)
        if self.error:
            raise self.error
        return "all swept"


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    work = Work()
    monkeypatch.setattr(jobs, "_jobs", {})
    jobs.register("sweep", work, every=HOUR, lease=timedelta(minutes=10))
    return work


def run(at: datetime) -> list[leases.Ran]:
    return list(leases.run_due(lambda: at))


@pytest.mark.django_db
def test_a_job_is_due_at_once_and_then_after_its_interval(work: Work) -> None:
    for minutes in (0, 1, 59, 60, 61):
        run(NOW + timedelta(minutes=minutes))

    assert work.at == [NOW, NOW + HOUR]
    row = JobRun.objects.get()
    assert (row.name, row.outcome, row.summary, row.runs, row.failures) == ("sweep", "done", "all swept", 2, 0)
    assert (row.due_at, row.holder, row.leased_until) == (NOW + 2 * HOUR, None, None)


@pytest.mark.django_db
def test_a_leased_job_is_left_alone_until_the_lease_is_over(work: Work) -> None:
    JobRun.objects.create(name="sweep", due_at=NOW - HOUR, holder=ids.new_id(), leased_until=NOW + timedelta(seconds=1))

    assert run(NOW) == []
    assert work.at == []

    assert [ran.outcome for ran in run(NOW + timedelta(seconds=1))] == ["done"]


@pytest.mark.django_db
def test_while_one_process_runs_it_another_does_not(work: Work) -> None:
    meanwhile: list[list[leases.Ran]] = []

    def busy(at: datetime) -> str:
        meanwhile.append(run(at + timedelta(minutes=1)))
        return "done"

    jobs.register("sweep", busy, every=HOUR, lease=timedelta(minutes=10))
    run(NOW)

    assert meanwhile == [[]]


@pytest.mark.django_db
def test_a_run_that_outlived_its_lease_does_not_touch_the_one_that_took_over(work: Work) -> None:
    other = ids.new_id()

    def slow(_at: datetime) -> str:
        JobRun.objects.update(holder=other, leased_until=NOW + 2 * HOUR)
        return "late"

    jobs.register("sweep", slow, every=HOUR)
    run(NOW)

    row = JobRun.objects.get()
    assert (row.holder, row.leased_until, row.runs) == (other, NOW + 2 * HOUR, 0)


@pytest.mark.django_db
def test_a_fault_is_told_tried_again_soon_and_does_not_stop_the_next_job(work: Work) -> None:
    work.error = ValueError("no such thing")
    second = Work()
    jobs.register("second", second, every=HOUR)

    assert [(ran.name, ran.outcome) for ran in run(NOW)] == [("sweep", "failed"), ("second", "done")]

    row = JobRun.objects.get(name="sweep")
    assert (row.summary, row.failures, row.due_at) == ("ValueError: no such thing", 1, NOW + leases.AGAIN)


@pytest.mark.django_db
def test_trouble_is_told_and_waits_for_the_next_turn(work: Work) -> None:
    work.error = jobs.Trouble("3 differences")

    assert run(NOW) == [leases.Ran("sweep", JobRun.Outcome.TROUBLE, "3 differences")]
    assert JobRun.objects.get().due_at == NOW + HOUR


@pytest.mark.django_db
def test_the_command_tells_a_line_a_job(work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("run_jobs", "--once")

    assert capsys.readouterr().out == "sweep: done: all swept\n"


@pytest.mark.django_db
def test_the_last_runs_are_seen_in_the_admin(work: Work, admin_client: Client) -> None:
    work.error = jobs.Trouble("3 differences")
    run(NOW)

    page = admin_client.get("/admin/monitoring/jobrun/").content.decode()
    assert '<span class="badge critical">found trouble</span>' in page
    assert "3 differences" in page


@pytest.mark.real_clock(reason="runs the command as a process")
@pytest.mark.django_db(transaction=True)
def test_the_loop_runs_what_is_registered_and_stops_on_sigterm() -> None:
    """A process of its own, ended at a random moment after its first round: SIGTERM ends it, and the ledger was verified."""
    command = [sys.executable, "manage.py", "run_jobs", "--loop"]
    environment = children.environment()
    with subprocess.Popen(command, cwd=settings.ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        at_most = threading.Timer(60, process.kill)
        at_most.start()
        line = process.stdout.readline()
        pause = random.random()
        children.tell(f"SIGTERM {pause:.3f} s after the first line")
        time.sleep(pause)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
        at_most.cancel()
    assert line.startswith("verify_ledger: done: ")
