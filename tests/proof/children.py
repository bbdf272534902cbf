"""Child processes of a test: they get the test database through DATABASE_URL, as a deployed service does."""

from __future__ import annotations

import os
import sys
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


def report(line: str) -> None:
    """Prints a line that pytest shows if the test fails: what is needed to reproduce the failure."""
    sys.stdout.write(f"{line}\n")
