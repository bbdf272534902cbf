"""Middleware that writes one log line per request, with a request id: `X-Request-ID` of the request and the response.

The line has no path, query, address or user agent, because these may be personal or secret.
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
VALID_REQUEST_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
PROBES = frozenset({"/livez", "/readyz", "/metrics"})  # requested by machines every few seconds
Error = BaseException | None

logger = logging.getLogger("tollgate.request")
_error: ContextVar[Error] = ContextVar("error", default=None)


class RequestLineMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        got_request_exception.connect(
            _remember_error, dispatch_uid="request line"
        )  # the only way to learn which exception became a 500

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        id_, started = _request_id(request), time.perf_counter_ns()
        tokens = log_lines.request_id.set(id_), _error.set(None)
        try:
            response = self.get_response(request)
            _log_request(request, response.status_code, _error.get(), started)
        finally:
            log_lines.request_id.reset(tokens[0])
            _error.reset(tokens[1])
        response.headers[HEADER] = id_
        return response


def _request_id(request: HttpRequest) -> str:
    """The client's id if it is well-formed, else a new one."""
    client_id = request.headers.get("x-request-id", "")
    return client_id if VALID_REQUEST_ID.fullmatch(client_id) else str(ids.new_id())


def _remember_error(**_signal: object) -> None:
    _error.set(sys.exc_info()[1])


def _log_request(request: HttpRequest, status: int, error: Error, started: int) -> None:
    """A 500 is logged as an error with its traceback; a 503, such as a lost database, as a warning with the error's name."""
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
    if error:
        fields["error"] = type(error).__name__
    line = " ".join(map(str, fields.values()))
    logger.log(level, "%s", line, extra={"fields": fields}, exc_info=error if status == 500 else None)
