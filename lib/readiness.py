"""The registry of readiness checks. Each app registers its checks when it starts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from django.db import connections

CheckStatus = Literal["ok", "warning", "critical"]

_SEVERITY: tuple[CheckStatus, ...] = ("ok", "warning", "critical")
DEFAULT_TIMEOUT = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`detail` names no host, account or error message, because `/readyz` is public."""

    status: CheckStatus
    detail: str


@dataclass(frozen=True, slots=True)
class Check:
    """`timeout`: how long `run_checks` waits for it."""

    run: Callable[[], CheckResult]
    timeout: timedelta


_checks: dict[str, Check] = {}
_running: dict[str, Future[CheckResult]] = {}
_lock = threading.Lock()


def register(name: str, run: Callable[[], CheckResult], *, timeout: timedelta = DEFAULT_TIMEOUT) -> None:
    _checks[name] = Check(run, timeout)


def run_checks() -> dict[str, CheckResult]:
    """Run all checks at once. Returns their results in the order of registration; each is waited for until its timeout."""
    started = _monotonic_now()
    running = {name: _start(name, check) for name, check in _checks.items()}
    return {name: _wait_for_result(future, started + _checks[name].timeout) for name, future in running.items()}


def worst_status(results: Iterable[CheckResult]) -> CheckStatus:
    return max((result.status for result in results), key=_SEVERITY.index, default="ok")


def _start(name: str, check: Check) -> Future[CheckResult]:
    """The unfinished run of the check, or a new one, so that a hanging check occupies only one thread and connection."""
    with _lock:
        running = _running.get(name)
        if running is None or running.done():
            running = _running[name] = Future()
            threading.Thread(target=_run, args=(check, running), name=f"check {name}", daemon=True).start()
        return running


def _run(check: Check, future: Future[CheckResult]) -> None:
    """Run in its own thread, with its own database connections, which it closes."""
    try:
        result = check.run()
    except Exception as error:  # An exception counts as critical.
        result = CheckResult("critical", f"could not be checked: {type(error).__name__}")
    try:
        connections.close_all()
    finally:
        future.set_result(result)


def _wait_for_result(future: Future[CheckResult], until: timedelta) -> CheckResult:
    try:
        return future.result(max((until - _monotonic_now()).total_seconds(), 0))
    except FutureTimeoutError:
        return CheckResult("critical", "no answer in time")


def _monotonic_now() -> timedelta:
    """The monotonic clock, which no one can set."""
    return timedelta(seconds=time.monotonic())
