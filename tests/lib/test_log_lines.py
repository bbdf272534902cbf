"""A line of the log cannot be forged by what it tells, and holds no secret."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from lib import log_lines
from lib.log_lines import ConsoleLines, JsonLines


def record(message: str, *args: object, error: BaseException | None = None, **extra: object) -> logging.LogRecord:
    exc_info = (type(error), error, error.__traceback__) if error else None
    made = logging.LogRecord("billing", logging.WARNING, "x.py", 1, message, args, exc_info)
    made.created = 1795348800.25
    made.__dict__.update(extra)
    return made


@pytest.fixture
def _of_a_request() -> object:
    token = log_lines.request_id.set("abc-1")
    yield
    log_lines.request_id.reset(token)


@pytest.mark.usefixtures("_of_a_request")
def test_both_forms_say_when_how_bad_who_which_request_and_what() -> None:
    made = record("%d lost", 3, fields={"route": "/x/", "status": 500})
    assert ConsoleLines().format(made) == "2026-11-22T12:00:00.250+00:00 WARNING billing [abc-1] 3 lost"
    assert json.loads(JsonLines().format(made)) == {
        "time": "2026-11-22T12:00:00.250+00:00",
        "level": "WARNING",
        "logger": "billing",
        "message": "3 lost",
        "request_id": "abc-1",
        "route": "/x/",
        "status": 500,
    }


@pytest.mark.parametrize("sign", ["\n", "\r", "\x1b", "\0", "\x7f", "\x85", "\x9b", "\u2028", "\u2029", "\ud800"])
def test_a_control_character_is_told_not_written(sign: str) -> None:
    made = record(f"a{sign}b")
    line = ConsoleLines().format(made)
    assert line.endswith(f"a{ascii(sign)[1:-1]}b")
    assert JsonLines().format(made).isprintable()
    assert json.loads(JsonLines().format(made))["message"] == f"a{sign}b"


def test_a_traceback_is_indented_so_that_its_message_forges_no_line() -> None:
    try:
        raise ValueError("x\n2026-01-01 ERROR billing all is lost\x1b[2J")
    except ValueError as error:
        made = record("failed", error=error)
    first, *rest = ConsoleLines().format(made).split("\n")
    assert first.endswith("WARNING billing failed")
    assert all(line.startswith("    ") for line in rest)
    assert rest[-1] == "    2026-01-01 ERROR billing all is lost\\x1b[2J"
    assert json.loads(JsonLines().format(made))["traceback"].startswith("Traceback")


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("key tg_1a2b3c4d_s3cr-Et_x is bad", "key tg_1a2b3c4d_[...] is bad"),
        ("postgres://user:pa5s@host/db", "postgres://user:[...]@host/db"),
        ("Authorization: Bearer sk-123", "Authorization: Bearer [...]"),
        ("https://host/path:8@x", "https://host/path:8@x"),
        ("Not Found: /usage/invitation/s3cret/", "Not Found: /usage/invitation/[...]"),
        ("/usage/password/reset/Mg/s3cret/?a=1", "/usage/password/reset/[...]?a=1"),
        ("/usage/logs/", "/usage/logs/"),
    ],
)
def test_a_secret_is_left_out(told: str, kept: str) -> None:
    try:
        raise ValueError(told)
    except ValueError as error:
        made = record("%s", told, error=error)
    for line in (ConsoleLines().format(made), JsonLines().format(made)):
        assert line.count(kept) == 2
    assert sys.exc_info() == (None, None, None)
