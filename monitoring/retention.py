"""Retention of the service's own requests: rows, and counts by minute and hour."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings

from lib import retention
from lib.retention import BATCH_ROWS, HOURS_PER_BATCH, MINUTES_PER_BATCH, RetentionRule
from monitoring.models import ApiRequest, RequestHour, RequestMinute


def prune(at: datetime) -> str:
    return f"{retention.describe(retention.delete_due(RULES, at))} deleted"


def _count_requests(before: datetime) -> int:
    return ApiRequest.objects.filter(at__lt=before).order_by().count()


def _delete_requests(before: datetime) -> int | None:
    ids = list(ApiRequest.objects.filter(at__lt=before).order_by("at", "id").values_list("pk", flat=True)[:BATCH_ROWS])
    return ApiRequest.objects.filter(pk__in=ids).delete()[0] if ids else None


def _keep_minutes_days() -> int:
    return int(settings.KEEP_MINUTES_DAYS)


RULES = (
    RetentionRule("requests", lambda: int(settings.KEEP_REQUESTS_DAYS), _count_requests, _delete_requests),
    retention.time_bucket_rule(
        "minutes of requests", _keep_minutes_days, RequestMinute.objects, column="minute", span=MINUTES_PER_BATCH
    ),
    retention.time_bucket_rule(
        "hours of requests", _keep_minutes_days, RequestHour.objects, column="hour", span=HOURS_PER_BATCH
    ),
)
