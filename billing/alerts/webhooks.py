"""Sends an alert to a webhook as a signed POST.

`Tollgate-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body" under the secret>`, the scheme of Stripe's webhooks.
`Tollgate-Delivery` is the same on every attempt, so that the receiver can drop duplicates.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime

import msgspec
from django.conf import settings
from django.utils.crypto import salted_hmac

from billing.alerts import alert_text
from billing.models import Delivery, Webhook
from lib import outbound
from lib.outbound import PostResponse

_encoder = msgspec.json.Encoder(decimal_format="number")


def signing_secret(webhook: Webhook) -> str:
    """The key with which the receiver verifies signatures; derived from SECRET_KEY, so it changes with it."""
    derived = salted_hmac("billing.webhooks", webhook.salt.hex, algorithm="sha256")
    return f"whsec_{derived.hexdigest()}"


def send(delivery: Delivery, webhook: Webhook, at: datetime) -> PostResponse:
    """POSTs the alert once. Raises outbound.AddressNotAllowed or outbound.NoResponse."""
    body = _encoder.encode({"type": "usage_alert", "alert": alert_text.as_json(delivery.alert)})
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Tollgate",
        "Tollgate-Delivery": str(delivery.id),
        "Tollgate-Signature": signature(signing_secret(webhook), int(at.timestamp()), body),
    }
    return outbound.post(webhook.url, body, headers, allow_private=settings.WEBHOOK_ALLOW_PRIVATE)


def signature(key: str, timestamp: int, body: bytes) -> str:
    signed = hmac.new(key.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"t={timestamp},v1={signed.hexdigest()}"
