"""Metered calls when something goes wrong around them: transactions, a database that is away, rivals, and replays."""

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
from billing.verification import rollup_check
from tests.billing.caps import cap, standing
from tests.conftest import Api

pytestmark = pytest.mark.django_db(transaction=True)

VIDEO: dict[str, Any] = {"account": "acct_42", "provider": "video", "category": "video", "model": "wan-2.5"}
VIDEO["served_by"] = "wavespeed"  # $0.25
AWAY = "the database is away"
CAP, THREADS = 3, 8


@pytest.fixture(autouse=True)
def _no_limits(account: Account) -> None:
    cap({})


def stored() -> tuple[int, list[tuple[str, bool]]]:
    return UsageLog.objects.count(), list(UsageReservation.objects.order_by("id").values_list("state", "over"))


def differences() -> list[str]:
    with transaction.atomic():
        return [str(one) for part in rollup_check.check() for one in part.differences]


class Away:
    """Every query fails from the n-th insert into the log on, as often as it is told."""

    def __init__(self, times: int) -> None:
        self.times = times

    def __call__(self, execute: Callable[..., Any], sql: str, *more: Any) -> Any:
        if self.times and "api_usage_logs" in sql and not sql.startswith("SELECT"):
            self.times -= 1
            raise OperationalError(AWAY)
        return execute(sql, *more)


def run_while_away(times: int, failure: Exception | None = None) -> Any:
    """One call during which the database goes away, for so many attempts at recording it."""
    with connection.execute_wrapper(Away(times)), metered_call(**VIDEO) as call:
        call.response({"id": "v1"})
        if failure:
            raise failure
    return call


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage().partition("Import this line: ")[2]
        for record in caplog.records
        if record.levelname == "ERROR"
    ]


def test_inside_a_transaction_a_call_is_refused_before_it_runs() -> None:
    ran = []
    with transaction.atomic(), pytest.raises(RuntimeError, match="transaction"), metered_call(**VIDEO, reserve=False):
        ran.append(True)
    assert (ran, stored()) == ([], (0, []))


def test_without_autocommit_a_call_is_refused_before_it_runs() -> None:
    ran = []
    transaction.set_autocommit(False)
    try:
        with pytest.raises(RuntimeError, match="transaction"), metered_call(**VIDEO):
            ran.append(True)
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)
    assert (ran, stored()) == ([], (0, []))


def test_a_connection_that_was_lost_while_the_call_ran_is_replaced(account: Account, now: datetime) -> None:
    call = run_while_away(1)
    assert (call.result.status, call.result.cost_nano) == ("accepted", 250_000_000)
    assert (stored(), differences()) == ((1, [("settled", False)]), [])


def test_a_commit_whose_answer_was_lost_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit went through, the connection broke before it said so."""
    commit = connection._commit  # type: ignore[attr-defined]
    told = {"lost": False, "to lose": False}

    def lose() -> None:
        commit()
        if told["to lose"]:
            told.update({"lost": True, "to lose": False})
            raise OperationalError(AWAY)

    monkeypatch.setattr(connection, "_commit", lose)
    with metered_call(**VIDEO) as call:
        told["to lose"] = True
    assert call.result is not None
    assert (told["lost"], call.result.status, call.result.cost_nano) == (True, "duplicate", 250_000_000)
    assert (stored(), differences()) == ((1, [("settled", False)]), [])


def test_usage_that_cannot_be_stored_is_told_and_kept_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(NotRecorded) as raised:
        run_while_away(2)

    assert str(raised.value.__cause__) == AWAY
    assert raised.value.response == {"id": "v1"}
    assert [json.loads(line) for line in lines(caplog)] == [raised.value.event]
    assert raised.value.event["model"] == "wan-2.5"
    assert stored() == (0, [("held", False)])  # its room frees itself when the time is over


def test_the_line_in_the_log_brings_the_usage_in_once(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, account: Account, now: datetime
) -> None:
    with pytest.raises(NotRecorded):
        run_while_away(2)
    file = tmp_path / "lost.jsonl"
    file.write_text("\n".join(lines(caplog)))

    for _ in range(2):
        call_command("import_usage", str(file))
        assert (stored(), standing(account, now, "video_calls")) == ((1, [("settled", False)]), (1, 0))
    assert (UsageLog.objects.get().timestamp, differences()) == (now, [])


def test_the_line_in_the_log_may_be_sent_over_http(caplog: pytest.LogCaptureFixture, service: Api) -> None:
    with pytest.raises(NotRecorded) as raised:
        run_while_away(2)
    assert service.post("usage/", raised.value.event).status_code == 201
    assert stored() == (1, [("settled", False)])


def test_an_error_of_the_call_is_not_hidden_by_one_of_the_database(caplog: pytest.LogCaptureFixture) -> None:
    failure = ValueError("the call itself")
    with pytest.raises(ValueError, match="the call itself") as raised:
        run_while_away(2, failure)
    assert raised.value is failure
    (line,) = lines(caplog)
    assert json.loads(line)["error_message"] == "ValueError: the call itself"
    assert stored() == (0, [("held", False)])


@pytest.mark.parametrize("used", [{"image": 1}, {"images": -1}, {"seconds": "1e9"}, {"cached_input_tokens": 5}])
def test_usage_that_cannot_be_taken_is_told_and_kept_in_the_log(used: Any, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(NotRecorded) as raised, metered_call(**VIDEO) as call:
        call.used(**used)
    assert raised.value.event["usage"] == used
    assert [json.loads(line)["usage"] for line in lines(caplog)] == [used]
    assert stored() == (0, [("held", False)])


def test_a_database_that_is_away_before_the_call_keeps_it_from_running() -> None:
    def away(execute: Any, *query: Any) -> None:
        raise OperationalError(AWAY)

    ran = []
    with connection.execute_wrapper(away), pytest.raises(OperationalError, match=AWAY), metered_call(**VIDEO):
        ran.append(True)
    assert (ran, stored()) == ([], (0, []))


def test_threads_never_pass_the_cap(account: Account, now: datetime) -> None:
    cap({"video_calls": CAP})
    start, decided = threading.Barrier(THREADS), threading.Barrier(THREADS)

    def attempt(_: int) -> bool:
        start.wait()
        try:
            with metered_call(**VIDEO):
                decided.wait()
                return True
        except CallRefused:
            decided.wait()
            return False
        finally:
            connection.close()

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(attempt, range(THREADS))) == CAP
    assert (stored(), standing(account, now, "video_calls")) == ((CAP, [("settled", False)] * CAP), (CAP, 0))
    assert differences() == []
