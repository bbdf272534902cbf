"""Long-running commands: progress as lines or a bar, exit status, and stopping after the current batch."""

from __future__ import annotations

import os
import signal
from io import StringIO

import pytest
from django.core.management.base import BaseCommand

from lib import commands


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def command(err: StringIO) -> BaseCommand:
    return BaseCommand(stdout=StringIO(), stderr=err)


def test_without_a_terminal_each_batch_prints_a_line() -> None:
    err = StringIO()
    with commands.Progress(command(err), "logs", 30) as progress:
        progress.add(10)
        progress.add(20, "to July")

    assert err.getvalue() == "10 of 30 logs\n30 of 30 logs, to July\n"


def test_without_a_total_only_the_finished_count_is_printed() -> None:
    err = StringIO()
    with commands.Progress(command(err), "logs") as progress:
        progress.add(10)

    assert err.getvalue() == "10 logs\n"


def test_on_a_terminal_progress_is_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    err = Terminal()
    with commands.Progress(command(err), "logs", 30) as progress:
        progress.add(30)

    assert err.getvalue() == ""
    assert "30/30" in capsys.readouterr().err


def test_sigterm_stops_after_the_current_batch_and_the_handler_is_restored() -> None:
    before = signal.getsignal(signal.SIGTERM)
    done = []
    with commands.Progress(command(StringIO()), "logs") as progress:
        for batch in range(10):
            if batch == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            done.append(batch)
            progress.add(1)
            if progress.stopped:
                break

    assert (done, progress.done) == ([0, 1, 2, 3], 4)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_failed_command_exits_with_1_after_its_closing_line() -> None:
    out = StringIO()
    with pytest.raises(SystemExit) as exited:
        commands.finish(BaseCommand(stdout=out), "3 refused.", failed=True)

    assert (exited.value.code, out.getvalue()) == (1, "3 refused.\n")


def test_a_usage_error_exits_with_2() -> None:
    assert commands.usage_error("no").returncode == 2
