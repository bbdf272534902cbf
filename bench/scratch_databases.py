"""Temporary databases of the benchmarks: migrated once per vendor, copied for each benchmark, and dropped."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent
Vendor = Literal["postgresql", "sqlite", "mysql"]
SERVER_URLS = {
    "postgresql": ("POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/"),
    "mysql": ("MARIADB_URL", "mysql://root@127.0.0.1:3306/"),
}


class ScratchDatabases:
    """The databases of one run; `folder` is temporary."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = f"tollgate_bench_{os.getpid()}"
        self._migrated: set[Vendor] = set()
        self._secret = secrets.token_urlsafe(50)

    def environment(self, url: str) -> dict[str, str]:
        """The environment of a service on this database, without effective rate limits."""
        return {
            **os.environ,
            "DATABASE_URL": url,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "SECRET_KEY": self._secret,
            "VAR_DIR": str(self._folder),
            "API_RATE": "1000000/second",
            "LOG_LEVEL": "ERROR",
        }

    @contextmanager
    def database(self, vendor: Vendor) -> Iterator[str]:
        """Yield the URL of a migrated, empty database, and drop it afterwards."""
        if vendor == "mysql":  # has no template databases: migrated for each benchmark
            self._mysql(f"CREATE DATABASE {self._name} CHARACTER SET utf8mb4")
        elif vendor not in self._migrated:
            self._create_template(vendor)
            self._migrated.add(vendor)
        try:
            yield self._copy(vendor)
        finally:
            self._drop(vendor)

    def close(self) -> None:
        if "postgresql" in self._migrated:
            self._postgres("DROP DATABASE IF EXISTS {} WITH (FORCE)", f"{self._name}_template")

    def _create_template(self, vendor: Vendor) -> None:
        if vendor == "postgresql":
            self._postgres("CREATE DATABASE {}", f"{self._name}_template")
            self.migrate(database_url(vendor, f"{self._name}_template"))
        else:
            self.migrate(f"sqlite:///{self._folder / 'template.sqlite3'}")

    def _copy(self, vendor: Vendor) -> str:
        if vendor == "sqlite":
            shutil.copy(self._folder / "template.sqlite3", self._folder / "bench.sqlite3")
            return f"sqlite:///{self._folder / 'bench.sqlite3'}"
        url = database_url(vendor, self._name)
        if vendor == "postgresql":
            self._postgres("CREATE DATABASE {} TEMPLATE {}", self._name, f"{self._name}_template")
        else:
            self.migrate(url)
        return url

    def _drop(self, vendor: Vendor) -> None:
        if vendor == "postgresql":
            self._postgres("DROP DATABASE IF EXISTS {} WITH (FORCE)", self._name)
        elif vendor == "mysql":
            self._mysql(f"DROP DATABASE {self._name}")
        else:
            for file in self._folder.glob("bench.sqlite3*"):
                file.unlink()

    def migrate(self, url: str) -> None:
        command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(command, cwd=ROOT, env=self.environment(url), check=True, stdout=subprocess.DEVNULL)

    def _postgres(self, statement: str, *names: str) -> None:
        query = sql.SQL(statement).format(*(sql.Identifier(name) for name in names))
        with psycopg.connect(database_url("postgresql", "postgres"), autocommit=True) as connection:
            connection.execute(query)

    def _mysql(self, statement: str) -> None:
        import MySQLdb  # an extra, needed only here

        url = urlsplit(database_url("mysql", ""))
        login = {"host": url.hostname, "port": url.port or 3306, "user": url.username, "passwd": url.password or ""}
        connection = MySQLdb.connect(**login)
        connection.cursor().execute(statement)
        connection.close()


def database_url(vendor: Vendor, name: str) -> str:
    variable, default = SERVER_URLS[vendor]
    return urlsplit(os.environ.get(variable) or default)._replace(path=f"/{name}").geturl()
