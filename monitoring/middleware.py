"""The outermost middleware: hands every answered request to the recorder. Touches no database itself."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from lib import client_address
from monitoring import recorder
from monitoring.request_rows import Entry

# Asked every few seconds by machines: they would drown the log, and make a broken service look healthy.
PROBES = frozenset({"/livez", "/readyz", "/metrics"})


class RequestLogMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        if not settings.REQUEST_LOG:
            raise MiddlewareNotUsed
        self.get_response = get_response
        self.static = settings.STATIC_URL

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info in PROBES or request.path_info.startswith(self.static):
            return self.get_response(request)
        started = time.perf_counter_ns()
        try:
            response = self.get_response(request)
        except BaseException:
            recorder.add(_entry(request, 500, None, started))
            raise
        recorder.add(_entry(request, response.status_code, _length(response), started))
        return response


def _entry(request: HttpRequest, status: int, length: int | None, started: int) -> Entry:
    caller = getattr(request, "tollgate_caller", None)
    match, sent = request.resolver_match, request.META  # `headers` would be made of it first
    return Entry(
        time.time_ns() // 1000,
        f"/{match.route}" if match else "unmatched",
        request.method or "",
        status,
        (time.perf_counter_ns() - started) // 1000,
        _length_of(sent.get("CONTENT_LENGTH")),
        length,
        getattr(caller, "account_id", None),
        getattr(caller, "key_id", None),
        client_address.of_request(request),
        sent.get("HTTP_USER_AGENT", "")[:500],  # or 20,000 huge ones could be held
        sent.get("HTTP_X_TOLLGATE_POLL") == "1" and request.method == "GET",
    )


def _length_of(length: str | None) -> int | None:
    """The declared size of the body. None for a chunked body, and for junk, which is no size."""
    return int(length) if length and len(length) < 16 and length.isascii() and length.isdigit() else None


def _length(response: HttpResponseBase) -> int | None:
    return len(response.content) if isinstance(response, HttpResponse) else None
