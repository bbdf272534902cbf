"""Log formatters, as text or JSON: they add the request id, escape control characters and redact secrets."""

from __future__ import annotations

import json
import logging
import re
from contextvars import ContextVar
from datetime import UTC, datetime

request_id: ContextVar[str] = ContextVar("request_id", default="")

# API keys, credentials in URLs, and the tokens of invitations and password resets: error messages may contain them.
_SECRET = re.compile(
    r"(\btg_[0-9a-z]+_)[\w-]+|(://[^\s/:@]*:)[^\s/@]+(?=@)|(\bbearer\s+)(?!tg_)\S+"
    r"|(/usage/(?:invitation|password/reset)/)[^\s?]+",
    re.IGNORECASE,
)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CONTROL_BUT_NEWLINE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class ConsoleFormatter(logging.Formatter):
    """`time LEVEL logger [request id] message`. A traceback follows, indented so that it cannot pass for a log line."""

    def format(self, record: logging.LogRecord) -> str:
        id_ = request_id.get()
        words = (
            _format_time(record),
            record.levelname,
            record.name,
            f"[{id_}]" if id_ else "",
            _format_message(record),
        )
        line = _CONTROL.sub(_escape, " ".join(word for word in words if word))
        trace = _CONTROL_BUT_NEWLINE.sub(_escape, _format_traceback(self, record))
        return "\n    ".join([line, *trace.split("\n")]) if trace else line


class JsonFormatter(logging.Formatter):
    """One ASCII JSON object per line. The record's `fields` become keys beside its message."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _format_time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": _format_message(record),
            "request_id": request_id.get(),
            **getattr(record, "fields", {}),
            "traceback": _format_traceback(self, record),
        }
        return json.dumps({name: value for name, value in line.items() if value != ""}, default=str)


def _format_time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _format_message(record: logging.LogRecord) -> str:
    return _SECRET.sub(_redact, record.getMessage())


def _format_traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return _SECRET.sub(_redact, formatter.formatException(record.exc_info)) if record.exc_info else ""


def _redact(secret: re.Match[str]) -> str:
    return f"{next(prefix for prefix in secret.groups() if prefix)}[...]"


def _escape(character: re.Match[str]) -> str:
    return ascii(character[0])[1:-1]
