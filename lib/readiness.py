"""The registry of readiness checks. Apps register theirs when they start; /readyz and the `health` command run them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from django.db import connections

Status = Literal["ok", "warning", "critical"]

_SEVERITY: tuple[Status, ...] = ("ok", "warning", "critical")
LIMIT = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. `/readyz` is open to all, so `detail` names no host, no account and no error message."""

    status: Status
    detail: str


@dataclass(frozen=True, slots=True)
class Check:
    """`limit`: how long an answer waits for it."""

    find: Callable[[], Finding]
    limit: timedelta


_checks: dict[str, Check] = {}
_running: dict[str, Future[Finding]] = {}
_lock = threading.Lock()


def register(name: str, find: Callable[[], Finding], *, limit: timedelta = LIMIT) -> None:
    _checks[name] = Check(find, limit)


def run() -> dict[str, Finding]:
    """The finding of every check, in the order of registration. All run at once, and none is waited for beyond its limit."""
    begun = _now()
    running = {name: _begin(name, check) for name, check in _checks.items()}
    return {name: _found(future, begun + _checks[name].limit) for name, future in running.items()}


def worst(findings: Iterable[Finding]) -> Status:
    return max((finding.status for finding in findings), key=_SEVERITY.index, default="ok")


def _begin(name: str, check: Check) -> Future[Finding]:
    """What runs already, or a new run: a check that hangs holds one thread and one connection, however often it is asked."""
    with _lock:
        running = _running.get(name)
        if running is None or running.done():
            running = _running[name] = Future()
            threading.Thread(target=_run, args=(check, running), name=f"check {name}", daemon=True).start()
        return running


def _run(check: Check, future: Future[Finding]) -> None:
    """In a thread of its own, whose connections are its own and end with it."""
    try:
        finding = check.find()
    except Exception as error:  # A check that cannot tell is the worst news.
        finding = Finding("critical", f"could not be checked: {type(error).__name__}")
    try:
        connections.close_all()
    finally:
        future.set_result(finding)


def _found(future: Future[Finding], until: timedelta) -> Finding:
    try:
        return future.result(max((until - _now()).total_seconds(), 0))
    except NotYet:
        return Finding("critical", "no answer in time")


def _now() -> timedelta:
    """On a clock that nobody sets."""
    return timedelta(seconds=time.monotonic())
