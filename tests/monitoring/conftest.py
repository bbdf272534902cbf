"""A request log that writes only when the test flushes it, and entries for it."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from pytest_django import Settings

from monitoring import recorder, request_rows


@pytest.fixture
def request_log(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[recorder.Recorder]:
    """The recorder of this process: enabled, empty and without its thread."""
    settings.REQUEST_LOG = True
    monkeypatch.setattr(recorder.Recorder, "_start", lambda _recorder: None)
    recorder._recorder._reset()
    yield recorder._recorder
    recorder._recorder._reset()


AT = datetime(2026, 11, 22, 9, 30, 15, tzinfo=UTC)


def entry(
    at: datetime = AT,
    route: str = "/api/v1/usage/",
    status: int = 200,
    duration_us: int = 3_000,
    user_agent: str = "",
    method: str = "POST",
    poll: bool = False,
) -> request_rows.RequestEntry:
    at_us = int(at.timestamp()) * 1_000_000 + at.microsecond
    return request_rows.RequestEntry(
        at_us, route, method, status, duration_us, 12, 34, None, None, "192.0.2.1", user_agent, poll
    )
