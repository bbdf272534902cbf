"""`manage.py health` prints a line a check, and its exit status is what the worst of them says."""

from __future__ import annotations

import pytest
from django.core.management import call_command

from lib import readiness
from lib.readiness import Finding


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("warning", 1), ("critical", 2)])
def test_the_exit_status_says_the_worst(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: readiness.Status, code: int
) -> None:
    monkeypatch.setattr(readiness, "_checks", {})
    readiness.register("fine", lambda: Finding("ok", "answers"))
    readiness.register("it", lambda: Finding(status, "so it is"))
    with pytest.raises(SystemExit) as ended:
        call_command("health")
    assert ended.value.code == code
    assert capsys.readouterr().out == f"fine: ok: answers\nit: {status}: so it is\n{status}\n"
