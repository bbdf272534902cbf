"""Child processes of a test: they get the test database through DATABASE_URL, as a deployed service does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from urllib.parse import quote

from django.conf import settings
from django.db import connection

SCHEMES = {"sqlite": "sqlite", "postgresql": "postgres", "mysql": "mysql"}


def environment() -> dict[str, str]:
    """The environment of this process, with the test database and the secret key of the tests."""
    return {**os.environ, "DATABASE_URL": database_url(), "SECRET_KEY": settings.SECRET_KEY}


def database_url() -> str:
    database = connection.settings_dict
    scheme = SCHEMES[connection.vendor]
    if scheme == "sqlite":
        return f"sqlite:///{database['NAME']}"
    login = quote(database["USER"]) + (f":{quote(database['PASSWORD'])}" if database["PASSWORD"] else "")
    port = f":{database['PORT']}" if database["PORT"] else ""
    return f"{scheme}://{login}@{database['HOST']}{port}/{database['NAME']}"


def race(commands: Sequence[Sequence[str]], **variables: str) -> list[list[int]]:
    """Run `python -m` with each of `commands` and let them start together. Returns the numbers that each prints at its end.

    A command prints "ready", waits for a line, works, and prints whole numbers.
    """
    child_environment = environment() | {"DJANGO_SETTINGS_MODULE": "tests.settings"} | variables
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", *command],
            env=child_environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for command in commands
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return [_read_numbers(process) for process in processes]


def _read_numbers(process: subprocess.Popen[str]) -> list[int]:
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return [int(number) for number in out.split()]


def report(line: str) -> None:
    """Prints a line that pytest shows if the test fails: what is needed to reproduce the failure."""
    sys.stdout.write(f"{line}\n")
