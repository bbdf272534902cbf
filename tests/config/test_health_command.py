"""`manage.py health` prints one line per check, and exits with the status of the worst."""

from __future__ import annotations

import pytest
from django.core.management import call_command

from lib import readiness
from lib.readiness import CheckResult


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("warning", 1), ("critical", 2)])
def test_the_exit_status_is_that_of_the_worst_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: readiness.CheckStatus, code: int
) -> None:
    monkeypatch.setattr(readiness, "_checks", {})
    readiness.register("fine", lambda: CheckResult("ok", "answers"))
    readiness.register("it", lambda: CheckResult(status, "so it is"))
    with pytest.raises(SystemExit) as exit_info:
        call_command("health")
    assert exit_info.value.code == code
    assert capsys.readouterr().out == f"fine: ok: answers\nit: {status}: so it is\n{status}\n"
