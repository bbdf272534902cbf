"""What the request log adds to a request, against django-prometheus' two middlewares (where that is installed)."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from statistics import median

from django.core.handlers.wsgi import WSGIHandler
from django.test import RequestFactory, override_settings

from bench.outcome import Outcome, shown
from bench.rows import Sizes

OURS = ["monitoring.middleware.RequestLogMiddleware"]
THEIRS = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
REQUESTS, TARGET = 5_000, 1.0

Handler = Callable[[], None]


def measure(sizes: Sizes) -> list[Outcome]:
    """CPU time of the whole process: our recorder's thread, which writes the rows, is counted in."""
    has_peer = importlib.util.find_spec("django_prometheus") is not None
    handlers = [_handler([]), _handler(OURS), *([_handler(THEIRS)] if has_peer else [])]
    for handler in handlers:
        handler()
    turns = [[_cpu_us(handler) for handler in handlers] for _ in range(sizes.rounds + 2)]
    bare, ours, *theirs = (median(column) for column in zip(*turns, strict=True))
    added = f"{shown(ours - bare)} us CPU a request"
    what = "request-log middleware, added time"
    if not theirs:
        return [Outcome(what, added, "django-prometheus: not installed", None, TARGET, at_most=True)]
    peer = f"django-prometheus: {shown(theirs[0] - bare)} us"
    return [Outcome(what, added, peer, (ours - bare) / (theirs[0] - bare), TARGET, at_most=True)]


def _handler(middleware: list[str]) -> Handler:
    """The WSGI handler with this middleware alone, on the cheapest view that there is (and is logged)."""
    factory = RequestFactory()
    with override_settings(MIDDLEWARE=middleware):
        handler = WSGIHandler()

    def ask() -> None:
        response = handler.get_response(factory.get("/"))
        if response.status_code != 302:  # `/` sends on to the admin
            raise RuntimeError("another answer than expected")
        response.close()

    return ask


def _cpu_us(ask: Handler) -> float:
    started = time.process_time()
    for _ in range(REQUESTS):
        ask()
    return (time.process_time() - started) / REQUESTS * 1e6
