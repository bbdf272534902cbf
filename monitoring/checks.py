"""System checks of the settings that monitoring reads: a bad one stops the start instead of the first request."""

from __future__ import annotations

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from lib import client_address


@register
def trusted_proxies(**_kwargs: object) -> list[CheckMessage]:
    try:
        client_address.networks(settings.TRUSTED_PROXIES)
    except ValueError as error:
        return [Error(f"TRUSTED_PROXIES: {error}", id="monitoring.E001")]
    return []


@register
def health_thresholds(**_kwargs: object) -> list[CheckMessage]:
    if settings.HEALTH_WARNING_PERCENT > settings.HEALTH_CRITICAL_PERCENT:
        return [Error("HEALTH_WARNING_PERCENT is above HEALTH_CRITICAL_PERCENT.", id="monitoring.E002")]
    return []
