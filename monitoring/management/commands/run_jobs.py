"""`manage.py run_jobs`: the periodic jobs, once (for cron) or for ever (for a service manager)."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import InterfaceError, OperationalError, close_old_connections
from django.utils import timezone

from monitoring import leases

PAUSE = 5  # seconds between two looks at what is due


class Command(BaseCommand):
    help = "Run the periodic jobs that are due. Several processes may do so: each job is leased to one at a time."

    def add_arguments(self, parser: CommandParser) -> None:
        mode = parser.add_mutually_exclusive_group(required=True)
        mode.add_argument("--once", action="store_true", help="Run what is due, then end.")
        mode.add_argument("--loop", action="store_true", help="Go on until SIGTERM or Ctrl-C.")

    def handle(self, *, loop: bool, **_options: Any) -> None:  # noqa: ANN401 - argparse
        stop = threading.Event()
        if not loop:
            self._round(stop)
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        while not stop.is_set():
            close_old_connections()
            try:
                self._round(stop)
            except (OperationalError, InterfaceError) as error:
                self.stderr.write(f"The database does not answer ({type(error).__name__}); the jobs wait for it.")
            stop.wait(PAUSE)

    def _round(self, stop: threading.Event) -> None:
        """What is due now; after a request to stop, nothing more is begun."""
        for ran in leases.run_due(timezone.now):
            self.stdout.write(f"{ran.name}: {ran.outcome.label}: {ran.summary}")
            self.stdout.flush()
            if stop.is_set():
                return
