"""What the request log adds to a request, beside no middleware, django-prometheus' two, and django-silk's."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

from django.core.handlers.wsgi import WSGIHandler
from django.db import connection
from django.test import RequestFactory, override_settings

from bench.outcome import Outcome, shown
from bench.rows import Sizes
from monitoring import recorder

OURS = ["monitoring.middleware.RequestLogMiddleware"]
THEIRS = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
REQUESTS, TARGET = 5_000, 1.0
WITH_NOTHING = 2.0  # times the cheapest view that there is
MOST_US = 40.0  # that a request may cost more

Handler = Callable[[], None]


def measure(sizes: Sizes) -> list[Outcome]:
    """CPU time of the whole process: our recorder's thread, which writes the rows, is counted in.

    And how much later the answer is there: the median of single requests while that thread writes.
    """
    bare, ours, theirs = costs([[], OURS, THEIRS], sizes.rounds + 2)
    what, added = f"request log, {connection.vendor}, added time", f"{shown(ours - bare)} us CPU a request"
    later = waits([[], OURS], sizes.rounds + 2)
    return [
        _against("limit", f"{MOST_US:g} us CPU", (ours - bare) / MOST_US, 1.0, what, added),
        _against("limit", f"{MOST_US:g} us", later / MOST_US, 1.0, what, f"{shown(later)} us later at p50"),
        _against("nothing", f"{shown(bare)} us in all", ours / bare, WITH_NOTHING, what, added),
        _against(
            "django-prometheus", f"{shown(theirs - bare)} us", (ours - bare) / (theirs - bare), TARGET, what, added
        ),
        _against("django-silk", f"{shown(silk := _silk())} us", (ours - bare) / silk, TARGET, what, added),
    ]


def costs(middleware: list[list[str]], rounds: int, requests: int = REQUESTS) -> list[float]:
    """Microseconds of CPU a request with each of these; called by bench.silk as well."""
    handlers = [_handler(one) for one in middleware]
    for handler in handlers:
        handler()
    turns = [[_cpu_us(handler, requests) for handler in handlers] for _ in range(rounds)]
    return [median(column) for column in zip(*turns, strict=True)]


def waits(middleware: list[list[str]], rounds: int) -> float:
    """Microseconds by which a request takes longer with the second of these than with the first, at the median."""
    handlers = [_handler(one) for one in middleware]
    turns = [[median(_times_us(handler)) for handler in handlers] for _ in range(rounds)]
    first, second = (median(column) for column in zip(*turns, strict=True))
    return float(second - first)


def _against(peer: str, cost: str, ratio: float, target: float, what: str, added: str) -> Outcome:
    return Outcome(what, added, f"{peer}: {cost}", ratio, target, at_most=True)


def _silk() -> float:
    """What django-silk adds. It is an app with tables: a process of its own has it installed."""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "bench.silk_settings"}
    command = [sys.executable, "-m", "bench.silk"]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.splitlines()[-1])


def _handler(middleware: list[str]) -> Handler:
    """The WSGI handler with this middleware alone, on the cheapest view that there is (and is logged)."""
    factory = RequestFactory()
    with override_settings(MIDDLEWARE=middleware):
        handler = WSGIHandler()

    def ask() -> None:
        request = factory.get("/")
        request.urlconf = "bench.one_view"  # Django reads it
        response = handler.get_response(request)
        if response.status_code != 204:
            raise RuntimeError("another answer than expected")
        response.close()

    return ask


def _cpu_us(ask: Handler, requests: int) -> float:
    started = time.process_time()
    for _ in range(requests):
        ask()
    recorder.flush()  # what the thread has not written yet
    return (time.process_time() - started) / requests * 1e6


def _times_us(ask: Handler) -> list[float]:
    times: list[float] = []
    for _ in range(REQUESTS):
        started = time.perf_counter()
        ask()
        times.append((time.perf_counter() - started) * 1e6)
    recorder.flush()
    return times
