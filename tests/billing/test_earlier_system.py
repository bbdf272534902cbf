"""With a database of the earlier system as DATABASE_URL, migrate fails, names the import command and changes nothing."""

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


def file_digest(database: Path) -> str:
    return hashlib.sha256(database.read_bytes()).hexdigest()


RUNS_MIGRATE = pytest.mark.real_clock(reason="runs migrate as a process")


@RUNS_MIGRATE
@pytest.mark.shared_data
def test_migrate_fails_and_does_not_change_the_file(shared_data: Path, tmp_path: Path) -> None:
    database = tmp_path / "earlier.sqlite3"
    shutil.copyfile(shared_data / "legacy_usage_logs.sqlite3", database)
    before = file_digest(database)

    process = migrate(database)

    assert process.returncode == 1
    assert "billing.E001" in process.stderr
    assert "manage.py import_legacy_logs URL" in process.stderr
    assert file_digest(database) == before


@RUNS_MIGRATE
@pytest.mark.parametrize(
    "table", ["api_usage_logs (id INTEGER, user_id VARCHAR(100))", "subscription_plans (id INTEGER, tier VARCHAR(10))"]
)
def test_each_legacy_table_is_recognised_alone(tmp_path: Path, table: str) -> None:
    database = tmp_path / "earlier.sqlite3"
    legacy = sqlite3.connect(database)
    legacy.execute(f"CREATE TABLE {table}")
    legacy.close()
    before = file_digest(database)

    process = migrate(database)

    assert (process.returncode, "billing.E001" in process.stderr, file_digest(database)) == (1, True, before)


@pytest.mark.django_db
def test_a_tollgate_database_passes_the_check() -> None:
    assert billing_checks.earlier_system(databases=["default"]) == []


def test_the_check_is_a_database_check() -> None:
    assert billing_checks.earlier_system in checks.registry.registry.get_checks()
    assert checks.Tags.database in billing_checks.earlier_system.tags
