"""A database of the earlier system given as DATABASE_URL: every start stops, names the import, and changes nothing."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from django.core import checks

from billing import checks as billing_checks

ROOT = Path(__file__).resolve().parent.parent.parent


def migrate(database: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{database}",
        "VAR_DIR": str(database.parent),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    return subprocess.run(
        [sys.executable, "manage.py", "migrate"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def content(database: Path) -> str:
    return hashlib.sha256(database.read_bytes()).hexdigest()


MIGRATES = pytest.mark.real_clock(reason="runs migrate as a process")


@MIGRATES
@pytest.mark.shared_data
def test_migrate_stops_and_the_file_stays_as_it_was(shared_data: Path, tmp_path: Path) -> None:
    database = tmp_path / "earlier.sqlite3"
    shutil.copyfile(shared_data / "legacy_usage_logs.sqlite3", database)
    before = content(database)

    ended = migrate(database)

    assert ended.returncode == 1
    assert "billing.E001" in ended.stderr
    assert "manage.py import_legacy_logs URL" in ended.stderr
    assert content(database) == before


@MIGRATES
@pytest.mark.parametrize(
    "table", ["api_usage_logs (id INTEGER, user_id VARCHAR(100))", "subscription_plans (id INTEGER, tier VARCHAR(10))"]
)
def test_either_of_its_tables_is_enough(tmp_path: Path, table: str) -> None:
    database = tmp_path / "earlier.sqlite3"
    made = sqlite3.connect(database)
    made.execute(f"CREATE TABLE {table}")
    made.close()
    before = content(database)

    ended = migrate(database)

    assert (ended.returncode, "billing.E001" in ended.stderr, content(database)) == (1, True, before)


@pytest.mark.django_db
def test_our_own_database_is_no_earlier_one() -> None:
    assert billing_checks.earlier_system(databases=["default"]) == []


def test_the_check_is_a_database_check() -> None:
    assert billing_checks.earlier_system in checks.registry.registry.get_checks()
    assert checks.Tags.database in billing_checks.earlier_system.tags
