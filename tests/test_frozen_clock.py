"""The frozen clock itself: its date, what moves it, and that no test reaches the real one unmarked."""

from __future__ import annotations

import multiprocessing
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from django.utils import timezone as django_timezone

from lib import ids
from tests import frozen_clock
from tests.frozen_clock import Clock

ROOT = Path(__file__).resolve().parent.parent
TODAY = re.compile(r"clock: frozen at (\S+)")
pytestmark = pytest.mark.no_database
real_clock = pytest.mark.real_clock(reason="runs pytest as a process")


def test_every_way_to_read_the_time_in_this_process_tells_the_frozen_moment(now: datetime) -> None:
    id_ms = ids.new_id().int >> 80
    assert (
        {
            django_timezone.now(),
            datetime.now(UTC),
            datetime.now().astimezone(UTC),  # the local time is frozen as well
            datetime.fromtimestamp(time.time(), UTC),
            datetime.fromtimestamp(time.time_ns() / 1e9, UTC),
            datetime(*time.gmtime()[:6], tzinfo=UTC),
            datetime.fromtimestamp(time.clock_gettime(time.CLOCK_REALTIME), UTC),
            datetime.fromtimestamp(id_ms / 1000, UTC),
        }
        == {now}
    )
    assert now.date() == datetime.now(UTC).date()
    time.sleep(0.01)
    assert django_timezone.now() == now


def test_now_is_what_the_command_line_chose(now: datetime, pytestconfig: pytest.Config) -> None:
    assert now == frozen_clock.utc(pytestconfig.getoption("today"))


def test_the_monotonic_clock_runs_on() -> None:
    before = time.monotonic()
    time.sleep(0.001)
    assert time.monotonic() > before


def test_the_clock_moves(clock: Clock, now: datetime) -> None:
    clock.shift(timedelta(days=1, microseconds=1))
    assert django_timezone.now() == now + timedelta(days=1, microseconds=1)
    clock.shift(-0.5)
    assert django_timezone.now() == now + timedelta(days=1, microseconds=1, seconds=-0.5)
    clock.move_to("2030-01-02")
    assert django_timezone.now() == datetime(2030, 1, 2, tzinfo=UTC)
    clock.move_to(datetime(2030, 1, 2, 12, tzinfo=timezone(timedelta(hours=9))))
    assert django_timezone.now() == datetime(2030, 1, 2, 3, tzinfo=UTC)


@pytest.mark.frozen_at("2029-05-06T07:08:09")
def test_a_pinned_test_has_its_own_date(now: datetime) -> None:
    assert now == datetime(2029, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2028-02-29T23:59:30", datetime(2028, 2, 29, 23, 59, 30, tzinfo=UTC)),
        ("2028-02-29T23:59:30Z", datetime(2028, 2, 29, 23, 59, 30, tzinfo=UTC)),
        ("2028-03-01T00:59:30+01:00", datetime(2028, 2, 29, 23, 59, 30, tzinfo=UTC)),
        ("2028-02-29", datetime(2028, 2, 29, tzinfo=UTC)),
        (date(2028, 2, 29), datetime(2028, 2, 29, tzinfo=UTC)),
    ],
)
def test_a_moment_is_in_utc_unless_it_says_otherwise(text: str | date, moment: datetime) -> None:
    assert (frozen_clock.utc(text), frozen_clock.utc(text).tzinfo) == (moment, UTC)


def test_ids_rise_while_the_clock_stands(clock: Clock) -> None:
    created = [ids.new_id() for _ in range(100)]
    assert created == sorted(set(created))
    assert {(row_id.version, row_id.variant) for row_id in created} == {(7, "specified in RFC 4122")}
    clock.shift(0.001)
    assert ids.new_id() > max(created)


def _popen() -> None:
    subprocess.run([sys.executable, "-c", ""], check=True)


def _fork() -> None:
    if not os.fork():
        os._exit(0)


def _posix_spawn() -> None:
    os.posix_spawn(sys.executable, [sys.executable, "-c", ""], {})


def _multiprocess(method: str) -> Callable[[], None]:
    return lambda: multiprocessing.get_context(method).Process(target=_popen).start()  # type: ignore[attr-defined]


STARTS = {
    "subprocess": _popen,
    "fork": _fork,
    "posix_spawn": _posix_spawn,
    "system": lambda: os.system("true"),
    "multiprocessing fork": _multiprocess("fork"),
    "multiprocessing spawn": _multiprocess("spawn"),
    "multiprocessing forkserver": _multiprocess("forkserver"),
}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_a_child_process_fails_the_test(start: Callable[[], object]) -> None:
    plugin = frozen_clock._plugin
    assert plugin is not None
    with pytest.raises(pytest.fail.Exception, match=r"::test_a_child_process_fails_the_test\[.*real_clock\(reason="):
        start()
    plugin._started.clear()


def test_a_program_without_a_clock_may_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert subprocess.check_output(["sha256sum", "file"], cwd=tmp_path, text=True).startswith("e3b0c442")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Runs a test file with this plugin and without Django; the exit status and the output."""

    def run(code: str, *options: str) -> tuple[int, str]:
        (tmp_path / "test_it.py").write_text(f"import datetime, subprocess, sys, pytest\n{code}")
        (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
        command = [sys.executable, "-m", "pytest", "-p", "no:django", "-p", "no:randomly", "-p", "no:cacheprovider"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
        done = subprocess.run(
            [*command, "-p", "tests.frozen_clock", "-q", *options, "test_it.py"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run


READS = "IMPORTED = datetime.datetime.now()\ndef test(now):\n    assert str(now) == f'{IMPORTED}+00:00' == %r\n"
CHILD = "def test():\n    %s\n"
STARTED = "subprocess.run([sys.executable, '-c', ''])"
CAUGHT = f"try:\n        {STARTED}\n    except BaseException:\n        pass"


@real_clock
@pytest.mark.parametrize(
    ("options", "moment"),
    [
        ((), "2026-11-22 12:00:00+00:00"),
        (("--today", "2028-02-29T23:59:30"), "2028-02-29 23:59:30+00:00"),
        (("--today=2031-07-15",), "2031-07-15 00:00:00+00:00"),
        (("--today=2031-07-15", "-n1"), "2031-07-15 00:00:00+00:00"),
    ],
)
def test_the_command_line_chooses_the_date(
    run: Callable[..., tuple[int, str]], options: tuple[str, ...], moment: str
) -> None:
    status, output = run(READS % moment, *options)
    assert status == 0, output
    header = TODAY.search(output)
    assert header is not None
    assert header[1] == moment.replace(" ", "T")


@real_clock
@pytest.mark.parametrize(
    ("today", "message"),
    [
        ("tomorrow", "ERROR: --today: neither a date nor a time in ISO 8601: "),
        ("2026-02-29", "ERROR: --today: neither a date nor a time in ISO 8601: "),
        ("2019-01-01", "ERROR: --today: the shipped prices begin in 2025, choose 2025-07-01 or later"),
    ],
)
def test_junk_is_refused_as_a_wrong_use(run: Callable[..., tuple[int, str]], today: str, message: str) -> None:
    status, output = run("def test(): pass", "--today", today)
    assert (status, message in output) == (pytest.ExitCode.USAGE_ERROR, True)


@real_clock
@pytest.mark.parametrize("body", [STARTED, CAUGHT], ids=["raised", "caught"])
def test_an_unmarked_child_process_fails_the_run(run: Callable[..., tuple[int, str]], body: str) -> None:
    status, output = run(CHILD % body)
    assert (status, "test_it.py::test started a child process, which has the real clock" in output) == (1, True)


@real_clock
def test_a_marked_test_has_the_real_clock_and_the_next_one_the_frozen_one(
    run: Callable[..., tuple[int, str]],
) -> None:
    started = datetime.now(UTC)
    mark = "@pytest.mark.real_clock(reason='starts a process')\n"
    marked = f"{mark}def test_real(now):\n    {STARTED}\n    print(f'real={{now.isoformat()}}')\n"
    status, output = run(f"{marked}def test_frozen(now):\n    assert now.year == 2032\n", "--today=2032-01-01", "-s")
    printed = re.search(r"real=(\S+)", output)
    assert (status, bool(printed)) == (0, True), output
    assert printed is not None
    assert started <= datetime.fromisoformat(printed[1]) <= datetime.now(UTC)


@real_clock
@pytest.mark.parametrize("mark", ["real_clock", "real_clock()", "real_clock(reason=' ')"])
def test_the_mark_needs_a_reason(run: Callable[..., tuple[int, str]], mark: str) -> None:
    status, output = run(f"@pytest.mark.{mark}\ndef test(): pass\n")
    assert (status, "real_clock needs a reason" in output) == (1, True)


@real_clock
def test_a_marked_test_cannot_move_its_clock(clock: Clock) -> None:
    with pytest.raises(RuntimeError, match="marked real_clock"):
        clock.shift(1)


def test_no_query_asks_the_database_for_the_time() -> None:
    """The database has its own clock, which the plugin cannot freeze."""
    pattern = re.compile(
        r"\b(CURRENT_(TIMESTAMP|DATE|TIME)|SYSDATE|UTC_TIMESTAMP|NOW\(|Now\(|TransactionNow|clock_timestamp)"
    )
    places = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for app in ("billing", "config", "lib", "monitoring", "providers")
        for path in sorted((ROOT / app).rglob("*.py"))
        for line in path.read_text().splitlines()
        if pattern.search(line)
    ]
    assert places == []
