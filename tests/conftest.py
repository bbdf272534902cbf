"""Fixtures for all tests, and the selection of the tests to run."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core import serializers
from django.db import DatabaseError, connection, transaction
from django.db.backends.base.creation import BaseDatabaseCreation
from django.db.models import Model
from django.test import Client
from hypothesis import settings as hypothesis_settings
from pytest_django import DjangoDbBlocker
from pytest_django.plugin import blocking_manager_key

from billing.accounts import access, accounts
from billing.models import Account, ApiKey, UsageLog
from lib import rate_limit
from monitoring import recorder
from monitoring.models import ApiRequest, JobRun, RequestMinute
from providers.models import Provider

ROOT = Path(__file__).resolve().parent.parent
hypothesis_settings.register_profile("suite", deadline=None)  # a slow machine is not a failure
hypothesis_settings.load_profile("suite")
SEPARATE_MARKERS = ("browser", "bench")  # markers of tests with make targets of their own
DATABASE_FIXTURES = frozenset({"db", "transactional_db", "django_db_setup", "live_server"})
pytest_plugins = ["tests.frozen_clock"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Prints the database of this run at the end, where -q shows it."""
    with config.stash[blocking_manager_key].unblock():
        terminalreporter.write_line(f"database: {connection.vendor} {_database_version()}")


def _database_version() -> str:
    if connection.vendor == "sqlite":
        return sqlite3.sqlite_version
    with connection._nodb_cursor() as cursor:
        cursor.execute("SELECT version()")
        return str(cursor.fetchone()[0])


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Ignores browser tests unless -m selects them: a minimal environment has no browser driver to import."""
    is_browser_test = collection_path.is_relative_to(ROOT / "tests" / "browser")
    return True if is_browser_test and "browser" not in config.getoption("markexpr") else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects tests that need a browser or measure speed, unless -m is given."""
    for item in items:
        _restore_migrated_rows(item)
        _mark_without_database(item)
    if config.getoption("markexpr"):
        return
    separate = [item for item in items if any(item.get_closest_marker(name) for name in SEPARATE_MARKERS)]
    config.hook.pytest_deselected(items=separate)
    items[:] = [item for item in items if item not in separate]


def _mark_without_database(item: pytest.Item) -> None:
    """Marks what runs alike on every database: pytest-django lets it open no connection, and it starts no process."""
    marked = any(item.get_closest_marker(name) for name in ("django_db", "real_clock", "skipif"))
    if not marked and not DATABASE_FIXTURES.intersection(getattr(item, "fixturenames", ())):
        item.add_marker("no_database")


def _restore_migrated_rows(item: pytest.Item) -> None:
    """Restores the shipped rules, prices and groups after a test with real transactions, which empties all tables."""
    marker = item.get_closest_marker("django_db")
    if marker and marker.kwargs.get("transaction"):
        restoring = pytest.mark.django_db(*marker.args, **{**marker.kwargs, "serialized_rollback": True})
        item.add_marker(restoring, append=False)


@pytest.fixture(scope="session", autouse=True)
def _restore_migrated_rows_in_bulk() -> Iterator[None]:
    """Django would save each of the thousand shipped rows separately, which takes longer than the test itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseDatabaseCreation, "deserialize_db_from_string", _restore)
        yield


@pytest.fixture(scope="session")
def django_db_createdb(
    django_db_createdb: bool,
    django_db_keepdb: bool,
    django_db_modify_db_settings: None,
    django_db_blocker: DjangoDbBlocker,
) -> bool:
    """Recreate a database of --reuse-db that a killed session left in the middle of a test."""
    return django_db_createdb or (django_db_keepdb and not _is_as_migrated(django_db_blocker))


def _is_as_migrated(blocker: DjangoDbBlocker) -> bool:
    """Whether the test database has the shipped rows, and none that only tests create."""
    service = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = connection.creation._get_test_db_name()  # type: ignore[attr-defined]  # missing in the stubs
    try:
        with blocker.unblock():
            test_models = (Account, ApiKey, ApiRequest, JobRun, RequestMinute, UsageLog, User)
            return Provider.objects.exists() and not any(model._base_manager.exists() for model in test_models)
    except DatabaseError:
        return False  # no database yet, or one of other migrations
    finally:
        connection.close()
        connection.settings_dict["NAME"] = service


@pytest.fixture(scope="session")
def django_db_setup(
    django_db_setup: None, django_db_keepdb: bool, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """Restore the shipped rows for the next --reuse-db session: the last transactional test has emptied all tables."""
    yield
    contents = getattr(connection, "_test_serialized_contents", None)
    if django_db_keepdb and contents:
        with django_db_blocker.unblock():
            _restore(connection.creation, contents)
            connection.close()


@pytest.fixture(autouse=True)
def _request_log_has_no_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start no thread that would write into later tests, on a connection that no rollback reaches."""
    monkeypatch.setattr(recorder._recorder, "_start", lambda: None)
    yield
    recorder._recorder._buffer.clear()


def _restore(creation: BaseDatabaseCreation, data: str) -> None:
    alias = creation.connection.alias
    with transaction.atomic(using=alias), creation.connection.constraint_checks_disabled():
        for model, rows in _rows_by_model(data, alias).items():
            # Before the first such test, the rows exist already.
            model._base_manager.using(alias).bulk_create(rows, ignore_conflicts=True)


@cache
def _rows_by_model(data: str, alias: str) -> dict[type[Model], list[Model]]:
    """The rows by model; those of many-to-many fields are under the intermediate model."""
    rows: dict[type[Model], list[Model]] = {}
    for parsed in serializers.deserialize("json", data, using=alias):
        rows.setdefault(type(parsed.object), []).append(parsed.object)
        for name, related_ids in (parsed.m2m_data or {}).items():
            field: Any = parsed.object._meta.get_field(name)
            ends = (field.m2m_field_name(), field.m2m_reverse_field_name())
            for related_id in related_ids:
                link = field.remote_field.through(**{f"{ends[0]}_id": parsed.object.pk, f"{ends[1]}_id": related_id})
                rows.setdefault(type(link), []).append(link)
    return rows


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; skips the test where there is none."""
    folder = Path(os.environ.get("TOLLGATE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(
            f"no real data: TOLLGATE_DATA names no folder, and {folder.parent.name}/{folder.name} is not beside the project"
        )
    return folder


@pytest.fixture(scope="session")
def genai_prices() -> None:
    """Skips the test if the extra `prices` is missing, and fails it in a full environment (`make venv-all`)."""
    try:
        import genai_prices  # noqa: F401
    except ModuleNotFoundError:
        if (Path(sys.prefix) / ".all").exists():
            pytest.fail("requirements-all.lock is installed, but genai-prices is missing")
        pytest.skip("genai-prices is not installed: run `make venv-all` or install the extra `prices`")


@pytest.fixture(autouse=True)
def _rate_limits_begin_at_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "_counts", {})


@pytest.fixture
def account(db: None, now: datetime) -> Account:
    account = accounts.build(external_id="acct_42", at=now)
    account.save(force_insert=True)
    return account


class Api:
    """A client of the HTTP API with its own key."""

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
    """A client with a service key for all accounts, with every scope."""
    return Api("ingest", "read", "limits", "manage")


@pytest.fixture
def bound(account: Account) -> Api:
    """A client whose key is bound to acct_42, with every scope."""
    return Api("ingest", "read", "limits", "manage", account=account)


def _member_of(group: str) -> Client:
    user = User.objects.create_user(group.lower(), email=f"{group.lower()}@example.com", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def operator(db: None) -> Client:
    """A client logged in as staff in the group Operator."""
    return _member_of("Operator")


@pytest.fixture
def viewer(db: None) -> Client:
    """A client logged in as staff in the group Viewer."""
    return _member_of("Viewer")
