"""Buffers answered requests and writes their rows and counts in a background thread; no request waits for it.

A killed process loses its buffer, and requests are dropped, and counted as dropped, while the database is away for long.
That is acceptable for a request log; billing never works this way.
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
from monitoring.request_rows import RequestBatch, RequestEntry

MAX_BUFFERED = 20_000  # entries, about 10 MB
BATCH_SIZE = 500
FLUSH_SECONDS = 1.0
STOP_TIMEOUT_SECONDS = 5.0  # how long the end of a process waits for the last write

logger = logging.getLogger(__name__)


class Recorder:
    """The buffer of a process, and the thread that writes it."""

    def __init__(self) -> None:
        self._reset()
        os.register_at_fork(before=self._block_writes, after_in_parent=self._allow_writes, after_in_child=self._reset)

    def _reset(self) -> None:
        """Start empty and without a thread. After a fork, the parent writes its own entries; threads are not inherited."""
        self._buffer: deque[RequestEntry] = deque()
        self._batch: RequestBatch | None = None
        self._dropped = self._stored_drops = 0
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()

    def _block_writes(self) -> None:
        """Wait for the current write before a fork: SQLite can lose data if a child inherits the open file."""
        self._flushing.acquire()

    def _allow_writes(self) -> None:
        self._flushing.release()

    @property
    def dropped(self) -> int:
        """Number of requests that this process answered but could not log."""
        return self._dropped

    def add(self, entry: RequestEntry) -> None:
        """Buffer an entry for the thread, or drop it if the buffer is full."""
        if len(self._buffer) >= MAX_BUFFERED:
            self._drop(1)
            return
        self._buffer.append(entry)
        if self._thread is None:
            self._start()
        if len(self._buffer) >= BATCH_SIZE and not self._wake.is_set():
            self._wake.set()

    def flush(self) -> bool:
        """Write the buffer. Returns False if the database is away; a later flush writes the entries then."""
        with self._flushing:
            return self._write()

    def stop(self) -> None:
        """Write the rest of the buffer, for at most STOP_TIMEOUT_SECONDS. Runs at the end of the process."""
        self._stopping.set()
        self._wake.set()
        if self._thread:
            self._thread.join(STOP_TIMEOUT_SECONDS)

    def _write(self) -> bool:
        remaining = len(self._buffer)
        while self._batch or remaining > 0:
            if self._batch is None:
                self._batch = self._next_batch()
                remaining -= BATCH_SIZE
            if not (self._store(self._batch) or self._store(self._batch)):  # retried once: deadlock, database restart
                return False
            self._batch = None
        return self._store_drops()

    def _store_drops(self) -> bool:
        """Store the number of requests dropped since the last time, for all processes to read."""
        dropped = self._dropped
        if dropped == self._stored_drops:
            return True
        try:
            request_rows.store_drops(dropped - self._stored_drops, timezone.now())
        except DatabaseFailure as error:
            logger.warning(
                "%d dropped requests are not stored yet: %s", dropped - self._stored_drops, type(error).__name__
            )
            _disconnect()
            return False
        self._stored_drops = dropped
        return True

    def _next_batch(self) -> RequestBatch:
        return request_rows.build_batch([self._buffer.popleft() for _ in range(min(BATCH_SIZE, len(self._buffer)))])

    def _store(self, batch: RequestBatch) -> bool:
        try:
            request_rows.store(batch)
        except IntegrityError:
            return True  # The ids exist: an earlier commit succeeded, only its answer was lost.
        except (OperationalError, InterfaceError) as error:
            logger.warning(
                "%d requests are not logged yet: %s", len(batch.rows) + len(self._buffer), type(error).__name__
            )
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
                # Finalize, not atexit: a worker process created by multiprocessing does not run atexit handlers.
                Finalize(None, self.stop, exitpriority=1)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(FLUSH_SECONDS)
            self._wake.clear()
            with self._flushing:
                written = self._write()
                with suppress(DatabaseFailure):
                    connection.close_if_unusable_or_obsolete()  # as Django does after each request
            if not written:
                self._stopping.wait(FLUSH_SECONDS)
        self.flush()
        _disconnect()


def _disconnect() -> None:
    """Close this thread's connection, whatever its state; the next write opens a new one."""
    with suppress(DatabaseFailure):
        connection.close()


_recorder = Recorder()
add = _recorder.add
flush = _recorder.flush


def dropped() -> int:
    """Number of requests that this process could not log."""
    return _recorder.dropped
