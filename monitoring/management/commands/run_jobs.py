"""`manage.py run_jobs`: runs the periodic jobs once (for cron) or for ever (for a service manager), or one of them now."""

import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import InterfaceError, OperationalError, close_old_connections, connections
from django.utils import timezone

from lib import commands, jobs
from monitoring import leases
from monitoring.leases import JobResult
from monitoring.models import JobRun

PAUSE_SECONDS = 5  # between two checks for due jobs


class Command(BaseCommand):
    help = "Run the periodic jobs that are due. Several processes may run this: each job runs in one process at a time."

    def add_arguments(self, parser: CommandParser) -> None:
        mode = parser.add_mutually_exclusive_group(required=True)
        mode.add_argument("--once", action="store_true", help="Run the due jobs, then exit.")
        mode.add_argument("--loop", action="store_true", help="Run until SIGTERM or Ctrl-C.")
        mode.add_argument("--only", metavar="NAME", help="Run this job now, due or not, then exit.")

    def handle(self, *, loop: bool, only: str | None, **_options: Any) -> None:  # noqa: ANN401 - argparse
        stop = threading.Event()
        if only:
            self._run_now(only)
        elif loop:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stop.set())
            self._loop_lanes(stop)
        else:
            self._run_due(stop, long=False)  # one after the other: cron starts another process for the next due jobs
            self._run_due(stop, long=True)

    def _run_now(self, name: str) -> None:
        try:
            result = leases.run_now(name, timezone.now)
        except KeyError:
            names = ", ".join(sorted(job.name for job in jobs.registered()))
            raise commands.usage_error(f"There is no job {name!r}. The jobs are: {names}.") from None
        if result is None:
            commands.finish(self, f"{name}: another process is running it.", failed=True)
            return
        self._print(result)
        if result.outcome != JobRun.Outcome.DONE:
            sys.exit(1)

    def _loop_lanes(self, stop: threading.Event) -> None:
        """Runs quick jobs in this thread and long ones in another, so that alerts never wait for a long job."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            long_lane = pool.submit(self._loop_long_jobs, stop)
            long_lane.add_done_callback(lambda _: stop.set())  # an unexpected error ends the command
            try:
                self._loop(stop, long=False)
            finally:
                stop.set()
            long_lane.result()

    def _loop_long_jobs(self, stop: threading.Event) -> None:
        try:
            self._loop(stop, long=True)
        finally:
            connections.close_all()  # those of this thread

    def _loop(self, stop: threading.Event, *, long: bool) -> None:
        while not stop.is_set():
            close_old_connections()
            try:
                self._run_due(stop, long=long)
            except (OperationalError, InterfaceError) as error:
                self.stderr.write(
                    f"The database does not answer ({type(error).__name__}); trying again in {PAUSE_SECONDS} seconds."
                )
            stop.wait(PAUSE_SECONDS)

    def _run_due(self, stop: threading.Event, *, long: bool) -> None:
        """Run the due jobs; after a request to stop, start no further job."""
        for result in leases.run_due(timezone.now, long=long):
            self._print(result)
            if stop.is_set():
                return

    def _print(self, result: JobResult) -> None:
        self.stdout.write(f"{result.name}: {result.outcome.label}: {result.summary}")
        self.stdout.flush()
