"""Limits the request rate: `API_RATE` per key or user, `ANONYMOUS_RATE` per address without a usable key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.http import HttpRequest
from rest_framework.throttling import BaseThrottle

from billing.accounts.access import Caller
from lib import client_address, rate_limit

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView


class CallerThrottle(BaseThrottle):
    """Refuses requests above the rate with 429 `throttled` and Retry-After."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        caller = request.user
        self._rate_name = "caller" if isinstance(caller, Caller) else "anonymous"
        if not isinstance(caller, Caller):
            return allow_anonymous(request._request)
        user = caller.user.pk if caller.user else None
        return rate_limit.allow(f"{caller.key_id}/{user}", _rate("caller"))

    def wait(self) -> float:
        return rate_limit.seconds_until_reset(_rate(self._rate_name))


def allow_anonymous(request: HttpRequest) -> bool:
    """Counts a request without a key, or with an unusable one. Returns whether its address is within the rate."""
    return rate_limit.allow(f"@{client_address.network_of(request)}", _rate("anonymous"))


def seconds_to_wait() -> float:
    """Seconds until addresses without a usable key are counted anew."""
    return rate_limit.seconds_until_reset(_rate("anonymous"))


def _rate(name: str) -> str:
    rates: dict[str, str] = {"caller": settings.API_RATE, "anonymous": settings.ANONYMOUS_RATE}
    return rates[name]
