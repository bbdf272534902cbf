"""`/metrics` for Prometheus, behind a service key with the scope read: what billing and monitoring read, as text.

Nothing is counted in the process: several serve, and each scrape meets another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

import billing.reports.metrics
import monitoring.metrics
from billing.accounts import access

try:
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
except ImportError:  # the extra `metrics` is not installed
    INSTALLED = False
else:
    INSTALLED = True

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
DAY = {
    "calls": "AI calls of this UTC day.",
    "errors": "Those that failed.",
    "tokens": "Tokens of this UTC day.",
    "cost_nano_usd": "Cost of this UTC day in 10^-9 USD, of priced calls.",
    "unpriced_calls": "Calls of this UTC day without a known price.",
    "fallback_calls": "Calls of this UTC day whose provider was not detected.",
}
MINUTES = {
    "calls": "AI calls received in the health window.",
    "errors": "Those that failed.",
    "response_ms": "Sum of their response times in milliseconds.",
}
ROUTES = {
    "requests": "Requests to this service in the health window.",
    "errors": "Those with a status of HEALTH_ERROR_FROM or above.",
    "microseconds": "Sum of their durations in microseconds.",
}


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    try:
        return _refusal(request) or _answer(timezone.now())
    except (OperationalError, InterfaceError):
        return _text("The database does not answer.\n", 503)


def _refusal(request: HttpRequest) -> HttpResponse | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    at = timezone.now()
    key = access.find_key(token.strip(), at=at) if scheme.lower() == "bearer" else None
    if key is None:
        answer = _text("A service key is needed, as a Bearer token.\n", 401)
        answer["WWW-Authenticate"] = 'Bearer realm="tollgate"'
        return answer
    if "read" not in key.scopes or key.account_id is not None:
        return _text("This needs a service key, of no account, with the scope read.\n", 403)
    access.note_use(key, at=at)
    return None


def _answer(at: datetime) -> HttpResponse:
    if not INSTALLED:
        return _text("The extra `metrics` (prometheus-client) is not installed.\n", 404)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures([*_usage(billing.reports.metrics.read(at)), *_service(monitoring.metrics.read(at))]))
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE)


class _Figures:
    """What a registry asks for its metrics."""

    def __init__(self, figures: Iterable[Metric]) -> None:
        self.figures = list(figures)

    def collect(self) -> Iterator[Metric]:
        yield from self.figures


def _usage(usage: billing.reports.metrics.Usage) -> Iterator[Metric]:
    yield from _table("tollgate_usage_day", DAY, "provider", usage.day)
    yield from _table("tollgate_provider_window", MINUTES, "provider", usage.minutes)
    deliveries = {state: [count] for state, count in usage.deliveries.items()}
    yield from _table(
        "tollgate", {"deliveries": "Alerts to be delivered, or given up within a day."}, "state", deliveries
    )


def _service(service: monitoring.metrics.Service) -> Iterator[Metric]:
    yield from _table("tollgate_http_window", ROUTES, "route", service.routes)
    classes = {f"{leading}xx": [count] for leading, count in sorted(service.classes.items())}
    by_class = {"class_requests": "Requests in the health window by class of status."}
    yield from _table("tollgate_http_window", by_class, "status", classes)
    text = "Milliseconds within which such a part of the requests in the health window was answered."
    quantiles = GaugeMetricFamily("tollgate_http_window_ms", text, labels=["quantile"])
    window = service.window
    for quantile, found in (("0.5", window.p50_ms), ("0.95", window.p95_ms), ("0.99", window.p99_ms)):
        if found is not None:
            quantiles.add_metric([quantile], found)
    yield quantiles
    yield from _jobs(service.jobs)
    yield GaugeMetricFamily(
        "tollgate_http_window_dropped", "Requests in the health window that were not logged.", window.dropped
    )


def _jobs(jobs: list[monitoring.metrics.JobState]) -> Iterator[Metric]:
    late = GaugeMetricFamily("tollgate_job_late_seconds", "Seconds since the job was due; 0: on time.", labels=["job"])
    well = GaugeMetricFamily("tollgate_job_well", "1 where its last run ended well.", labels=["job"])
    runs = CounterMetricFamily("tollgate_job_runs", "Runs of the job.", labels=["job"])
    failures = CounterMetricFamily("tollgate_job_failures", "Runs that failed or found trouble.", labels=["job"])
    for job in jobs:
        late.add_metric([job.name], job.late)
        well.add_metric([job.name], job.well)
        runs.add_metric([job.name], job.runs)
        failures.add_metric([job.name], job.failures)
    yield from (late, well, runs, failures)


def _table(prefix: str, columns: dict[str, str], label: str, rows: dict[str, list[int]]) -> Iterator[Metric]:
    """A gauge for each column, a line for each row."""
    for index, (name, text) in enumerate(columns.items()):
        gauge = GaugeMetricFamily(f"{prefix}_{name}", text, labels=[label])
        for value, counts in rows.items():
            gauge.add_metric([value], counts[index])
        yield gauge


def _text(text: str, status: int) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")
