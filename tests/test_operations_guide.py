"""docs/operations.md: its settings pass `check --deploy`, its units and commands exist, and its backups restore."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from django.core.management import get_commands
from granian.cli import cli

from tests.conftest import Api
from tests.proof import cluster
from tests.proof.cluster import BIN_FOLDERS, Cluster

ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "docs/operations.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", GUIDE, re.DOTALL)
SETTINGS = next(text for language, text in BLOCKS if language == "ini")
UNITS = [text for language, text in BLOCKS if language == "ini"][1:]
SHELL = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines()]
EVENT = '{"event_id": "e1", "account": "a", "provider": "openai", "model": "gpt-4o", "cost_usd": "1.5"}\n'


def environment(**overrides: str) -> dict[str, str]:
    """An environment without the settings of the test run."""
    inherited = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    return {**inherited, "DJANGO_SETTINGS_MODULE": "config.settings", **overrides}


def manage(settings: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "manage.py", *arguments]
    completed = subprocess.run(command, cwd=ROOT, env=settings, check=False, text=True, capture_output=True)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed.stdout + completed.stderr


def guide_command(part: str) -> str:
    """The only command of the guide that contains `part`."""
    lines: list[str] = [line for line in SHELL if part in line]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.real_clock(reason="runs a command as a process")
def test_its_settings_exist_and_check_deploy_finds_no_issues(tmp_path: Path) -> None:
    settings = dict(line.split("=", 1) for line in SETTINGS.splitlines())
    listed = set(re.findall(r"^# ([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert set(settings) <= listed
    settings["STATIC_ROOT"] = str(tmp_path)  # a folder that exists
    output = manage(environment(**settings), "check", "--deploy", "--fail-level", "DEBUG")
    assert output == "System check identified no issues (0 silenced).\n"


def test_every_setting_and_command_in_the_guide_exists() -> None:
    listed = set(re.findall(r"^# ([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert set(re.findall(r"`([A-Z]+_[A-Z_]+)(?:=\w+)?`", GUIDE)) <= listed
    assert set(re.findall(r"manage\.py (\w+)", GUIDE)) <= set(get_commands())


@pytest.mark.django_db
def test_every_metric_in_the_guide_is_exported() -> None:
    pytest.importorskip("prometheus_client", reason="the extra metrics is not installed")
    metrics = Api("read").client.get("/metrics").content.decode()
    named = set(re.findall(r"\btollgate_\w+", GUIDE))
    assert named
    assert {name for name in named if f"# TYPE {name} gauge\n" not in metrics} == set()


@pytest.mark.parametrize("unit", UNITS, ids=["server", "jobs"])
def test_its_units_start_existing_commands(unit: str) -> None:
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]  # as its documentation says
    parsed.read_string(unit)
    assert parsed.sections() == ["Unit", "Service", "Install"]
    program, *arguments = shlex.split(parsed["Service"]["ExecStart"])
    assert parsed["Service"]["Restart"] == "always"
    if program.endswith("/granian"):
        options = {option for parameter in cli.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert {argument for argument in arguments if argument.startswith("--")} <= options
    else:
        assert arguments == ["manage.py", "run_jobs", "--loop"]


def test_granian_gives_up_within_the_time_in_the_guide() -> None:
    """The unit restarts the service because of this limit; if granian changes it, the guide must change too."""
    from granian.server import common

    assert "<= 5.5" in Path(common.__file__).read_text()


@pytest.mark.no_database
@pytest.mark.real_clock(reason="runs commands and sqlite3")
@pytest.mark.skipif(not shutil.which("sqlite3"), reason="the sqlite3 program is not installed")
def test_a_backup_of_sqlite_restores(tmp_path: Path) -> None:
    live, backup = tmp_path / "live", tmp_path / "backup"
    live.mkdir()
    backup.mkdir()
    settings = environment(SECRET_KEY="x" * 50, VAR_DIR=str(live))
    _record(settings, tmp_path)

    def in_test_folders(command: str) -> str:
        return command.replace("/var/lib/tollgate", str(live)).replace("/backup", str(backup))

    subprocess.run(in_test_folders(guide_command("VACUUM")), shell=True, check=True)
    (live / "tollgate.sqlite3").write_bytes(b"damaged")
    for command in (guide_command("rm -f"), guide_command("cp "), guide_command("journal_mode")):
        subprocess.run(in_test_folders(command), shell=True, check=True)
    with closing(sqlite3.connect(live / "tollgate.sqlite3")) as restored:
        assert restored.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    _assert_complete(settings, tmp_path)


@pytest.fixture
def postgres() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="cluster-") as folder, cluster.running(Path(folder)) as started:
        yield started


@pytest.mark.real_clock(reason="runs commands and a database server")
def test_a_backup_of_postgresql_restores(postgres: Cluster, tmp_path: Path) -> None:
    settings = environment(SECRET_KEY="x" * 50, VAR_DIR=str(tmp_path), DATABASE_URL=postgres.url("postgres"))
    restored = {**settings, "DATABASE_URL": postgres.url("restored")}
    _record(settings, tmp_path)

    shell = environment(DATABASE_URL=settings["DATABASE_URL"], NEW_DATABASE_URL=restored["DATABASE_URL"])
    shell["PATH"] = f"{BIN_FOLDERS[-1]}:{shell['PATH']}"
    subprocess.run(guide_command("pg_dump").replace("/backup", str(tmp_path)), shell=True, check=True, env=shell)
    postgres.program("createdb", "-h", "127.0.0.1", "-p", str(postgres.port), "-U", "postgres", "restored")
    subprocess.run(guide_command("pg_restore").replace("/backup", str(tmp_path)), shell=True, check=True, env=shell)
    _assert_complete(restored, tmp_path)


def _record(settings: dict[str, str], folder: Path) -> None:
    manage(settings, "migrate", "--verbosity", "0")
    (folder / "usage.jsonl").write_text(EVENT)
    assert "1 read: 1 imported" in manage(settings, "import_usage", str(folder / "usage.jsonl"))


def _assert_complete(settings: dict[str, str], folder: Path) -> None:
    """The log equals its totals, and an event from before the backup is a duplicate."""
    assert " 0 differences." in manage(settings, "verify_ledger")
    assert "1 already stored" in manage(settings, "import_usage", str(folder / "usage.jsonl"))
