"""The peer of the single-event benchmark: a Django view that inserts a row by ORM, with the same key and middleware."""

from __future__ import annotations

import json

from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from billing.accounts import access
from billing.models import Account, UsageLog
from lib import ids


@csrf_exempt
def insert_by_orm(request: HttpRequest) -> JsonResponse:
    """A minimal implementation: no checks, no detection, no price, no totals."""
    now = timezone.now()
    key = access.find_key(request.headers.get("authorization", "").removeprefix("Bearer "), at=now)
    if key is None:
        return JsonResponse({}, status=401)
    access.record_key_use(key, at=now)
    event = json.loads(request.body)
    log = UsageLog.objects.create(
        account=Account.objects.get(external_key=ids.lookup_key(event["account"])),
        event_id=event["event_id"],
        event_key=ids.lookup_key(event["event_id"]),
        digest=ids.new_id(),
        provider=event["provider"],
        category="text",
        model_used=event["model"],
        endpoint=event["endpoint"],
        tokens_input=event["usage"].get("input_tokens", 0),
        tokens_output=event["usage"].get("output_tokens", 0),
        timestamp=event["occurred_at"],
        received_at=now,
        usage_day=now.date(),
        usage_period=now.date(),
        metadata=event["metadata"],
    )
    return JsonResponse({"id": log.id}, status=201)


urlpatterns = [path("api/v1/bare/", insert_by_orm), path("livez", lambda _request: JsonResponse({}))]
