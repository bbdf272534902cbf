"""The registry behind /readyz: every check is run, and the worst finding counts."""

import pytest

from lib import health
from lib.health import Finding


@pytest.fixture(autouse=True)
def _empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_checks", {})


def test_findings_come_in_the_order_of_registration() -> None:
    health.register("b", lambda: Finding("ok", "fine"))
    health.register("a", lambda: Finding("warning", "late"))
    assert list(health.run().items()) == [("b", Finding("ok", "fine")), ("a", Finding("warning", "late"))]


def test_a_check_that_breaks_is_critical_and_keeps_its_message_to_itself() -> None:
    def broken() -> Finding:
        raise ConnectionError("password=s3cret")

    health.register("broken", broken)
    health.register("next", lambda: Finding("ok", ""))
    assert health.run() == {
        "broken": Finding("critical", "could not be checked: ConnectionError"),
        "next": Finding("ok", ""),
    }


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [([], "ok"), (["ok"], "ok"), (["ok", "warning"], "warning"), (["critical", "warning", "ok"], "critical")],
)
def test_the_worst_finding_counts(statuses: list[health.Status], expected: str) -> None:
    assert health.worst([Finding(status, "") for status in statuses]) == expected
