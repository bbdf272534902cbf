"""Telling a webhook of an alert: a signed POST. Called by deliveries; the admin shows a new one's secret, once.

`Tollgate-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body" under the secret>`, as Stripe signs its own;
`Tollgate-Delivery` is the same on every attempt, so that a receiver can leave out what it has had.
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
from lib.outbound import Answer

_encoder = msgspec.json.Encoder(decimal_format="number")


def secret(webhook: Webhook) -> str:
    """What its receiver verifies with; another one as soon as SECRET_KEY is."""
    derived = salted_hmac("billing.webhooks", webhook.salt.hex, algorithm="sha256")
    return f"whsec_{derived.hexdigest()}"


def send(delivery: Delivery, webhook: Webhook, at: datetime) -> Answer:
    """One attempt. Raises outbound.NotAllowed or outbound.NoAnswer."""
    body = _encoder.encode({"type": "usage_alert", "alert": alert_text.told(delivery.alert)})
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Tollgate",
        "Tollgate-Delivery": str(delivery.id),
        "Tollgate-Signature": signature(secret(webhook), int(at.timestamp()), body),
    }
    return outbound.post(webhook.url, body, headers, allow_private=settings.WEBHOOK_ALLOW_PRIVATE)


def signature(key: str, timestamp: int, body: bytes) -> str:
    signed = hmac.new(key.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"t={timestamp},v1={signed.hexdigest()}"
