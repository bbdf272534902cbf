"""The large data sets, each in a database of its own that is made once and stays: for rows that compare sizes.

`python -m bench.stored_databases [LOGS] [--full] [--drop]` makes those of PostgreSQL and, a tenth as large, of SQLite,
or drops them.
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

from bench.rows import FULL, MODERATE
from bench.scratch import ROOT, Scratch, Vendor, with_name

SMALL = 10_000  # logs of the data set that all others are compared with
PEER = "SMALL_DATABASE"  # in a row's environment: its name, or its file
PREFIX = "tollgate_data_"
FOLDER = ROOT / "var"  # of the SQLite files
VENDORS: tuple[Vendor, ...] = ("postgresql", "sqlite")
MIB = 1024 * 1024


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.stored_databases", description=__doc__)
    parser.add_argument("logs", nargs="?", type=int, default=MODERATE.logs, help="in PostgreSQL")
    parser.add_argument("--full", action="store_true", help=f"the sizes of the targets: {FULL.logs:,} logs")
    parser.add_argument("--drop", action="store_true", help="drop every data set that was kept")
    asked = parser.parse_args()
    if asked.drop:
        drop()
        return
    with tempfile.TemporaryDirectory(prefix="tollgate-bench-") as folder:
        for vendor in VENDORS:
            environment(Scratch(Path(folder)), vendor, FULL.logs if asked.full else asked.logs)


def environment(scratch: Scratch, vendor: Vendor, logs: int) -> dict[str, str]:
    """Of a row that runs on the data set of `logs` (in SQLite a tenth), beside the small one."""
    large = data_set(scratch, vendor, logs if vendor == "postgresql" else logs // 10)
    small = data_set(scratch, vendor, SMALL)
    return {**scratch.environment(large), PEER: urlsplit(small).path[1:]}


def data_set(scratch: Scratch, vendor: Vendor, logs: int) -> str:
    """The URL of the data set with so many logs: made where it is not there yet, migrated where it is."""
    name, started = f"{PREFIX}{logs}", time.monotonic()
    made = not _bytes(vendor, name)
    if made:
        _make(scratch, vendor, name, logs)
    else:
        scratch.migrate(_url(vendor, name))
    how = f"made in {time.monotonic() - started:.0f} s" if made else "used again"
    print(f"{name} ({vendor}): {how}, {_bytes(vendor, name) // MIB:,} MiB", file=sys.stderr, flush=True)
    return _url(vendor, name)


def _make(scratch: Scratch, vendor: Vendor, name: str, logs: int) -> None:
    """Under another name until it is whole."""
    unfinished = f"{name}_unfinished"
    _drop(vendor, unfinished)
    if vendor == "postgresql":
        _postgres("CREATE DATABASE {}", unfinished)
    url = _url(vendor, unfinished)
    scratch.migrate(url)
    subprocess.run([sys.executable, "-m", "bench.fill", str(logs)], cwd=ROOT, env=scratch.environment(url), check=True)
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
    """How much it takes; 0 where it is not there."""
    if vendor == "sqlite":
        return _file(name).stat().st_size if _file(name).exists() else 0
    sizes = dict(_postgres("SELECT datname, pg_database_size(datname) FROM pg_database"))
    return int(sizes.get(name, 0))


def _url(vendor: Vendor, name: str) -> str:
    return f"sqlite:///{_file(name)}" if vendor == "sqlite" else with_name(vendor, name)


def _file(name: str) -> Path:
    FOLDER.mkdir(exist_ok=True)
    return FOLDER / f"{name}.sqlite3"


def _postgres(statement: str, *names: str) -> list[tuple[Any, ...]]:
    query = sql.SQL(statement).format(*map(sql.Identifier, names))
    with psycopg.connect(with_name("postgresql", "postgres"), autocommit=True) as connection:
        cursor = connection.execute(query)
        return cursor.fetchall() if cursor.description else []


if __name__ == "__main__":
    main()
