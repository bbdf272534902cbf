"""Progress, exit status and SIGTERM handling of long-running management commands.

Exit status 0: done; 1: finished with failures, or stopped before the end; 2: wrong usage.
"""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm


def usage_error(message: str) -> CommandError:
    """The exception to raise when the command was called wrongly and did nothing: exit status 2."""
    return CommandError(message, returncode=2)


def finish(command: BaseCommand, line: str, *, failed: bool = False) -> None:
    """Write the closing line, and exit with status 1 if `failed`."""
    command.stdout.write(line)
    if failed:
        sys.exit(1)


class Progress:
    """A progress bar if stderr is a terminal, else one line per batch. SIGTERM sets `stopped`."""

    def __init__(self, command: BaseCommand, unit: str, total: int | None = None) -> None:
        self.command, self.unit, self.total = command, unit, total
        self.done = 0
        self.stopped = False
        self._bar: tqdm[Any] | None = None
        self._previous_handler: Any = None

    def __enter__(self) -> Self:
        if self.command.stderr.isatty():
            self._bar = tqdm(total=self.total, unit=f" {self.unit}", file=sys.stderr)
        if threading.current_thread() is threading.main_thread():
            self._previous_handler = signal.signal(signal.SIGTERM, self._stop)
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._previous_handler is not None:
            signal.signal(signal.SIGTERM, self._previous_handler)

    def skip(self, count: int) -> None:
        """Count what an earlier run has done."""
        self.done += count
        if self._bar is not None:
            self._bar.update(count)

    def add(self, count: int, note: str = "") -> None:
        """Count another batch, which is committed."""
        self.done += count
        if self._bar is not None:
            self._bar.update(count)
            self._bar.set_postfix_str(note)
            return
        total = "" if self.total is None else f" of {self.total}"
        self.command.stderr.write(f"{self.done}{total} {self.unit}{', ' if note else ''}{note}")

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self.stopped = True
