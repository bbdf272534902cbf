"""The registry behind /readyz: every check is run, each within its time, and the worst finding counts."""

import threading
from datetime import timedelta

import pytest

from lib import readiness
from lib.readiness import Finding


@pytest.fixture(autouse=True)
def _empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_checks", {})
    monkeypatch.setattr(readiness, "_running", {})


def test_findings_come_in_the_order_of_registration() -> None:
    readiness.register("b", lambda: Finding("ok", "fine"))
    readiness.register("a", lambda: Finding("warning", "late"))
    assert list(readiness.run().items()) == [("b", Finding("ok", "fine")), ("a", Finding("warning", "late"))]


def test_a_check_that_breaks_is_critical_and_keeps_its_message_to_itself() -> None:
    def broken() -> Finding:
        raise ConnectionError("password=s3cret")

    readiness.register("broken", broken)
    readiness.register("next", lambda: Finding("ok", ""))
    assert readiness.run() == {
        "broken": Finding("critical", "could not be checked: ConnectionError"),
        "next": Finding("ok", ""),
    }


def test_a_check_that_hangs_is_critical_holds_one_thread_and_is_well_again_afterwards() -> None:
    over, runs = threading.Event(), []

    def hanging() -> Finding:
        runs.append(threading.current_thread())
        over.wait(30)
        return Finding("ok", "at last")

    readiness.register("hanging", hanging, limit=timedelta(milliseconds=50))
    readiness.register("next", lambda: Finding("ok", "fine"))
    late = {"hanging": Finding("critical", "no answer in time"), "next": Finding("ok", "fine")}
    assert [readiness.run() for _ in range(3)] == [late, late, late]
    assert len(runs) == 1

    over.set()
    runs[0].join()
    assert readiness.run()["hanging"] == Finding("ok", "at last")


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [([], "ok"), (["ok"], "ok"), (["ok", "warning"], "warning"), (["critical", "warning", "ok"], "critical")],
)
def test_the_worst_finding_counts(statuses: list[readiness.Status], expected: str) -> None:
    assert readiness.worst([Finding(status, "") for status in statuses]) == expected
