"""One line of the log a request, and the id that it shares with whoever sent it: `X-Request-ID`, in and out.

A middleware outside of all that answers. A line holds no path, query, address or user agent: those may be personal, or secret.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar

from django.core.signals import got_request_exception
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from lib import ids, log_lines

HEADER = "X-Request-ID"
WELL_FORMED = re.compile(r"[\w.:-]{1,64}", re.ASCII)
PROBES = frozenset({"/livez", "/readyz", "/metrics"})  # asked every few seconds by machines
Error = BaseException | None

logger = logging.getLogger("tollgate.request")
_error: ContextVar[Error] = ContextVar("error", default=None)


class RequestLineMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        got_request_exception.connect(_note, dispatch_uid="request line")  # Django's own way to tell what became a 500

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        id_, started = _id_of(request), time.perf_counter_ns()
        tokens = log_lines.request_id.set(id_), _error.set(None)
        try:
            response = self.get_response(request)
            _tell(request, response.status_code, _error.get(), started)
        finally:
            log_lines.request_id.reset(tokens[0])
            _error.reset(tokens[1])
        response.headers[HEADER] = id_
        return response


def _id_of(request: HttpRequest) -> str:
    """The sender's, where it is short and plain; else one that is made."""
    sent = request.headers.get("x-request-id", "")
    return sent if WELL_FORMED.fullmatch(sent) else str(ids.new_id())


def _note(**_signal: object) -> None:
    _error.set(sys.exc_info()[1])


def _tell(request: HttpRequest, status: int, error: Error, started: int) -> None:
    """A fault is an error, with its traceback; a database that is away is a warning, with no more than the error's name."""
    level = logging.ERROR if status == 500 else logging.WARNING if status > 500 else logging.INFO
    if not logger.isEnabledFor(level) or (level == logging.INFO and request.path_info in PROBES):
        return
    route = f"/{request.resolver_match.route}" if request.resolver_match else "unmatched"
    fields = {
        "method": (request.method or "")[:16],
        "route": route,
        "status": status,
        "ms": (time.perf_counter_ns() - started) // 1_000_000,
    }
    named = {"error": type(error).__name__} if error else {}
    told = " ".join(map(str, (*fields.values(), *named.values())))
    trace = error if status == 500 else None
    logger.log(level, "%s", told, extra={"fields": {**fields, **named}}, exc_info=trace)
