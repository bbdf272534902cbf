"""A request log that is on, and that writes when the test says so instead of from its thread."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from pytest_django import Settings

from monitoring import recorder, request_rows


@pytest.fixture
def request_log(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[recorder.Recorder]:
    """The recorder in use, empty, without its thread."""
    settings.REQUEST_LOG = True
    monkeypatch.setattr(recorder.Recorder, "_start", lambda _recorder: None)
    recorder._recorder._begin()
    yield recorder._recorder
    recorder._recorder._begin()


AT = datetime(2026, 11, 22, 9, 30, 15, tzinfo=UTC)


def entry(
    at: datetime = AT,
    route: str = "/api/v1/usage/",
    status: int = 200,
    duration_us: int = 3_000,
    user_agent: str = "",
    method: str = "POST",
    poll: bool = False,
) -> request_rows.Entry:
    at_us = int(at.timestamp()) * 1_000_000 + at.microsecond
    return request_rows.Entry(
        at_us, route, method, status, duration_us, 12, 34, None, None, "192.0.2.1", user_agent, poll
    )
