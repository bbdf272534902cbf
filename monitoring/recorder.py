"""Buffers answered requests and writes them behind the scenes: rows to look into, minutes to judge by.

The middleware feeds it, and a request never waits for it. What a process holds when it is killed is lost, and so is
what comes while the database is away for long: that is counted, and right for a request log. Billing never is.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from contextlib import suppress
from multiprocessing.util import Finalize

from django.db import Error as DatabaseFailure
from django.db import IntegrityError, InterfaceError, OperationalError, connection
from django.utils import timezone

from monitoring import request_rows
from monitoring.request_rows import Batch, Entry

LIMIT = 20_000  # entries held at most, some 10 MB
BATCH = 500
SECONDS = 1.0
PATIENCE = 5.0  # seconds that the end of a process waits for the last write

logger = logging.getLogger(__name__)


class Recorder:
    """One process' buffer, and the thread that empties it."""

    def __init__(self) -> None:
        self._begin()
        os.register_at_fork(before=self._pause, after_in_parent=self._resume, after_in_child=self._begin)

    def _begin(self) -> None:
        """Empty, without a thread: what a fork inherits is its parent's to write, and threads are not inherited."""
        self._held: deque[Entry] = deque()
        self._batch: Batch | None = None
        self._dropped = self._told = 0
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._wake = threading.Event()
        self._ending = threading.Event()

    def _pause(self) -> None:
        """No process forks in the middle of a write: SQLite loses data where a child inherits an open file."""
        self._flushing.acquire()

    def _resume(self) -> None:
        self._flushing.release()

    @property
    def dropped(self) -> int:
        """Requests that this process answered and could not log."""
        return self._dropped

    def add(self, entry: Entry) -> None:
        """Hold an entry for the thread; drop it where too many are held already."""
        if len(self._held) >= LIMIT:
            self._drop(1)
            return
        self._held.append(entry)
        if self._thread is None:
            self._start()
        if len(self._held) >= BATCH and not self._wake.is_set():
            self._wake.set()

    def flush(self) -> bool:
        """Write what is held now. False where the database is away: it is kept, and written by a later flush."""
        with self._flushing:
            return self._write()

    def end(self) -> None:
        """Write what is left, within PATIENCE. Registered for the end of the process when its thread is made."""
        self._ending.set()
        self._wake.set()
        if self._thread:
            self._thread.join(PATIENCE)

    def _write(self) -> bool:
        due = len(self._held)
        while self._batch or due > 0:
            if self._batch is None:
                self._batch = self._take()
                due -= BATCH
            if not (self._store(self._batch) or self._store(self._batch)):  # twice: a deadlock, a restarted database
                return False
            self._batch = None
        return self._tell_drops()

    def _tell_drops(self) -> bool:
        """What was dropped since the last time, for every process to see."""
        dropped = self._dropped
        if dropped == self._told:
            return True
        try:
            request_rows.store_drops(dropped - self._told, timezone.now())
        except DatabaseFailure as error:
            logger.warning("%d dropped requests wait to be told: %s", dropped - self._told, type(error).__name__)
            _disconnect()
            return False
        self._told = dropped
        return True

    def _take(self) -> Batch:
        return request_rows.batch([self._held.popleft() for _ in range(min(BATCH, len(self._held)))])

    def _store(self, batch: Batch) -> bool:
        try:
            request_rows.store(batch)
        except IntegrityError:
            return True  # Its ids are there: the answer to an earlier commit was lost, not the commit.
        except (OperationalError, InterfaceError) as error:
            logger.warning("%d requests wait to be logged: %s", len(batch.rows) + len(self._held), type(error).__name__)
            _disconnect()
            return False
        except Exception:
            logger.exception("%d requests could not be logged", len(batch.rows))
            self._drop(len(batch.rows))
            _disconnect()
        return True

    def _drop(self, count: int) -> None:
        with self._lock:
            self._dropped += count

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)
                self._thread.start()
                # Finalize, not atexit alone: a server's worker made by multiprocessing ends without running atexit.
                Finalize(None, self.end, exitpriority=1)

    def _run(self) -> None:
        while not self._ending.is_set():
            self._wake.wait(SECONDS)
            self._wake.clear()
            with self._flushing:
                written = self._write()
                with suppress(DatabaseFailure):
                    connection.close_if_unusable_or_obsolete()  # as Django does after each request
            if not written:
                self._ending.wait(SECONDS)
        self.flush()
        _disconnect()


def _disconnect() -> None:
    """Let go of this thread's connection; the next write makes a new one, whatever state the old one was in."""
    with suppress(DatabaseFailure):
        connection.close()


_recorder = Recorder()
add = _recorder.add
flush = _recorder.flush


def dropped() -> int:
    return _recorder.dropped
