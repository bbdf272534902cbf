"""How many requests one caller may send: fixed windows, counted per process (no cache server needed)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.throttling import BaseThrottle

from billing.access import Caller
from lib import client_address

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView

SECONDS = {"second": 1, "minute": 60, "hour": 3600}
MOST_CALLERS = 10_000


class CallerThrottle(BaseThrottle):
    """`API_RATE` for each key or user, `ANONYMOUS_RATE` for each address. Beyond it: 429 `throttled` with Retry-After."""

    _counts: dict[tuple[str, int], int] = {}

    def allow_request(self, request: Request, view: APIView) -> bool:
        name, rate = _who(request)
        most, _, per = rate.partition("/")
        self._length = SECONDS[per]
        window = int(time.monotonic() // self._length)
        if len(self._counts) > MOST_CALLERS:
            self._counts.clear()
        count = self._counts[name, window] = self._counts.get((name, window), 0) + 1
        return count <= int(most)

    def wait(self) -> float:
        return self._length - time.monotonic() % self._length


def _who(request: Request) -> tuple[str, str]:
    rates: dict[str, str] = settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]  # type: ignore[assignment]  # ours
    caller = request.user
    if isinstance(caller, Caller):
        user = caller.user.pk if caller.user else None
        return f"{caller.key_id}/{user}", rates["caller"]
    return f"@{client_address.of_request(request._request)}", rates["anonymous"]
