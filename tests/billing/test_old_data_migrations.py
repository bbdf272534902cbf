"""The backfill and the building of rollups as migrations: forward, twice, back, and killed at any moment (R10).

Each test has a database of its own, made by an early release, and runs `manage.py migrate` in a real process.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from tests.billing import old_release
from tests.proof import children

ROOT = Path(__file__).resolve().parent.parent.parent
LOGS = 600
BATCH = 10
pytestmark = pytest.mark.real_clock(reason="runs migrate as a process and kills it")
Rows = dict[str, list[list[str]]]


class Old:
    """A database of an early release, and the programs that are run on it."""

    def __init__(self, url: str, var: Path) -> None:
        self.environment = {
            **os.environ,
            "DATABASE_URL": url,
            "VAR_DIR": str(var),
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "BACKFILL_BATCH": str(BATCH),
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, *arguments]
        return subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, *arguments: str) -> str:
        process = self.start(*arguments)
        out, _ = process.communicate()
        assert process.returncode == 0, out
        return out

    def migrate(self, *to: str) -> str:
        return self.run("manage.py", "migrate", "billing", *to)

    def dump(self) -> Rows:
        rows: Rows = json.loads(self.run("-m", "tests.billing.old_release", "dump"))
        return rows


@contextmanager
def early_database(folder: Path) -> Iterator[Old]:
    """A database of its own on the server that the tests use, filled by the early release."""
    server, _, tests = children.database_url().rpartition("/")
    if connection.vendor == "sqlite":
        early = Old(f"sqlite:///{folder}/early.sqlite3", folder)
        early.run("-m", "tests.billing.old_release", "fill", str(LOGS))
        yield early
        return
    quoted = connection.ops.quote_name(f"{tests}_early")
    with connection._nodb_cursor() as cursor:  # Django's own way to the server
        cursor.execute(f"DROP DATABASE IF EXISTS {quoted}")
        cursor.execute(f"CREATE DATABASE {quoted}")
        early = Old(f"{server}/{tests}_early", folder)
        early.run("-m", "tests.billing.old_release", "fill", str(LOGS))
        yield early
        cursor.execute(f"DROP DATABASE {quoted}")


@pytest.fixture(scope="module")
def straight(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Rows:
    """What the early database holds after a migration that nothing disturbed."""
    with django_db_blocker.unblock(), early_database(tmp_path_factory.mktemp("straight")) as early:
        told = early.migrate()
        assert f"{LOGS} logs named" in told
        assert "0 differences" in early.run("manage.py", "verify_ledger")
        return early.dump()


@pytest.fixture
def old(tmp_path: Path, straight: Rows, django_db_blocker: DjangoDbBlocker) -> Iterator[Old]:
    with django_db_blocker.unblock(), early_database(tmp_path) as early:
        yield early


def names(rows: Rows) -> list[str]:
    return [row[1] for row in rows["api_usage_logs"]]


SERVED = [old_release.CALLS[n % len(old_release.CALLS)][3] for n in range(1, LOGS + 1)]


def test_every_log_is_named_by_who_served_it(straight: Rows) -> None:
    assert names(straight) == SERVED


def test_a_second_run_changes_nothing(old: Old, straight: Rows) -> None:
    old.migrate("0003")
    named = old.dump()
    old.migrate("0002", "--fake")
    assert "named" not in old.migrate("0003")
    assert old.dump() == named

    old.migrate("0005")
    old.migrate("0004", "--fake")
    assert "rollups of" not in old.migrate("0005")
    assert old.dump() == straight


def test_back_takes_names_and_rollups_away_and_forward_brings_them_again(old: Old, straight: Rows) -> None:
    early = old.dump()
    old.migrate()

    old.migrate("0004")
    assert [old.dump()[table] for table in ("usage_days", "usage_models", "platform_days")] == [[], [], []]
    old.migrate("0002")
    assert old.dump() == early
    assert set(names(early)) == {"None"}

    old.migrate()
    assert old.dump() == straight


@pytest.mark.parametrize(("line", "batches"), [("logs named", LOGS // BATCH), ("rollups of", 3), ("platform days", 6)])
def test_killed_at_any_batch_and_run_again_it_ends_as_a_straight_run(
    old: Old, straight: Rows, line: str, batches: int
) -> None:
    at = random.randint(1, batches // 2)
    children.tell(f"killed after batch {at} of “{line}”")
    with old.start("manage.py", "migrate", "billing") as process:
        told = _wait_for(process, line, at)
        process.kill()
    assert (told, process.returncode) == (at, -signal.SIGKILL)
    half = names(old.dump())
    assert len(half) - half.count("None") >= (BATCH * at if line == "logs named" else LOGS)

    old.migrate()

    assert old.dump() == straight


def _wait_for(process: subprocess.Popen[str], line: str, times: int) -> int:
    """Read what the process tells until it has told the line so often; how often it did."""
    seen = 0
    while seen < times and (told := process.stdout.readline() if process.stdout else ""):
        seen += line in told
    return seen
