"""The suite is green however it is started: with the service's settings in the environment, and with --reuse-db."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.no_database  # its suites run on SQLite
ROOT = Path(__file__).resolve().parent.parent
EMPTIES_ALL_TABLES = "tests/monitoring/test_recorder.py::test_a_deadlock_is_retried_at_once"


@pytest.mark.real_clock(reason="runs pytest as a process")
def test_reuse_db_finds_the_shipped_rows_each_time_whatever_settings_are_named(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "SECRET_KEY"}}
    environment |= {"DJANGO_SETTINGS_MODULE": "config.settings", "VAR_DIR": str(tmp_path), "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--reuse-db"]
    for _ in range(2):
        done = subprocess.run(
            [*command, "tests/providers/test_shipped_prices.py", EMPTIES_ALL_TABLES],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
