"""A part that fails is logged and reported; a database that does not answer stops everything."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NoReturn

import pytest
from django.db import DataError, InterfaceError, OperationalError

from lib import isolation
from lib.jobs import ProblemFound


class Stop(Exception):
    pass


def failing(error: Exception) -> Callable[[], NoReturn]:
    def work() -> NoReturn:
        raise error

    return work


def test_the_result_of_a_part_is_returned() -> None:
    problems: list[str] = []
    assert isolation.attempt(lambda: 7, name="a", problems=problems) == 7
    assert problems == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KeyError("No time zone found with key Mars/Olympus"), "KeyError: 'No time zone found with key Mars/Olympus'"),
        (DataError("bigint out of range\nDETAIL: row"), "DataError: bigint out of range"),
        (OverflowError(), "OverflowError"),
        (OperationalError("integer overflow"), "OperationalError: integer overflow"),
        (
            OperationalError(1205, "Lock wait timeout exceeded"),
            "OperationalError: (1205, 'Lock wait timeout exceeded')",
        ),
        (ValueError("x" * 500), f"ValueError: {'x' * 108}"),
    ],
)
def test_an_error_of_a_part_is_logged_and_named(
    error: Exception, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    problems: list[str] = []
    assert isolation.attempt(failing(error), name="acct_1", problems=problems) is None
    assert problems == [f"acct_1: {reason}"]
    (record,) = caplog.records
    assert (record.levelno, record.message, record.exc_info and record.exc_info[1]) == (
        logging.ERROR,
        "acct_1 failed",
        error,
    )


@pytest.mark.parametrize(
    "error", [OperationalError("the connection is lost"), OperationalError(2006, "gone away"), InterfaceError(), Stop()]
)
def test_a_database_that_is_away_and_a_deliberate_stop_are_raised(error: Exception) -> None:
    problems: list[str] = []
    with pytest.raises(type(error)):
        isolation.attempt(failing(error), name="a", problems=problems, passing=(Stop,))
    assert problems == []


def test_a_summary_names_ten_problems_and_counts_the_rest() -> None:
    assert isolation.finish("3 done", []) == "3 done"
    with pytest.raises(ProblemFound, match=r"^3 done; 2 failed: a: x; b: y$"):
        isolation.finish("3 done", ["a: x", "b: y"])
    with pytest.raises(ProblemFound) as raised:
        isolation.finish("3 done", [f"a{number}: x" for number in range(13)])
    names = "; ".join(f"a{number}: x" for number in range(10))
    assert str(raised.value) == f"3 done; 13 failed: {names}; and 3 more"
