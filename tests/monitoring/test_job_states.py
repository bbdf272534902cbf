"""What is said of a job: how its last run ended, and before that, whether anybody runs it at all."""

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
    one = Job("one", timedelta(hours=1), timedelta(minutes=15), lambda _at: "")
    monkeypatch.setattr(jobs, "registered", lambda: (one,))


def state_of(**run: object) -> tuple[str, bool]:
    JobRun.objects.create(**{"name": "one", "due_at": AT + MINUTE, "started_at": AT - MINUTE, "outcome": "done", **run})
    (found,) = job_states.states(AT)
    return found.state, found.is_bad


@pytest.mark.parametrize(
    ("run", "state", "bad"),
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
def test_being_late_or_killed_counts_more_than_how_the_last_run_ended(
    run: dict[str, object], state: str, bad: bool
) -> None:
    assert state_of(**run) == (state, bad)


def test_a_job_that_no_process_has_seen_was_never_run() -> None:
    (found,) = job_states.states(AT)
    assert (found.name, found.state, found.is_bad, found.run) == ("one", "never", True, None)
