"""Values in a log line cannot forge another line, and secrets are redacted."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from lib import log_lines
from lib.log_lines import ConsoleFormatter, JsonFormatter


def record(message: str, *args: object, error: BaseException | None = None, **extra: object) -> logging.LogRecord:
    exc_info = (type(error), error, error.__traceback__) if error else None
    log_record = logging.LogRecord("billing", logging.WARNING, "x.py", 1, message, args, exc_info)
    log_record.created = 1795348800.25
    log_record.__dict__.update(extra)
    return log_record


@pytest.fixture
def _in_a_request() -> object:
    token = log_lines.request_id.set("abc-1")
    yield
    log_lines.request_id.reset(token)


@pytest.mark.usefixtures("_in_a_request")
def test_both_formats_contain_time_level_logger_request_id_and_message() -> None:
    log_record = record("%d lost", 3, fields={"route": "/x/", "status": 500})
    assert ConsoleFormatter().format(log_record) == "2026-11-22T12:00:00.250+00:00 WARNING billing [abc-1] 3 lost"
    assert json.loads(JsonFormatter().format(log_record)) == {
        "time": "2026-11-22T12:00:00.250+00:00",
        "level": "WARNING",
        "logger": "billing",
        "message": "3 lost",
        "request_id": "abc-1",
        "route": "/x/",
        "status": 500,
    }


@pytest.mark.parametrize("character", ["\n", "\r", "\x1b", "\0", "\x7f", "\x85", "\x9b", "\u2028", "\u2029", "\ud800"])
def test_a_control_character_is_escaped(character: str) -> None:
    log_record = record(f"a{character}b")
    line = ConsoleFormatter().format(log_record)
    assert line.endswith(f"a{ascii(character)[1:-1]}b")
    assert JsonFormatter().format(log_record).isprintable()
    assert json.loads(JsonFormatter().format(log_record))["message"] == f"a{character}b"


def test_a_traceback_is_indented_so_that_its_message_cannot_forge_a_line() -> None:
    try:
        raise ValueError("x\n2026-01-01 ERROR billing all is lost\x1b[2J")
    except ValueError as error:
        log_record = record("failed", error=error)
    first, *rest = ConsoleFormatter().format(log_record).split("\n")
    assert first.endswith("WARNING billing failed")
    assert all(line.startswith("    ") for line in rest)
    assert rest[-1] == "    2026-01-01 ERROR billing all is lost\\x1b[2J"
    assert json.loads(JsonFormatter().format(log_record))["traceback"].startswith("Traceback")


@pytest.mark.parametrize(
    ("text", "redacted"),
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
def test_a_secret_is_redacted(text: str, redacted: str) -> None:
    try:
        raise ValueError(text)
    except ValueError as error:
        log_record = record("%s", text, error=error)
    for line in (ConsoleFormatter().format(log_record), JsonFormatter().format(log_record)):
        assert line.count(redacted) == 2
    assert sys.exc_info() == (None, None, None)
