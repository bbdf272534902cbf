"""The migrations that backfill providers and build rollups: forward, twice, back, and killed at any moment (R10).

Each test has its own database of an early release and runs `manage.py migrate` in a real process.
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
LOG_COUNT = 600
BATCH_SIZE = 10
pytestmark = pytest.mark.real_clock(reason="runs migrate as a process and kills it")
Rows = dict[str, list[list[str]]]


class EarlyDatabase:
    """A database of an early release, and the processes that run on it."""

    def __init__(self, url: str, var: Path) -> None:
        self.environment = {
            **os.environ,
            "DATABASE_URL": url,
            "VAR_DIR": str(var),
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "BACKFILL_BATCH": str(BATCH_SIZE),
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
def early_database(folder: Path) -> Iterator[EarlyDatabase]:
    """A new database on the server of the tests, filled by the early release."""
    server, _, tests = children.database_url().rpartition("/")
    if connection.vendor == "sqlite":
        early = EarlyDatabase(f"sqlite:///{folder}/early.sqlite3", folder)
        early.run("-m", "tests.billing.old_release", "fill", str(LOG_COUNT))
        yield early
        return
    quoted = connection.ops.quote_name(f"{tests}_early")
    with connection._nodb_cursor() as cursor:  # as Django's test runner does
        cursor.execute(f"DROP DATABASE IF EXISTS {quoted}")
        cursor.execute(f"CREATE DATABASE {quoted}")
        early = EarlyDatabase(f"{server}/{tests}_early", folder)
        early.run("-m", "tests.billing.old_release", "fill", str(LOG_COUNT))
        yield early
        cursor.execute(f"DROP DATABASE {quoted}")


@pytest.fixture(scope="module")
def uninterrupted(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Rows:
    """The rows after a migration without interruption."""
    with django_db_blocker.unblock(), early_database(tmp_path_factory.mktemp("uninterrupted")) as early:
        output = early.migrate()
        assert f"{LOG_COUNT} logs named" in output
        assert "0 differences" in early.run("manage.py", "verify_ledger")
        return early.dump()


@pytest.fixture
def database(tmp_path: Path, uninterrupted: Rows, django_db_blocker: DjangoDbBlocker) -> Iterator[EarlyDatabase]:
    with django_db_blocker.unblock(), early_database(tmp_path) as early:
        yield early


def provider_names(rows: Rows) -> list[str]:
    return [row[1] for row in rows["api_usage_logs"]]


EXPECTED_PROVIDERS = [old_release.SAMPLE_CALLS[n % len(old_release.SAMPLE_CALLS)][3] for n in range(1, LOG_COUNT + 1)]


def test_every_log_gets_its_actual_provider(uninterrupted: Rows) -> None:
    assert provider_names(uninterrupted) == EXPECTED_PROVIDERS


def test_a_second_run_changes_nothing(database: EarlyDatabase, uninterrupted: Rows) -> None:
    database.migrate("0003")
    backfilled = database.dump()
    database.migrate("0002", "--fake")
    assert "named" not in database.migrate("0003")
    assert database.dump() == backfilled

    database.migrate("0005")
    database.migrate("0004", "--fake")
    assert "rollups of" not in database.migrate()
    assert database.dump() == uninterrupted


def test_backward_removes_providers_and_rollups_and_forward_restores_them(
    database: EarlyDatabase, uninterrupted: Rows
) -> None:
    before = database.dump()
    database.migrate()

    database.migrate("0004")
    assert [database.dump()[table] for table in ("usage_days", "usage_models", "platform_days")] == [[], [], []]
    database.migrate("0002")
    assert database.dump() == before
    assert set(provider_names(before)) == {"None"}

    database.migrate()
    assert database.dump() == uninterrupted


@pytest.mark.parametrize(
    ("line", "batches"), [("logs named", LOG_COUNT // BATCH_SIZE), ("rollups of", 3), ("platform days", 6)]
)
def test_a_migration_killed_at_any_batch_and_run_again_ends_like_an_uninterrupted_one(
    database: EarlyDatabase, uninterrupted: Rows, line: str, batches: int
) -> None:
    batch = random.randint(1, batches // 2)
    children.report(f"killed after batch {batch} of “{line}”")
    with database.start("manage.py", "migrate", "billing") as process:
        printed = _wait_for(process, line, batch)
        process.kill()
    assert (printed, process.returncode) == (batch, -signal.SIGKILL)
    partial = provider_names(database.dump())
    assert len(partial) - partial.count("None") >= (BATCH_SIZE * batch if line == "logs named" else LOG_COUNT)

    database.migrate()

    assert database.dump() == uninterrupted


def _wait_for(process: subprocess.Popen[str], line: str, times: int) -> int:
    """Reads output until the line was printed so many times, or the process ended. Returns the number of such lines."""
    count = 0
    while count < times and (output := process.stdout.readline() if process.stdout else ""):
        count += line in output
    return count
