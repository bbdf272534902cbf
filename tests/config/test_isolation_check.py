"""The system check of the isolation level, in processes of their own, as at `migrate` and `check --database default`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.core.checks import run_checks

from tests.proof import children
from tests.proof.strict_default import strict_default

POSTGRESQL = pytest.mark.skipif("postgres" not in os.environ.get("DATABASE_URL", ""), reason="only on PostgreSQL")


def run_check(**variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "check", "--database", "default"]
    environment = children.environment() | {"DJANGO_SETTINGS_MODULE": "tests.settings"} | variables
    return subprocess.run(command, env=environment, check=False, text=True, capture_output=True)


@pytest.mark.django_db
def test_this_database_runs_at_the_required_level() -> None:
    assert run_checks(databases=["default"]) == []


@POSTGRESQL
@pytest.mark.django_db(transaction=True)
@pytest.mark.real_clock(reason="runs manage.py check as a process")
def test_tollgate_sets_the_level_itself_and_the_check_reports_a_pooler_that_does_not_pass_it_on() -> None:
    with strict_default():
        direct, pooled = run_check(), run_check(DATABASE_POOLER="session")

    assert direct.returncode == 0, direct.stderr
    assert pooled.returncode == 1
    assert "config.E001" in pooled.stderr
    assert "outside transactions at the isolation level repeatable read" in pooled.stderr
    assert "in transactions at" not in pooled.stderr  # BEGIN states the level
