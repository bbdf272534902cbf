"""Metered calls under faults: open transactions, database outages, concurrent calls, and replayed log lines."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection, transaction

from billing.models import Account, UsageLog, UsageReservation
from billing.recording.metered_call import CallRefused, NotRecorded, metered_call
from tests.billing.ledger_rows import rollup_differences
from tests.billing.plan_limits import set_limits, used_and_reserved
from tests.conftest import Api

pytestmark = pytest.mark.django_db(transaction=True)

VIDEO_CALL: dict[str, Any] = {"account": "acct_42", "provider": "video", "category": "video", "model": "wan-2.5"}
VIDEO_CALL["served_by"] = "wavespeed"  # $0.25
OUTAGE = "the database is away"
MAX_CALLS, THREADS = 3, 8


@pytest.fixture(autouse=True)
def _no_limits(account: Account) -> None:
    set_limits({})


def stored() -> tuple[int, list[tuple[str, bool]]]:
    return UsageLog.objects.count(), list(UsageReservation.objects.order_by("id").values_list("state", "over"))


class FailingWrites:
    """Fails the next `times` writes to the usage log."""

    def __init__(self, times: int) -> None:
        self.times = times

    def __call__(self, execute: Callable[..., Any], sql: str, *more: Any) -> Any:
        if self.times and "api_usage_logs" in sql and not sql.startswith("SELECT"):
            self.times -= 1
            raise OperationalError(OUTAGE)
        return execute(sql, *more)


def run_during_outage(times: int, failure: Exception | None = None) -> Any:
    """Runs one call; the first `times` attempts to record it fail."""
    with connection.execute_wrapper(FailingWrites(times)), metered_call(**VIDEO_CALL) as call:
        call.response({"id": "v1"})
        if failure:
            raise failure
    return call


def import_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The events that the error log offers for import, as JSON."""
    return [
        record.getMessage().partition("Import this line: ")[2]
        for record in caplog.records
        if record.levelname == "ERROR"
    ]


def test_inside_a_transaction_a_call_is_refused_before_it_runs() -> None:
    ran = []
    with (
        transaction.atomic(),
        pytest.raises(RuntimeError, match="transaction"),
        metered_call(**VIDEO_CALL, reserve=False),
    ):
        ran.append(True)
    assert (ran, stored()) == ([], (0, []))


def test_without_autocommit_a_call_is_refused_before_it_runs() -> None:
    ran = []
    transaction.set_autocommit(False)
    try:
        with pytest.raises(RuntimeError, match="transaction"), metered_call(**VIDEO_CALL):
            ran.append(True)
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)
    assert (ran, stored()) == ([], (0, []))


def test_a_connection_lost_during_the_call_is_replaced(account: Account, now: datetime) -> None:
    call = run_during_outage(1)
    assert (call.result.status, call.result.cost_nano) == ("accepted", 250_000_000)
    assert (stored(), rollup_differences()) == ((1, [("settled", False)]), [])


def test_a_commit_whose_confirmation_was_lost_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit succeeds, but the connection breaks before it is confirmed."""
    commit = connection._commit  # type: ignore[attr-defined]
    commit_state = {"break": False, "broken": False}

    def commit_and_disconnect() -> None:
        commit()
        if commit_state["break"]:
            commit_state.update({"break": False, "broken": True})
            raise OperationalError(OUTAGE)

    monkeypatch.setattr(connection, "_commit", commit_and_disconnect)
    with metered_call(**VIDEO_CALL) as call:
        commit_state["break"] = True
    assert call.result is not None
    assert (commit_state["broken"], call.result.status, call.result.cost_nano) == (True, "duplicate", 250_000_000)
    assert (stored(), rollup_differences()) == ((1, [("settled", False)]), [])


def test_usage_that_cannot_be_stored_is_raised_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(NotRecorded) as raised:
        run_during_outage(2)

    assert str(raised.value.__cause__) == OUTAGE
    assert raised.value.response == {"id": "v1"}
    assert [json.loads(line) for line in import_lines(caplog)] == [raised.value.event]
    assert raised.value.event["model"] == "wan-2.5"
    assert stored() == (0, [("held", False)])  # the reservation expires by itself


def test_the_logged_line_can_be_imported_once(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, account: Account, now: datetime
) -> None:
    with pytest.raises(NotRecorded):
        run_during_outage(2)
    file = tmp_path / "lost.jsonl"
    file.write_text("\n".join(import_lines(caplog)))

    for _ in range(2):
        call_command("import_usage", str(file))
        assert (stored(), used_and_reserved(account, now, "video_calls")) == ((1, [("settled", False)]), (1, 0))
    assert (UsageLog.objects.get().timestamp, rollup_differences()) == (now, [])


def test_the_logged_event_can_be_sent_over_http(caplog: pytest.LogCaptureFixture, service: Api) -> None:
    with pytest.raises(NotRecorded) as raised:
        run_during_outage(2)
    assert service.post("usage/", raised.value.event).status_code == 201
    assert stored() == (1, [("settled", False)])


def test_an_exception_of_the_call_is_not_hidden_by_a_database_error(caplog: pytest.LogCaptureFixture) -> None:
    failure = ValueError("the call itself")
    with pytest.raises(ValueError, match="the call itself") as raised:
        run_during_outage(2, failure)
    assert raised.value is failure
    (line,) = import_lines(caplog)
    assert json.loads(line)["error_message"] == "ValueError: the call itself"
    assert stored() == (0, [("held", False)])


@pytest.mark.parametrize("used", [{"image": 1}, {"images": -1}, {"seconds": "1e9"}, {"cached_input_tokens": 5}])
def test_invalid_usage_is_raised_and_logged(used: Any, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(NotRecorded) as raised, metered_call(**VIDEO_CALL) as call:
        call.used(**used)
    assert raised.value.event["usage"] == used
    assert [json.loads(line)["usage"] for line in import_lines(caplog)] == [used]
    assert stored() == (0, [("held", False)])


def test_a_call_does_not_run_during_a_database_outage() -> None:
    def fail(execute: Any, *query: Any) -> None:
        raise OperationalError(OUTAGE)

    ran = []
    with connection.execute_wrapper(fail), pytest.raises(OperationalError, match=OUTAGE), metered_call(**VIDEO_CALL):
        ran.append(True)
    assert (ran, stored()) == ([], (0, []))


def test_threads_never_exceed_the_limit(account: Account, now: datetime) -> None:
    set_limits({"video_calls": MAX_CALLS})
    start, all_decided = threading.Barrier(THREADS), threading.Barrier(THREADS)

    def attempt(_: int) -> bool:
        start.wait()
        try:
            with metered_call(**VIDEO_CALL):
                all_decided.wait()
                return True
        except CallRefused:
            all_decided.wait()
            return False
        finally:
            connection.close()

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(attempt, range(THREADS))) == MAX_CALLS
    assert (stored(), used_and_reserved(account, now, "video_calls")) == (
        (MAX_CALLS, [("settled", False)] * MAX_CALLS),
        (MAX_CALLS, 0),
    )
    assert rollup_differences() == []
