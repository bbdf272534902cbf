"""System checks of monitoring's settings: a wrong value stops the start, not the first request."""

from __future__ import annotations

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from lib import client_address


@register
def trusted_proxies(**_kwargs: object) -> list[CheckMessage]:
    try:
        client_address.parse_networks(settings.TRUSTED_PROXIES)
    except ValueError as error:
        return [Error(f"TRUSTED_PROXIES: {error}", id="monitoring.E001")]
    return []


@register
def health_thresholds(**_kwargs: object) -> list[CheckMessage]:
    if settings.HEALTH_WARNING_PERCENT > settings.HEALTH_CRITICAL_PERCENT:
        return [Error("HEALTH_WARNING_PERCENT is greater than HEALTH_CRITICAL_PERCENT.", id="monitoring.E002")]
    return []
