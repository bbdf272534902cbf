"""`/metrics` for Prometheus: figures of billing and monitoring, for a service key with the scope read.

All figures come from the database, because each scrape may reach another process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from math import ceil

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

import billing.reports.metrics
import monitoring.metrics
from billing.accounts import access
from billing.api import throttling

try:
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
except ImportError:  # the extra `metrics` is not installed
    INSTALLED = False
else:
    INSTALLED = True

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
DAY_GAUGES = {
    "calls": "AI calls of this UTC day.",
    "errors": "Failed AI calls of this UTC day.",
    "tokens": "Tokens of this UTC day.",
    "cost_nano_usd": "Cost of the priced calls of this UTC day, in nano-USD (10^-9 USD).",
    "unpriced_calls": "Calls of this UTC day without a known price.",
    "estimated_calls": "Calls of this UTC day whose cost is an estimate.",
    "fallback_calls": "Calls of this UTC day whose provider was not detected.",
}
PROVIDER_GAUGES = {
    "calls": "AI calls received in the health window.",
    "errors": "Failed AI calls received in the health window.",
    "response_ms": "Sum of the response times of AI calls in the health window, in milliseconds.",
}
ROUTE_GAUGES = {
    "requests": "Requests to this service in the health window.",
    "errors": "Requests in the health window with a status of HEALTH_ERROR_FROM or above.",
    "microseconds": "Sum of the durations of requests in the health window, in microseconds.",
}


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    try:
        return _authorization_error(request) or _metrics_response(timezone.now())
    except (OperationalError, InterfaceError):
        return _text_response("The database does not answer.\n", 503)


def _authorization_error(request: HttpRequest) -> HttpResponse | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    at = timezone.now()
    key = access.find_key(token.strip(), at=at) if scheme.lower() == "bearer" else None
    if key is None and not throttling.allow_anonymous(request):
        response = _text_response("Too many requests without a usable key.\n", 429)
        response["Retry-After"] = str(ceil(throttling.seconds_to_wait()))
        return response
    if key is None:
        response = _text_response("Send a service key as a Bearer token.\n", 401)
        response["WWW-Authenticate"] = 'Bearer realm="tollgate"'
        return response
    if "read" not in key.scopes or key.account_id is not None:
        return _text_response("Use a service key that is not bound to an account and has the scope read.\n", 403)
    access.record_key_use(key, at=at)
    return None


def _metrics_response(at: datetime) -> HttpResponse:
    if not INSTALLED:
        return _text_response("The extra `metrics` (prometheus-client) is not installed.\n", 404)
    registry = CollectorRegistry(auto_describe=False)
    usage, service = billing.reports.metrics.load(at), monitoring.metrics.load(at)
    registry.register(_StaticCollector([*_usage_metrics(usage), *_service_metrics(service)]))
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE)


class _StaticCollector:
    """Gives a registry ready-made metrics."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self.metrics = list(metrics)

    def collect(self) -> Iterator[Metric]:
        yield from self.metrics


def _usage_metrics(usage: billing.reports.metrics.UsageFigures) -> Iterator[Metric]:
    yield from _gauges("tollgate_usage_day", DAY_GAUGES, "provider", usage.day)
    yield from _gauges("tollgate_provider_window", PROVIDER_GAUGES, "provider", usage.minutes)
    deliveries = {state: [count] for state, count in usage.deliveries.items()}
    yield from _gauges(
        "tollgate",
        {"deliveries": "Alert deliveries that are pending, or were given up in the last 24 hours."},
        "state",
        deliveries,
    )


def _service_metrics(service: monitoring.metrics.ServiceFigures) -> Iterator[Metric]:
    yield from _gauges("tollgate_http_window", ROUTE_GAUGES, "route", service.routes)
    classes = {f"{digit}xx": [count] for digit, count in sorted(service.requests_by_class.items())}
    class_gauge = {"class_requests": "Requests in the health window by status class."}
    yield from _gauges("tollgate_http_window", class_gauge, "status", classes)
    text = "Quantiles of the duration of requests in the health window, in milliseconds."
    quantiles = GaugeMetricFamily("tollgate_http_window_ms", text, labels=["quantile"])
    total = service.total
    for quantile, value in (("0.5", total.p50_ms), ("0.95", total.p95_ms), ("0.99", total.p99_ms)):
        if value is not None:
            quantiles.add_metric([quantile], value)
    yield quantiles
    yield from _job_metrics(service.jobs)
    yield GaugeMetricFamily(
        "tollgate_http_window_dropped", "Requests in the health window that were not logged.", total.dropped
    )


def _job_metrics(jobs: list[monitoring.metrics.JobFigures]) -> Iterator[Metric]:
    late = GaugeMetricFamily(
        "tollgate_job_late_seconds", "Seconds since a late job was due; 0 if it is not late.", labels=["job"]
    )
    well = GaugeMetricFamily("tollgate_job_well", "1 if the last run of the job ended well.", labels=["job"])
    runs = CounterMetricFamily("tollgate_job_runs", "Runs of the job.", labels=["job"])
    failures = CounterMetricFamily(
        "tollgate_job_failures", "Runs of the job that failed or found problems.", labels=["job"]
    )
    for job in jobs:
        late.add_metric([job.name], job.late_seconds)
        well.add_metric([job.name], job.is_ok)
        runs.add_metric([job.name], job.runs)
        failures.add_metric([job.name], job.failures)
    yield from (late, well, runs, failures)


def _gauges(prefix: str, columns: dict[str, str], label: str, rows: dict[str, list[int]]) -> Iterator[Metric]:
    """A gauge for each column, with a sample for each row."""
    for index, (name, text) in enumerate(columns.items()):
        gauge = GaugeMetricFamily(f"{prefix}_{name}", text, labels=[label])
        for value, counts in rows.items():
            gauge.add_metric([value], counts[index])
        yield gauge


def _text_response(text: str, status: int) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")
