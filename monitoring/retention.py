"""How long this service's own requests are kept: each as a row, and all of them as minutes. Run by the job `prune_requests`."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings

from lib import retention
from lib.retention import BATCH, OF_HOURS, OF_MINUTES, Rule
from monitoring.models import ApiRequest, RequestHour, RequestMinute


def prune(at: datetime) -> str:
    return f"{retention.told(retention.run(RULES, at))} deleted"


def _requests(before: datetime) -> int:
    return ApiRequest.objects.filter(at__lt=before).order_by().count()


def _delete_requests(before: datetime) -> int | None:
    ids = list(ApiRequest.objects.filter(at__lt=before).order_by("at", "id").values_list("pk", flat=True)[:BATCH])
    return ApiRequest.objects.filter(pk__in=ids).delete()[0] if ids else None


def _minutes() -> int:
    return int(settings.KEEP_MINUTES_DAYS)


RULES = (
    Rule("requests", lambda: int(settings.KEEP_REQUESTS_DAYS), _requests, _delete_requests),
    retention.of_spans("minutes of requests", _minutes, RequestMinute.objects, by="minute", span=OF_MINUTES),
    retention.of_spans("hours of requests", _minutes, RequestHour.objects, by="hour", span=OF_HOURS),
)
