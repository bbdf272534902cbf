"""The state of a job: late or killed comes before the outcome of its last run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lib import jobs
from lib.jobs import Job
from monitoring import job_states
from monitoring.models import JobRun

pytestmark = pytest.mark.django_db
AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _one_job(monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job("one", timedelta(hours=1), timedelta(minutes=15), lambda _at: "")
    monkeypatch.setattr(jobs, "registered", lambda: (job,))


def state_of(**run: object) -> tuple[str, bool]:
    JobRun.objects.create(**{"name": "one", "due_at": AT + MINUTE, "started_at": AT - MINUTE, "outcome": "done", **run})
    (job_state,) = job_states.load_states(AT)
    return job_state.state, job_state.has_problem


@pytest.mark.parametrize(
    ("run", "state", "has_problem"),
    [
        ({}, "ok", False),
        ({"outcome": "trouble"}, "trouble", True),
        ({"outcome": "failed"}, "failed", True),
        ({"due_at": AT - 5 * MINUTE}, "ok", False),
        ({"due_at": AT - 6 * MINUTE}, "late", True),
        ({"due_at": AT - 6 * MINUTE, "outcome": "failed"}, "late", True),
        ({"due_at": AT - 6 * MINUTE, "leased_until": AT + MINUTE}, "running", False),
        ({"due_at": AT - 6 * MINUTE, "leased_until": AT}, "killed", True),
        ({"started_at": None, "outcome": ""}, "never", True),
        ({"started_at": None, "outcome": "", "due_at": AT - 6 * MINUTE}, "late", True),
    ],
)
def test_late_and_killed_come_before_the_last_outcome(run: dict[str, object], state: str, has_problem: bool) -> None:
    assert state_of(**run) == (state, has_problem)


def test_a_long_job_is_not_late_while_another_one_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("quick", "long", "running")
    registered = [Job(name, timedelta(hours=1), timedelta(hours=name != "quick"), lambda _at: "") for name in names]
    monkeypatch.setattr(jobs, "registered", lambda: registered)
    for name in names:
        JobRun.objects.create(name=name, due_at=AT - 6 * MINUTE, started_at=AT - MINUTE, outcome="done")
    JobRun.objects.filter(name="running").update(leased_until=AT + MINUTE)
    states = {state.name: (state.state, state.late_seconds) for state in job_states.load_states(AT)}
    assert states == {"quick": ("late", 360), "long": ("ok", 0), "running": ("running", 0)}

    JobRun.objects.filter(name="running").update(leased_until=None, due_at=AT + MINUTE)
    states = {state.name: (state.state, state.late_seconds) for state in job_states.load_states(AT)}
    assert states == {"quick": ("late", 360), "long": ("late", 360), "running": ("ok", 0)}


def test_a_job_without_a_row_was_never_run() -> None:
    (job_state,) = job_states.load_states(AT)
    assert (job_state.name, job_state.state, job_state.has_problem, job_state.run) == ("one", "never", True, None)
