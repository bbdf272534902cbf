"""`manage.py run_jobs`: runs the periodic jobs once (for cron) or for ever (for a service manager)."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import InterfaceError, OperationalError, close_old_connections
from django.utils import timezone

from monitoring import leases

PAUSE_SECONDS = 5  # between two checks for due jobs


class Command(BaseCommand):
    help = "Run the periodic jobs that are due. Several processes may run this: each job runs in one process at a time."

    def add_arguments(self, parser: CommandParser) -> None:
        mode = parser.add_mutually_exclusive_group(required=True)
        mode.add_argument("--once", action="store_true", help="Run the due jobs, then exit.")
        mode.add_argument("--loop", action="store_true", help="Run until SIGTERM or Ctrl-C.")

    def handle(self, *, loop: bool, **_options: Any) -> None:  # noqa: ANN401 - argparse
        stop = threading.Event()
        if not loop:
            self._run_due(stop)
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        while not stop.is_set():
            close_old_connections()
            try:
                self._run_due(stop)
            except (OperationalError, InterfaceError) as error:
                self.stderr.write(
                    f"The database does not answer ({type(error).__name__}); trying again in {PAUSE_SECONDS} seconds."
                )
            stop.wait(PAUSE_SECONDS)

    def _run_due(self, stop: threading.Event) -> None:
        """Run the due jobs; after a request to stop, start no further job."""
        for result in leases.run_due(timezone.now):
            self.stdout.write(f"{result.name}: {result.outcome.label}: {result.summary}")
            self.stdout.flush()
            if stop.is_set():
                return
