"""A server killed with SIGKILL loses at most a second of its request log and no usage; a stopped server loses nothing."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest

from bench.server import Server
from billing.accounts import access
from billing.models import UsageLog
from monitoring import recorder
from monitoring.models import ApiRequest, RequestHour, RequestMinute
from tests.proof import children

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.real_clock(reason="starts a server and kills it"),
]

LOAD_SECONDS = 4.0
MAX_WRITE_SECONDS = 1.0  # for one write of the request log on a busy machine


@pytest.fixture
def server() -> Iterator[Server]:
    """A server with the request log, which the test settings turn off."""
    with Server({**children.environment(), "DJANGO_SETTINGS_MODULE": "config.settings"}, workers=1) as server:
        yield server


def test_a_killed_server_loses_at_most_a_second_of_its_log_and_no_usage(server: Server) -> None:
    answered = _send(server)
    killed_at = time.monotonic()
    server.kill()

    logged = _logged_names()
    lost = [at for name, at in answered.items() if name not in logged]
    children.report(f"{len(answered)} answered, {len(lost)} not logged")
    assert len(answered) > 20
    assert logged <= answered.keys()
    assert [killed_at - at for at in lost if killed_at - at > recorder.FLUSH_SECONDS + MAX_WRITE_SECONDS] == []
    assert sorted(UsageLog.objects.values_list("event_id", flat=True)) == sorted(answered)
    assert _request_count(RequestMinute) == _request_count(RequestHour) == len(logged)


def test_a_stopped_server_logs_every_request(server: Server) -> None:
    answered = _send(server)
    server.stop()
    assert _logged_names() == answered.keys()
    assert _request_count(RequestMinute) == _request_count(RequestHour) == len(answered)


def _send(server: Server) -> dict[str, float]:
    """Sends events one by one, with the event id as user agent. Returns when each was acknowledged (seconds)."""
    _, token = access.create_key(name="proof", scopes=["ingest"], at=datetime.now(UTC))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    answered, deadline = dict[str, float](), time.monotonic() + LOAD_SECONDS
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        while time.monotonic() < deadline:
            name = f"event-{len(answered)}"
            event = {"event_id": name, "account": "acct_a", "provider": "openai", "model": "gpt-4o"}
            connection.request("POST", "/api/v1/usage/", json.dumps(event), {**headers, "User-Agent": name})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 201
            answered[name] = time.monotonic()
    return answered


def _logged_names() -> set[str]:
    return set(ApiRequest.objects.filter(route="/api/v1/usage/").values_list("user_agent", flat=True))


def _request_count(model: type[RequestMinute] | type[RequestHour]) -> int:
    return sum(model.objects.filter(route="/api/v1/usage/").values_list("requests", flat=True))
