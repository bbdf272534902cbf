"""CPU time and latency that the request log adds to a request, against no middleware, django-prometheus and django-silk."""

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

from bench.benchmarks import Sizes
from bench.measurement import Measurement, format_number
from monitoring import recorder

TOLLGATE = ["monitoring.middleware.RequestLogMiddleware"]
DJANGO_PROMETHEUS = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
REQUESTS, TARGET = 5_000, 1.0
MAX_RATIO_TO_NO_MIDDLEWARE = 2.0  # to the CPU time of the cheapest possible view
MAX_ADDED_US = 40.0  # CPU time and median latency per request

Handler = Callable[[], None]


def measure(sizes: Sizes) -> list[Measurement]:
    """Added CPU time of the whole process, with the recorder's thread that writes the rows, and added median latency."""
    without, ours, theirs = cpu_us_per_request([[], TOLLGATE, DJANGO_PROMETHEUS], sizes.rounds + 2)
    what, added = f"request log, {connection.vendor}, added time", f"{format_number(ours - without)} us CPU a request"
    latency = added_latency_us([[], TOLLGATE], sizes.rounds + 2)
    return [
        _comparison("limit", f"{MAX_ADDED_US:g} us CPU", (ours - without) / MAX_ADDED_US, 1.0, what, added),
        _comparison(
            "limit",
            f"{MAX_ADDED_US:g} us",
            latency / MAX_ADDED_US,
            1.0,
            what,
            f"{format_number(latency)} us later at p50",
        ),
        _comparison(
            "nothing", f"{format_number(without)} us in all", ours / without, MAX_RATIO_TO_NO_MIDDLEWARE, what, added
        ),
        _comparison(
            "django-prometheus",
            f"{format_number(theirs - without)} us",
            (ours - without) / (theirs - without),
            TARGET,
            what,
            added,
        ),
        _comparison(
            "django-silk", f"{format_number(silk := _silk_cpu_us())} us", (ours - without) / silk, TARGET, what, added
        ),
    ]


def cpu_us_per_request(middleware: list[list[str]], rounds: int, requests: int = REQUESTS) -> list[float]:
    """CPU microseconds per request with each of the middleware lists."""
    handlers = [_request_handler(names) for names in middleware]
    for handler in handlers:
        handler()
    turns = [[_measure_cpu_us(handler, requests) for handler in handlers] for _ in range(rounds)]
    return [median(column) for column in zip(*turns, strict=True)]


def added_latency_us(middleware: list[list[str]], rounds: int) -> float:
    """By how many microseconds the median request takes longer with the second middleware list than with the first."""
    handlers = [_request_handler(names) for names in middleware]
    turns = [[median(_measure_times_us(handler)) for handler in handlers] for _ in range(rounds)]
    first, second = (median(column) for column in zip(*turns, strict=True))
    return float(second - first)


def _comparison(peer: str, cost: str, ratio: float, target: float, what: str, added: str) -> Measurement:
    return Measurement(what, added, f"{peer}: {cost}", ratio, target, at_most=True)


def _silk_cpu_us() -> float:
    """The CPU microseconds that django-silk adds, measured in a process with django-silk installed as an app."""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "bench.silk_settings"}
    command = [sys.executable, "-m", "bench.silk_overhead"]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.splitlines()[-1])


def _request_handler(middleware: list[str]) -> Handler:
    """A function that sends one request through only this middleware to the cheapest view that is still logged."""
    factory = RequestFactory()
    with override_settings(MIDDLEWARE=middleware):
        handler = WSGIHandler()

    def send_request() -> None:
        request = factory.get("/")
        request.urlconf = "bench.empty_view"  # overrides ROOT_URLCONF
        response = handler.get_response(request)
        if response.status_code != 204:
            raise RuntimeError("the view did not answer 204")
        response.close()

    return send_request


def _measure_cpu_us(send_request: Handler, requests: int) -> float:
    started = time.process_time()
    for _ in range(requests):
        send_request()
    recorder.flush()  # includes what the thread has not written yet
    return (time.process_time() - started) / requests * 1e6


def _measure_times_us(send_request: Handler) -> list[float]:
    times: list[float] = []
    for _ in range(REQUESTS):
        started = time.perf_counter()
        send_request()
        times.append((time.perf_counter() - started) * 1e6)
    recorder.flush()
    return times
