"""Limits the request rate: `API_RATE` per key or user, `ANONYMOUS_RATE` per IP address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.throttling import BaseThrottle

from billing.accounts.access import Caller
from lib import client_address, rate_limit

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView


class CallerThrottle(BaseThrottle):
    """Refuses requests above the rate with 429 `throttled` and Retry-After."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        name, self._rate = _rate_key(request)
        return rate_limit.allow(name, self._rate)

    def wait(self) -> float:
        return rate_limit.seconds_until_reset(self._rate)


def _rate_key(request: Request) -> tuple[str, str]:
    rates: dict[str, str] = settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]  # type: ignore[assignment]  # ours
    caller = request.user
    if isinstance(caller, Caller):
        user = caller.user.pk if caller.user else None
        return f"{caller.key_id}/{user}", rates["caller"]
    return f"@{client_address.from_request(request._request)}", rates["anonymous"]
