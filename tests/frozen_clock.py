"""Freezes the clock of every test, and fails a test that reaches the real one (docs/adr/0015). A pytest plugin.

- `--today MOMENT` sets the frozen moment; `now` returns it; `clock` moves it.
- `@pytest.mark.frozen_at(MOMENT)` pins a test that has dates of its own.
- `@pytest.mark.real_clock(reason=...)` runs a test on the real clock.

Within the process time-machine and `_new_uuid7` replace every source of the time. A child process has the real clock,
so a test without the mark fails when it starts one. `time.monotonic` stays real.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from multiprocessing import util as multiprocessing_util
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import time_machine
import uuid_utils.compat

DEFAULT_TODAY = "2026-11-22T12:00:00"
FIRST_TODAY = datetime(2025, 7, 1, tzinfo=UTC)  # the shipped prices begin in 2025, and many tests need one
START_EVENTS = frozenset({"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen"})
TIMELESS_PROGRAMS = frozenset({"sha256sum"})  # they neither read nor write a time
MARKERS = (
    "frozen_at(moment): the clock stands at this moment, whatever --today says: the test has dates of its own",
    "real_clock(reason): the test runs on the real clock, mostly because it starts child processes",
)


def utc(moment: str | date | datetime) -> datetime:
    """The moment in UTC: an aware or naive (= UTC) datetime, a date (its first second), or either in ISO 8601."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


class Clock:
    """The frozen clock of this process."""

    def __init__(self, today: datetime) -> None:
        self.today = today
        self._travel: time_machine.travel | None = None
        self._traveller: time_machine.Traveller | None = None

    @property
    def frozen(self) -> bool:
        return self._traveller is not None

    def move_to(self, moment: str | date | datetime) -> None:
        self._frozen().move_to(utc(moment))

    def shift(self, by: timedelta | float) -> None:
        """Moves the clock by a span or by seconds; backwards where negative."""
        self._frozen().shift(by)

    def freeze(self) -> None:
        self._travel = time_machine.travel(self.today, tick=False)
        self._traveller = self._travel.start()

    def release(self) -> None:
        if self._travel:
            self._travel.stop()
        self._travel = self._traveller = None

    @contextmanager
    def released(self) -> Iterator[None]:
        self.release()
        try:
            yield
        finally:
            self.freeze()

    @contextmanager
    def at(self, moment: datetime) -> Iterator[None]:
        """Frozen at `moment`; afterwards at `today` again."""
        self.move_to(moment)
        try:
            yield
        finally:
            self.move_to(self.today)

    def _frozen(self) -> time_machine.Traveller:
        if self._traveller is None:
            raise RuntimeError("This test is marked real_clock: its clock can't be moved.")
        return self._traveller


class FrozenClockPlugin:
    """Runs each test on its clock, and watches for child processes."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._frozen_test: str | None = None  # while it runs
        self._started: list[str] = []

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        if item.get_closest_marker("real_clock"):
            with self.clock.released():
                return (yield)
        pin = item.get_closest_marker("frozen_at")
        self._frozen_test = item.nodeid
        self._started.clear()
        try:
            with self.clock.at(utc(*pin.args) if pin else self.clock.today):
                return (yield)
        finally:
            self._frozen_test = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        marker = item.get_closest_marker("real_clock")
        if marker and not (marker.kwargs.get("reason") or "").strip():
            pytest.fail("real_clock needs a reason: @pytest.mark.real_clock(reason=...)", pytrace=False)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, Any, Any]:
        result = yield
        if self._started:  # the failure raised at the start was caught, or came up in a thread
            pytest.fail(self._started[0], pytrace=False)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
        """Migrations date the shipped rows: alike, also where the first test runs on the real clock."""
        if fixturedef.argname != "django_db_setup" or self.clock.frozen:
            return (yield)
        self.clock.freeze()
        try:
            return (yield)
        finally:
            self.clock.release()

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Called for every audit event of the process: fails a frozen test that starts a child process."""
        if self._frozen_test is None or event not in START_EVENTS:
            return
        command = arguments[1] if event == "subprocess.Popen" else arguments
        if event == "subprocess.Popen" and Path(str(arguments[0] or command[0])).name in TIMELESS_PROGRAMS:
            return
        message = (
            f"{self._frozen_test} started a child process, which has the real clock: {event} {command!r}. "
            "Mark the test @pytest.mark.real_clock(reason=...), and make it right on every date."
        )
        self._started.append(message)
        pytest.fail(message)


_plugin: FrozenClockPlugin | None = None  # an audit hook is never removed, so that there is one for the process


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _plugin is not None:
        _plugin.audit(event, arguments)


sys.addaudithook(_audit)
_uuid7 = uuid_utils.compat.uuid7
_spawn = multiprocessing_util.spawnv_passfds
_numbers = itertools.count()


def _new_uuid7(*, nanoseconds: int | None = None) -> UUID:
    """A UUIDv7 of the frozen millisecond; uuid_utils reads the system's clock past Python. Rising, as the real ones."""
    if nanoseconds is not None or _plugin is None or not _plugin.clock.frozen:
        return _uuid7(nanoseconds=nanoseconds)
    milliseconds, number = time.time_ns() // 1_000_000, next(_numbers)
    return UUID(int=milliseconds << 80 | 7 << 76 | (number >> 42) << 64 | 2 << 62 | (number & (1 << 42) - 1) << 20)


def _spawn_audited(path: bytes, args: Sequence[Any], passfds: Sequence[int]) -> int:
    """The start method `spawn` of multiprocessing goes past all audit events."""
    sys.audit("os.posix_spawn", path, args, {})
    return _spawn(path, args, passfds)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--today",
        default=DEFAULT_TODAY,
        metavar="MOMENT",
        help=f"date or time at which the tests' clock is frozen, in UTC unless it says otherwise ({DEFAULT_TODAY})",
    )


def pytest_configure(config: pytest.Config) -> None:
    global _plugin  # noqa: PLW0603 - see there
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    try:
        today = utc(config.getoption("today"))
    except (ValueError, OverflowError) as error:
        raise pytest.UsageError(f"--today: neither a date nor a time in ISO 8601: {error}") from error
    if today < FIRST_TODAY:
        raise pytest.UsageError(f"--today: the shipped prices begin in 2025, choose {FIRST_TODAY.date()} or later")
    clock = Clock(today)
    _plugin = FrozenClockPlugin(clock)
    config.pluginmanager.register(_plugin, "frozen_clock_plugin")
    uuid_utils.compat.uuid7 = _new_uuid7
    multiprocessing_util.spawnv_passfds = _spawn_audited
    clock.freeze()  # modules that read the clock when they are imported see it as well


def pytest_unconfigure() -> None:
    global _plugin  # noqa: PLW0603
    if _plugin is None:
        return
    _plugin.clock.release()
    uuid_utils.compat.uuid7 = _uuid7
    multiprocessing_util.spawnv_passfds = _spawn
    _plugin = None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.write_line(f"clock: frozen at {utc(config.getoption('today')).isoformat()}")


@pytest.fixture
def clock() -> Clock:
    """Moves the frozen clock: `clock.move_to("2026-12-01")`, `clock.shift(30)`."""
    assert _plugin is not None
    return _plugin.clock


@pytest.fixture
def now() -> datetime:
    """The moment at which the clock is frozen; of a test marked real_clock, when it began."""
    return datetime.now(UTC)
