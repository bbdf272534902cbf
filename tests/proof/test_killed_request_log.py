"""A server killed with SIGKILL loses at most a second of its request log, and no usage; one that is stopped loses nothing."""

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

SECONDS = 4.0  # under load
WRITE = 1.0  # what one write of the log may take on a busy machine


@pytest.fixture
def server() -> Iterator[Server]:
    """With the request log, which the tests' settings switch off."""
    with Server({**children.environment(), "DJANGO_SETTINGS_MODULE": "config.settings"}, workers=1) as server:
        yield server


def test_a_killed_server_loses_a_second_of_its_log_at_most_and_no_usage(server: Server) -> None:
    answered = _send(server)
    killed = time.monotonic()
    server.kill()

    logged = _logged()
    lost = [at for name, at in answered.items() if name not in logged]
    children.tell(f"{len(answered)} answered, {len(lost)} not logged")
    assert len(answered) > 20
    assert logged <= answered.keys()
    assert [killed - at for at in lost if killed - at > recorder.SECONDS + WRITE] == []
    assert sorted(UsageLog.objects.values_list("event_id", flat=True)) == sorted(answered)
    assert _counted(RequestMinute) == _counted(RequestHour) == len(logged)


def test_a_stopped_server_logs_every_request(server: Server) -> None:
    answered = _send(server)
    server.stop()
    assert _logged() == answered.keys()
    assert _counted(RequestMinute) == _counted(RequestHour) == len(answered)


def _send(server: Server) -> dict[str, float]:
    """Events one after the other, each named in its request's user agent too: when each was acknowledged."""
    _, token = access.create_key(name="proof", scopes=["ingest"], at=datetime.now(UTC))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    answered, until = dict[str, float](), time.monotonic() + SECONDS
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        while time.monotonic() < until:
            name = f"event-{len(answered)}"
            event = {"event_id": name, "account": "acct_a", "provider": "openai", "model": "gpt-4o"}
            connection.request("POST", "/api/v1/usage/", json.dumps(event), {**headers, "User-Agent": name})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 201
            answered[name] = time.monotonic()
    return answered


def _logged() -> set[str]:
    return set(ApiRequest.objects.filter(route="/api/v1/usage/").values_list("user_agent", flat=True))


def _counted(model: type[RequestMinute] | type[RequestHour]) -> int:
    return sum(model.objects.filter(route="/api/v1/usage/").values_list("requests", flat=True))
