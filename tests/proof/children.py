"""Processes of their own beside the test: they get the test's database through DATABASE_URL, as a service would."""

from __future__ import annotations

import os
import sys
from urllib.parse import quote

from django.conf import settings
from django.db import connection

SCHEMES = {"sqlite": "sqlite", "postgresql": "postgres", "mysql": "mysql"}


def environment() -> dict[str, str]:
    """This process' environment with the test database for the service's, and the test's secret."""
    return {**os.environ, "DATABASE_URL": database_url(), "SECRET_KEY": settings.SECRET_KEY}


def database_url() -> str:
    database = connection.settings_dict
    scheme = SCHEMES[connection.vendor]
    if scheme == "sqlite":
        return f"sqlite:///{database['NAME']}"
    login = quote(database["USER"]) + (f":{quote(database['PASSWORD'])}" if database["PASSWORD"] else "")
    port = f":{database['PORT']}" if database["PORT"] else ""
    return f"{scheme}://{login}@{database['HOST']}{port}/{database['NAME']}"


def tell(line: str) -> None:
    """A line that pytest shows when the test fails: what it takes to see the failure again."""
    sys.stdout.write(f"{line}\n")
