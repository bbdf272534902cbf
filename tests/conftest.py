"""Fixtures that every test may use, and which tests run when."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core import serializers
from django.db import connection, transaction
from django.db.backends.base.creation import BaseDatabaseCreation
from django.db.models import Model
from django.test import Client
from hypothesis import settings as hypothesis_settings
from pytest_django.plugin import blocking_manager_key

from billing.accounts import access, accounts
from billing.models import Account

ROOT = Path(__file__).resolve().parent.parent
hypothesis_settings.register_profile("suite", deadline=None)  # a busy machine is no failure
hypothesis_settings.load_profile("suite")
APART = ("browser", "bench")  # run by targets of their own
pytest_plugins = ["tests.frozen_clock"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Against what the suite ran: told at the end, where -q shows it."""
    with config.stash[blocking_manager_key].unblock():
        terminalreporter.write_line(f"database: {connection.vendor} {_database_version()}")


def _database_version() -> str:
    if connection.vendor == "sqlite":
        return sqlite3.sqlite_version
    with connection._nodb_cursor() as cursor:
        cursor.execute("SELECT version()")
        return str(cursor.fetchone()[0])


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A newcomer's environment has no browser driver to import."""
    of_browser = collection_path.is_relative_to(ROOT / "tests" / "browser")
    return True if of_browser and "browser" not in config.getoption("markexpr") else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """`make test` leaves out what needs a browser or measures; -m says otherwise."""
    for item in items:
        _keep_what_migrations_made(item)
    if config.getoption("markexpr"):
        return
    apart = [item for item in items if any(item.get_closest_marker(name) for name in APART)]
    config.hook.pytest_deselected(items=apart)
    items[:] = [item for item in items if item not in apart]


def _keep_what_migrations_made(item: pytest.Item) -> None:
    """A test with real transactions empties every table afterwards: the shipped rules, prices and groups come back."""
    marker = item.get_closest_marker("django_db")
    if marker and marker.kwargs.get("transaction"):
        again = pytest.mark.django_db(*marker.args, **{**marker.kwargs, "serialized_rollback": True})
        item.add_marker(again, append=False)


@pytest.fixture(scope="session", autouse=True)
def _what_migrations_made_comes_back_in_bulk() -> Iterator[None]:
    """Django saves each of the thousand shipped rows by itself: by far the most of what such a test would take."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseDatabaseCreation, "deserialize_db_from_string", _restored)
        yield


def _restored(creation: BaseDatabaseCreation, data: str) -> None:
    alias = creation.connection.alias
    with transaction.atomic(using=alias), creation.connection.constraint_checks_disabled():
        for model, rows in _parsed(data, alias).items():
            model._base_manager.using(alias).bulk_create(
                rows, ignore_conflicts=True
            )  # before the first such test they are there


@cache
def _parsed(data: str, alias: str) -> dict[type[Model], list[Model]]:
    """The rows by their model; those of many-to-many fields under the model between."""
    found: dict[type[Model], list[Model]] = {}
    for one in serializers.deserialize("json", data, using=alias):
        found.setdefault(type(one.object), []).append(one.object)
        for name, others in (one.m2m_data or {}).items():
            field: Any = one.object._meta.get_field(name)
            ends = (field.m2m_field_name(), field.m2m_reverse_field_name())
            for other in others:
                between = field.remote_field.through(**{f"{ends[0]}_id": one.object.pk, f"{ends[1]}_id": other})
                found.setdefault(type(between), []).append(between)
    return found


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; a newcomer's clone has none."""
    folder = Path(os.environ.get("TOLLGATE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(
            f"no real data: TOLLGATE_DATA names no folder, and {folder.parent.name}/{folder.name} is not beside the project"
        )
    return folder


@pytest.fixture
def account(db: None, now: datetime) -> Account:
    account = accounts.new(external_id="acct_42", at=now)
    account.save(force_insert=True)
    return account


class Api:
    """A caller of the HTTP API with one key."""

    def __init__(self, *scopes: str, account: Account | None = None) -> None:
        self.key, self.token = access.create_key(
            name="test", scopes=scopes, at=datetime(2026, 1, 1, tzinfo=UTC), account=account
        )
        self.client = Client(raise_request_exception=False, headers={"authorization": f"Bearer {self.token}"})

    def post(self, path: str, body: Any, **headers: str) -> Any:
        return self.client.post(f"/api/v1/{path}", body, content_type="application/json", headers=headers)

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(f"/api/v1/{path}", query)


@pytest.fixture
def service(db: None) -> Api:
    """A service key with every scope."""
    return Api("ingest", "read", "limits", "manage")


@pytest.fixture
def bound(account: Account) -> Api:
    """A key of acct_42 with every scope."""
    return Api("ingest", "read", "limits", "manage", account=account)


def _member_of(group: str) -> Client:
    user = User.objects.create_user(group.lower(), email=f"{group.lower()}@example.com", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def operator(db: None) -> Client:
    """The admin as a member of the group Operator sees it."""
    return _member_of("Operator")


@pytest.fixture
def viewer(db: None) -> Client:
    """The admin as a member of the group Viewer sees it."""
    return _member_of("Viewer")
