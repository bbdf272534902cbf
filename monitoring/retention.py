"""How long this service's own requests are kept: each as a row, and all of them as minutes. Run by the job `prune_requests`."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Min

from lib import retention
from lib.retention import BATCH, Rule
from monitoring.models import ApiRequest, RequestMinute

SPAN = timedelta(minutes=30)  # of minutes in one batch: some hundred rows each


def prune(at: datetime) -> str:
    return f"{retention.told(retention.run(RULES, at))} deleted"


def _requests(before: datetime) -> int:
    return ApiRequest.objects.filter(at__lt=before).order_by().count()


def _delete_requests(before: datetime) -> int | None:
    ids = list(ApiRequest.objects.filter(at__lt=before).order_by("at", "id").values_list("pk", flat=True)[:BATCH])
    return ApiRequest.objects.filter(pk__in=ids).delete()[0] if ids else None


def _minutes(before: datetime) -> int:
    return RequestMinute.objects.filter(minute__lt=before).order_by().count()


def _delete_minutes(before: datetime) -> int | None:
    oldest = RequestMinute.objects.filter(minute__lt=before).aggregate(oldest=Min("minute"))["oldest"]
    if oldest is None:
        return None
    return RequestMinute.objects.filter(minute__lt=min(oldest + SPAN, before)).delete()[0]


RULES = (
    Rule("requests", lambda: int(settings.KEEP_REQUESTS_DAYS), _requests, _delete_requests),
    Rule("minutes of requests", lambda: int(settings.KEEP_MINUTES_DAYS), _minutes, _delete_minutes),
)
