"""The large data sets, each in a database that is created once and kept, for benchmarks that compare sizes.

`python -m bench.stored_databases [LOGS] [--full] [--drop]` creates those of PostgreSQL and, a tenth as large, of SQLite, or
drops them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from bench.benchmarks import DEFAULT_SIZES, FULL_SIZES
from bench.scratch_databases import ROOT, ScratchDatabases, Vendor, database_url

SMALL_LOGS = 10_000  # in the small data set, with which the others are compared
SMALL_DATABASE_VARIABLE = "SMALL_DATABASE"  # in a benchmark's environment: the database name or file
PREFIX = "tollgate_data_"
FOLDER = ROOT / "var"  # of the SQLite files
VENDORS: tuple[Vendor, ...] = ("postgresql", "sqlite")
MIB = 1024 * 1024


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.stored_databases", description=__doc__)
    parser.add_argument("logs", nargs="?", type=int, default=DEFAULT_SIZES.logs, help="number of logs in PostgreSQL")
    parser.add_argument("--full", action="store_true", help=f"the sizes of the targets: {FULL_SIZES.logs:,} logs")
    parser.add_argument("--drop", action="store_true", help="drop all stored data sets")
    arguments = parser.parse_args()
    if arguments.drop:
        drop()
        return
    with tempfile.TemporaryDirectory(prefix="tollgate-bench-") as folder:
        for vendor in VENDORS:
            logs = FULL_SIZES.logs if arguments.full else arguments.logs
            environment(ScratchDatabases(Path(folder)), vendor, logs)


def environment(scratch: ScratchDatabases, vendor: Vendor, logs: int) -> dict[str, str]:
    """The environment of a benchmark that runs on the data set of `logs` (SQLite: a tenth) and the small one."""
    large = data_set(scratch, vendor, logs if vendor == "postgresql" else logs // 10)
    small = data_set(scratch, vendor, SMALL_LOGS)
    return {**scratch.environment(large), SMALL_DATABASE_VARIABLE: urlsplit(small).path[1:]}


def data_set(scratch: ScratchDatabases, vendor: Vendor, logs: int) -> str:
    """The URL of the data set with `logs` logs, which is created if it is missing, else migrated."""
    name, started = f"{PREFIX}{logs}", time.monotonic()
    missing = not _bytes(vendor, name)
    if missing:
        _create(scratch, vendor, name, logs)
    else:
        scratch.migrate(_url(vendor, name))
    how = f"created in {time.monotonic() - started:.0f} s" if missing else "reused"
    print(f"{name} ({vendor}): {how}, {_bytes(vendor, name) // MIB:,} MiB", file=sys.stderr, flush=True)
    return _url(vendor, name)


def _create(scratch: ScratchDatabases, vendor: Vendor, name: str, logs: int) -> None:
    """Create under another name, and rename when complete."""
    unfinished = f"{name}_unfinished"
    _drop(vendor, unfinished)
    if vendor == "postgresql":
        _postgres("CREATE DATABASE {}", unfinished)
    url = _url(vendor, unfinished)
    scratch.migrate(url)
    command = [sys.executable, "-m", "bench.fill_data_set", str(logs)]
    subprocess.run(command, cwd=ROOT, env=scratch.environment(url), check=True)
    if vendor == "postgresql":
        _postgres("ALTER DATABASE {} RENAME TO {}", unfinished, name)
    else:
        _file(unfinished).rename(_file(name))


def drop() -> None:
    for name in [row[0] for row in _postgres("SELECT datname FROM pg_database")]:
        if name.startswith(PREFIX):
            _drop("postgresql", name)
    for file in FOLDER.glob(f"{PREFIX}*.sqlite3"):
        _drop("sqlite", file.stem)


def _drop(vendor: Vendor, name: str) -> None:
    if vendor == "postgresql":
        _postgres("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)
    else:
        for file in FOLDER.glob(f"{name}.sqlite3*"):
            file.unlink()


def _bytes(vendor: Vendor, name: str) -> int:
    """The size on disk; 0 if it does not exist."""
    if vendor == "sqlite":
        return _file(name).stat().st_size if _file(name).exists() else 0
    sizes = dict(_postgres("SELECT datname, pg_database_size(datname) FROM pg_database"))
    return int(sizes.get(name, 0))


def _url(vendor: Vendor, name: str) -> str:
    return f"sqlite:///{_file(name)}" if vendor == "sqlite" else database_url(vendor, name)


def _file(name: str) -> Path:
    FOLDER.mkdir(exist_ok=True)
    return FOLDER / f"{name}.sqlite3"


def _postgres(statement: str, *names: str) -> list[tuple[Any, ...]]:
    query = sql.SQL(statement).format(*map(sql.Identifier, names))
    with psycopg.connect(database_url("postgresql", "postgres"), autocommit=True) as connection:
        cursor = connection.execute(query)
        return cursor.fetchall() if cursor.description else []


if __name__ == "__main__":
    main()
