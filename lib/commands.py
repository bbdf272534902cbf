"""How long-running commands behave: their progress, their exit status, and stopping between two batches on SIGTERM.

Exit status 0: done; 1: finished with failures, or stopped before the end; 2: bad use. Called by management commands.
"""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm


def bad_use(message: str) -> CommandError:
    """What to raise when the command was called wrongly: nothing was done, exit status 2."""
    return CommandError(message, returncode=2)


def close(command: BaseCommand, line: str, *, failed: bool = False) -> None:
    """The closing line with its counts, and exit status 1 where something failed."""
    command.stdout.write(line)
    if failed:
        sys.exit(1)


class Progress:
    """A bar on stderr when that is a terminal, else one line a batch; `stopped` once SIGTERM has asked for an end."""

    def __init__(self, command: BaseCommand, unit: str, total: int | None = None) -> None:
        self.command, self.unit, self.total = command, unit, total
        self.done = 0
        self.stopped = False
        self._bar: tqdm[Any] | None = None
        self._before: Any = None

    def __enter__(self) -> Self:
        if self.command.stderr.isatty():
            self._bar = tqdm(total=self.total, unit=f" {self.unit}", file=sys.stderr)
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def add(self, count: int, note: str = "") -> None:
        """Another batch is done, and committed."""
        self.done += count
        if self._bar is not None:
            self._bar.update(count)
            self._bar.set_postfix_str(note)
            return
        of = "" if self.total is None else f" of {self.total}"
        self.command.stderr.write(f"{self.done}{of} {self.unit}{', ' if note else ''}{note}")

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self.stopped = True
