"""docs/operations.md: its settings are clean, its units and commands exist, and its backups can be restored."""

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
from tests.proof.cluster import PROGRAMS, Cluster

ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "docs/operations.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", GUIDE, re.DOTALL)
SETTINGS = next(text for kind, text in BLOCKS if kind == "ini")
UNITS = [text for kind, text in BLOCKS if kind == "ini"][1:]
SHELL = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
EVENT = '{"event_id": "e1", "account": "a", "provider": "openai", "model": "gpt-4o", "cost_usd": "1.5"}\n'


def environment(**ours: str) -> dict[str, str]:
    """Nothing of this test's own settings."""
    plain = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    return {**plain, "DJANGO_SETTINGS_MODULE": "config.settings", **ours}


def manage(settings: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=settings, check=False, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def told(part: str) -> str:
    """The one command of the guide that has this part."""
    lines: list[str] = [line for line in SHELL if part in line]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.real_clock(reason="runs a command as a process")
def test_its_settings_are_settings_and_check_deploy_has_nothing_to_say(tmp_path: Path) -> None:
    settings = dict(line.split("=", 1) for line in SETTINGS.splitlines())
    listed = set(re.findall(r"^# ([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert set(settings) <= listed
    settings["STATIC_ROOT"] = str(tmp_path)  # a folder that is there
    said = manage(environment(**settings), "check", "--deploy", "--fail-level", "DEBUG")
    assert said == "System check identified no issues (0 silenced).\n"


def test_every_setting_and_command_that_it_names_exists() -> None:
    listed = set(re.findall(r"^# ([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert set(re.findall(r"`([A-Z]+_[A-Z_]+)(?:=\w+)?`", GUIDE)) <= listed
    assert set(re.findall(r"manage\.py (\w+)", GUIDE)) <= set(get_commands())


@pytest.mark.django_db
def test_every_metric_that_it_names_is_told() -> None:
    pytest.importorskip("prometheus_client", reason="the extra metrics is not installed")
    told = Api("read").client.get("/metrics").content.decode()
    named = set(re.findall(r"\btollgate_\w+", GUIDE))
    assert named
    assert {name for name in named if f"# TYPE {name} gauge\n" not in told} == set()


@pytest.mark.parametrize("unit", UNITS, ids=["server", "jobs"])
def test_its_units_start_what_exists(unit: str) -> None:
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


def test_granian_gives_up_within_the_time_that_it_tells() -> None:
    """Why the unit restarts the service; where this fails, granian has changed, and the guide must."""
    from granian.server import common

    assert "<= 5.5" in Path(common.__file__).read_text()


@pytest.mark.real_clock(reason="runs commands and sqlite3")
@pytest.mark.skipif(not shutil.which("sqlite3"), reason="the sqlite3 program is not installed")
def test_a_backup_of_sqlite_restores(tmp_path: Path) -> None:
    live, backup = tmp_path / "live", tmp_path / "backup"
    live.mkdir()
    backup.mkdir()
    settings = environment(SECRET_KEY="x" * 50, VAR_DIR=str(live))
    _record(settings, tmp_path)

    def here(command: str) -> str:
        return command.replace("/var/lib/tollgate", str(live)).replace("/backup", str(backup))

    subprocess.run(here(told("VACUUM")), shell=True, check=True)
    (live / "tollgate.sqlite3").write_bytes(b"gone")
    for command in (told("rm -f"), told("cp "), told("journal_mode")):
        subprocess.run(here(command), shell=True, check=True)
    with closing(sqlite3.connect(live / "tollgate.sqlite3")) as restored:
        assert restored.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    _assert_whole(settings, tmp_path)


@pytest.fixture
def private() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="cluster-") as folder, cluster.running(Path(folder)) as started:
        yield started


@pytest.mark.real_clock(reason="runs commands and a database server")
def test_a_backup_of_postgresql_restores(private: Cluster, tmp_path: Path) -> None:
    settings = environment(SECRET_KEY="x" * 50, VAR_DIR=str(tmp_path), DATABASE_URL=private.url("postgres"))
    restored = {**settings, "DATABASE_URL": private.url("restored")}
    _record(settings, tmp_path)

    shell = environment(DATABASE_URL=settings["DATABASE_URL"], NEW_DATABASE_URL=restored["DATABASE_URL"])
    shell["PATH"] = f"{PROGRAMS[-1]}:{shell['PATH']}"
    subprocess.run(told("pg_dump").replace("/backup", str(tmp_path)), shell=True, check=True, env=shell)
    private.program("createdb", "-h", "127.0.0.1", "-p", str(private.port), "-U", "postgres", "restored")
    subprocess.run(told("pg_restore").replace("/backup", str(tmp_path)), shell=True, check=True, env=shell)
    _assert_whole(restored, tmp_path)


def _record(settings: dict[str, str], folder: Path) -> None:
    manage(settings, "migrate", "--verbosity", "0")
    (folder / "usage.jsonl").write_text(EVENT)
    assert "1 read: 1 came in" in manage(settings, "import_usage", str(folder / "usage.jsonl"))


def _assert_whole(settings: dict[str, str], folder: Path) -> None:
    """Equal to its totals, and what was stored before is known: sent again, it is a duplicate."""
    assert " 0 differences." in manage(settings, "verify_ledger")
    assert "1 were there already" in manage(settings, "import_usage", str(folder / "usage.jsonl"))
