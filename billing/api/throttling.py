"""How many requests one caller may send: `API_RATE` for each key or user, `ANONYMOUS_RATE` for each address."""

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
    """Beyond the rate: 429 `throttled` with Retry-After."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        name, self._rate = _who(request)
        return rate_limit.within(name, self._rate)

    def wait(self) -> float:
        return rate_limit.wait(self._rate)


def _who(request: Request) -> tuple[str, str]:
    allowed: dict[str, str] = settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]  # type: ignore[assignment]  # ours
    caller = request.user
    if isinstance(caller, Caller):
        user = caller.user.pk if caller.user else None
        return f"{caller.key_id}/{user}", allowed["caller"]
    return f"@{client_address.of_request(request._request)}", allowed["anonymous"]
