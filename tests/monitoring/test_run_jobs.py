"""`run_jobs`: a due job runs once over all processes, a killed run is repeated, and failures are reported."""

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
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError, call_command
from django.test import Client

from lib import ids, jobs
from monitoring import leases
from monitoring.management.commands import run_jobs
from monitoring.models import JobRun
from tests.proof import children

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


class RecordedJob:
    """A job that records its runs, and raises `error` if it is set."""

    def __init__(self) -> None:
        self.at: list[datetime] = []
        self.error: Exception | None = None

    def __call__(self, at: datetime) -> str:
        self.at.append(at)
        if self.error:
            raise self.error
        return "all swept"


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> RecordedJob:
    job = RecordedJob()
    monkeypatch.setattr(jobs, "_jobs", {})
    jobs.register("sweep", job, interval=HOUR, lease=timedelta(minutes=10))
    return job


def run(at: datetime) -> list[leases.JobResult]:
    return list(leases.run_due(lambda: at))


@pytest.mark.django_db
def test_a_job_is_due_at_once_and_then_after_its_interval(job: RecordedJob) -> None:
    for minutes in (0, 1, 59, 60, 61):
        run(NOON + timedelta(minutes=minutes))

    assert job.at == [NOON, NOON + HOUR]
    row = JobRun.objects.get()
    assert (row.name, row.outcome, row.summary, row.runs, row.failures) == ("sweep", "done", "all swept", 2, 0)
    assert (row.due_at, row.holder, row.leased_until) == (NOON + 2 * HOUR, None, None)


@pytest.mark.django_db
def test_a_leased_job_does_not_run_until_the_lease_ends(job: RecordedJob) -> None:
    JobRun.objects.create(
        name="sweep", due_at=NOON - HOUR, holder=ids.new_id(), leased_until=NOON + timedelta(seconds=1)
    )

    assert run(NOON) == []
    assert job.at == []

    assert [result.outcome for result in run(NOON + timedelta(seconds=1))] == ["done"]


@pytest.mark.django_db
def test_a_job_that_one_process_runs_is_not_run_by_another(job: RecordedJob) -> None:
    concurrent_results: list[list[leases.JobResult]] = []

    def busy(at: datetime) -> str:
        concurrent_results.append(run(at + timedelta(minutes=1)))
        return "done"

    jobs.register("sweep", busy, interval=HOUR, lease=timedelta(minutes=10))
    run(NOON)

    assert concurrent_results == [[]]


@pytest.mark.django_db
def test_a_run_that_outlives_its_lease_does_not_change_its_successors_row(job: RecordedJob) -> None:
    other = ids.new_id()

    def slow(_at: datetime) -> str:
        JobRun.objects.update(holder=other, leased_until=NOON + 2 * HOUR)
        return "late"

    jobs.register("sweep", slow, interval=HOUR)
    run(NOON)

    row = JobRun.objects.get()
    assert (row.holder, row.leased_until, row.runs) == (other, NOON + 2 * HOUR, 0)


@pytest.mark.django_db
def test_a_failed_run_is_reported_and_retried_soon_and_the_next_job_still_runs(job: RecordedJob) -> None:
    job.error = ValueError("no such thing")
    second = RecordedJob()
    jobs.register("second", second, interval=HOUR)

    assert [(result.name, result.outcome) for result in run(NOON)] == [("sweep", "failed"), ("second", "done")]

    row = JobRun.objects.get(name="sweep")
    assert (row.summary, row.failures, row.due_at) == ("ValueError: no such thing", 1, NOON + leases.MAX_RETRY_DELAY)


@pytest.mark.django_db
def test_a_problem_is_reported_and_not_retried_before_the_next_run(job: RecordedJob) -> None:
    job.error = jobs.ProblemFound("3 differences")

    assert run(NOON) == [leases.JobResult("sweep", JobRun.Outcome.TROUBLE, "3 differences")]
    assert JobRun.objects.get().due_at == NOON + HOUR


@pytest.mark.django_db
def test_the_command_prints_one_line_per_job(job: RecordedJob, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("run_jobs", "--once")

    assert capsys.readouterr().out == "sweep: done: all swept\n"


@pytest.mark.django_db
def test_only_the_named_job_runs_due_or_not(job: RecordedJob, capsys: pytest.CaptureFixture[str]) -> None:
    other = RecordedJob()
    jobs.register("other", other, interval=HOUR)
    call_command("run_jobs", "--only", "sweep")
    call_command("run_jobs", "--only", "sweep")
    assert (len(job.at), other.at) == (2, [])
    assert capsys.readouterr().out == "sweep: done: all swept\n" * 2


@pytest.mark.django_db
def test_a_named_job_that_fails_or_runs_already_is_exit_status_1(
    job: RecordedJob, capsys: pytest.CaptureFixture[str], now: datetime
) -> None:
    job.error = jobs.ProblemFound("3 differences")
    with pytest.raises(SystemExit) as failed:
        call_command("run_jobs", "--only", "sweep")
    JobRun.objects.update(leased_until=now + HOUR, holder=ids.new_id())
    with pytest.raises(SystemExit) as running:
        call_command("run_jobs", "--only", "sweep")
    assert (failed.value.code, running.value.code, len(job.at)) == (1, 1, 1)
    assert capsys.readouterr().out == "sweep: problems found: 3 differences\nsweep: another process is running it.\n"


@pytest.mark.django_db
def test_an_unknown_job_is_wrong_usage(job: RecordedJob) -> None:
    with pytest.raises(CommandError, match=r"There is no job 'swep'. The jobs are: sweep.") as error:
        call_command("run_jobs", "--only", "swep")
    assert error.value.returncode == 2
    assert not JobRun.objects.exists()


def test_quick_jobs_do_not_wait_for_a_long_one(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, quick_rounds = threading.Event(), []

    def run_due(_clock: object, *, long: bool) -> list[leases.JobResult]:
        if long:  # a job of three hours: it ends when the test ends
            assert stop.wait(30)
        else:
            quick_rounds.append(1)
            if len(quick_rounds) == 3:
                stop.set()
        return []

    monkeypatch.setattr(leases, "run_due", run_due)
    monkeypatch.setattr(run_jobs, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(run_jobs, "close_old_connections", lambda: None)  # that of other tests
    run_jobs.Command()._loop_lanes(stop)
    assert len(quick_rounds) == 3


@pytest.mark.parametrize("lane", [True, False])
def test_an_unexpected_error_in_a_lane_ends_the_command(monkeypatch: pytest.MonkeyPatch, lane: bool) -> None:
    def run_due(_clock: object, *, long: bool) -> list[leases.JobResult]:
        if long == lane:
            raise ValueError("a fault")
        return []

    monkeypatch.setattr(leases, "run_due", run_due)
    monkeypatch.setattr(run_jobs, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(run_jobs, "close_old_connections", lambda: None)  # that of other tests
    with pytest.raises(ValueError, match="a fault"):
        run_jobs.Command()._loop_lanes(threading.Event())


@pytest.mark.django_db
def test_each_lane_has_its_jobs(job: RecordedJob) -> None:
    long_job = RecordedJob()
    jobs.register("long", long_job, interval=HOUR, lease=timedelta(hours=3))
    assert [result.name for result in leases.run_due(lambda: NOON, long=False)] == ["sweep"]
    assert [result.name for result in leases.run_due(lambda: NOON, long=True)] == ["long"]


def test_alerts_deliveries_and_reservations_are_quick_and_the_ledger_check_is_long() -> None:
    quick = {job.name for job in jobs.registered() if not job.is_long}
    assert {"sweep_alerts", "deliver_alerts", "expire_reservations"} <= quick
    assert not {"verify_ledger", "close_periods", "finish_corrections", "archive_logs"} & quick


@pytest.mark.django_db
def test_an_operator_runs_a_job_now(job: RecordedJob, operator: Client, viewer: Client, now: datetime) -> None:
    for name, leased_until in (("sweep", None), ("busy", now + HOUR)):
        JobRun.objects.create(name=name, due_at=now + HOUR, leased_until=leased_until)
    form = {"action": "run_now", "_selected_action": ["sweep", "busy"]}
    page = viewer.post("/admin/monitoring/jobrun/", form, follow=True)
    assert "Run now" not in page.content.decode()
    assert set(JobRun.objects.values_list("due_at", flat=True)) == {now + HOUR}
    assert not LogEntry.objects.exists()

    page = operator.post("/admin/monitoring/jobrun/", form, follow=True)
    assert "Due now: sweep. A process with run_jobs starts it within seconds." in page.content.decode()
    assert "Already running: busy." in page.content.decode()
    assert dict(JobRun.objects.values_list("name", "due_at")) == {"sweep": now, "busy": now + HOUR}
    assert [(entry.object_id, entry.get_change_message()) for entry in LogEntry.objects.all()] == [
        ("sweep", "Run now.")
    ]
    assert [result.name for result in run(now)] == ["sweep"]


@pytest.mark.django_db
def test_the_admin_shows_the_last_runs(job: RecordedJob, admin_client: Client) -> None:
    job.error = jobs.ProblemFound("3 differences")
    run(NOON)

    page = admin_client.get("/admin/monitoring/jobrun/").content.decode()
    assert '<span class="badge critical">problems found</span>' in page
    assert "3 differences" in page


@pytest.mark.real_clock(reason="runs the command as a process")
@pytest.mark.django_db(transaction=True)
def test_the_loop_runs_the_registered_jobs_and_stops_on_sigterm() -> None:
    """Sends SIGTERM to a child process at a random moment after its first round; the ledger was verified in that round."""
    command = [sys.executable, "manage.py", "run_jobs", "--loop"]
    environment = children.environment()
    with subprocess.Popen(command, cwd=settings.ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        timeout = threading.Timer(60, process.kill)
        timeout.start()
        line = process.stdout.readline()
        pause = random.random()
        children.report(f"SIGTERM {pause:.3f} s after the first line")
        time.sleep(pause)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
        timeout.cancel()
        lines = [line, *process.stdout]
    results = {name: outcome for name, outcome, *_ in (line.split(": ") for line in lines)}
    assert set(results.values()) == {"done"}
