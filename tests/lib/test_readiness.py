"""The checks behind /readyz: every check runs within its timeout, and the worst status counts."""

import threading
from datetime import timedelta

import pytest

from lib import readiness
from lib.readiness import CheckResult


@pytest.fixture(autouse=True)
def _empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_checks", {})
    monkeypatch.setattr(readiness, "_running", {})


def test_results_are_in_order_of_registration() -> None:
    readiness.register("b", lambda: CheckResult("ok", "fine"))
    readiness.register("a", lambda: CheckResult("warning", "late"))
    assert list(readiness.run_checks().items()) == [
        ("b", CheckResult("ok", "fine")),
        ("a", CheckResult("warning", "late")),
    ]


def test_a_check_that_raises_is_critical_and_its_message_is_not_shown() -> None:
    def broken() -> CheckResult:
        raise ConnectionError("password=s3cret")

    readiness.register("broken", broken)
    readiness.register("next", lambda: CheckResult("ok", ""))
    assert readiness.run_checks() == {
        "broken": CheckResult("critical", "could not be checked: ConnectionError"),
        "next": CheckResult("ok", ""),
    }


def test_a_check_that_hangs_is_critical_uses_one_thread_and_recovers() -> None:
    released, runs = threading.Event(), []

    def hanging() -> CheckResult:
        runs.append(threading.current_thread())
        released.wait(30)
        return CheckResult("ok", "at last")

    readiness.register("hanging", hanging, timeout=timedelta(milliseconds=50))
    readiness.register("next", lambda: CheckResult("ok", "fine"))
    late = {"hanging": CheckResult("critical", "no answer in time"), "next": CheckResult("ok", "fine")}
    assert [readiness.run_checks() for _ in range(3)] == [late, late, late]
    assert len(runs) == 1

    released.set()
    runs[0].join()
    assert readiness.run_checks()["hanging"] == CheckResult("ok", "at last")


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [([], "ok"), (["ok"], "ok"), (["ok", "warning"], "warning"), (["critical", "warning", "ok"], "critical")],
)
def test_the_worst_status_counts(statuses: list[readiness.CheckStatus], expected: str) -> None:
    assert readiness.worst_status([CheckResult(status, "") for status in statuses]) == expected
