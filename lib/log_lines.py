"""How a line of the log looks: for people or as JSON, with the id of its request, without control characters and secrets.

Used by LOGGING in the settings. The id is set by config.request_lines for as long as a request is answered.
"""

from __future__ import annotations

import json
import logging
import re
from contextvars import ContextVar
from datetime import UTC, datetime

request_id: ContextVar[str] = ContextVar("request_id", default="")

# Keys of ours, log-ins within addresses, and the tokens of invitations and new passwords: an error's message may hold them.
_SECRET = re.compile(
    r"(\btg_[0-9a-z]+_)[\w-]+|(://[^\s/:@]*:)[^\s/@]+(?=@)|(\bbearer\s+)(?!tg_)\S+"
    r"|(/usage/(?:invitation|password/reset)/)[^\s?]+",
    re.IGNORECASE,
)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CONTROL_BUT_NEWLINE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class ConsoleLines(logging.Formatter):
    """`time LEVEL logger [request id] message`; a traceback follows, indented, so that no line of it passes for another."""

    def format(self, record: logging.LogRecord) -> str:
        id_ = request_id.get()
        parts = (_time(record), record.levelname, record.name, f"[{id_}]" if id_ else "", _message(record))
        line = _CONTROL.sub(_escaped, " ".join(part for part in parts if part))
        trace = _CONTROL_BUT_NEWLINE.sub(_escaped, _trace(self, record))
        return "\n    ".join([line, *trace.split("\n")]) if trace else line


class JsonLines(logging.Formatter):
    """One object a line, in ASCII. What the record's `fields` hold comes beside its message."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
            "request_id": request_id.get(),
            **getattr(record, "fields", {}),
            "traceback": _trace(self, record),
        }
        return json.dumps({name: value for name, value in line.items() if value != ""}, default=str)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _message(record: logging.LogRecord) -> str:
    return _SECRET.sub(_kept, record.getMessage())


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return _SECRET.sub(_kept, formatter.formatException(record.exc_info)) if record.exc_info else ""


def _kept(secret: re.Match[str]) -> str:
    return f"{next(part for part in secret.groups() if part)}[...]"


def _escaped(sign: re.Match[str]) -> str:
    return ascii(sign[0])[1:-1]
