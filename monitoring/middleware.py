"""The outermost middleware: passes each answered request to the recorder, without a database access of its own."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from lib import client_address
from monitoring import recorder
from monitoring.request_rows import RequestEntry

# Requested by machines every few seconds: they would fill the log and make a broken service look healthy.
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
        recorder.add(_entry(request, response.status_code, _response_length(response), started))
        return response


def _entry(request: HttpRequest, status: int, length: int | None, started: int) -> RequestEntry:
    caller = getattr(request, "tollgate_caller", None)
    match, meta = request.resolver_match, request.META  # cheaper than `headers`, which Django builds from it
    return RequestEntry(
        time.time_ns() // 1000,
        f"/{match.route}" if match else "unmatched",
        request.method or "",
        status,
        (time.perf_counter_ns() - started) // 1000,
        _parse_length(meta.get("CONTENT_LENGTH")),
        length,
        getattr(caller, "account_id", None),
        getattr(caller, "key_id", None),
        client_address.from_request(request),
        meta.get("HTTP_USER_AGENT", "")[:500],  # bounds the memory of 20,000 buffered entries
        meta.get("HTTP_X_TOLLGATE_POLL") == "1" and request.method == "GET",
    )


def _parse_length(length: str | None) -> int | None:
    """The declared size of the body; None for a chunked body or an invalid value."""
    return int(length) if length and len(length) < 16 and length.isascii() and length.isdigit() else None


def _response_length(response: HttpResponseBase) -> int | None:
    return len(response.content) if isinstance(response, HttpResponse) else None
