"""Delivery of alerts by e-mail and webhook: enqueued with the alert, attempted by a job until delivered or given up.

At least once: an attempt whose process died is repeated under the same id after LOST_AFTER. One conditional UPDATE claims an
attempt, so concurrent runs never repeat each other's. No transaction is open while sending.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from smtplib import SMTPException
from typing import NamedTuple

from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import Q, QuerySet

from billing.alerts import alert_text, webhooks
from billing.models import Account, Delivery, Membership, UsageAlert, Webhook
from lib import isolation, outbound

State = Delivery.State
FIRST_RETRY_SECONDS = 30  # longest delay before the second attempt; each further delay doubles
MAX_DOUBLINGS = 12  # exceeds GIVE_UP_AFTER
GIVE_UP_AFTER = timedelta(days=1)
LOST_AFTER = timedelta(minutes=5)  # an attempt that has not ended by then died with its process
RETENTION = timedelta(days=90)
MAX_DELIVERIES = 500  # per run
MAX_RUN_SECONDS = 60  # no attempt starts later than this in a run


class DeliveryRun(NamedTuple):
    """Number of attempts of one run."""

    delivered: int
    failed: int  # including those that will be retried


class AttemptResult(NamedTuple):
    """Outcome of an attempt; `final` if a retry cannot succeed."""

    delivered: bool
    status: int | None = None
    text: str = ""
    error: str = ""
    final: bool = False


def enqueue(account: Account, raised: Sequence[UsageAlert], at: datetime) -> None:
    """Creates a delivery of each alert to each webhook and address; runs in the transaction that stores the alerts."""
    subscribed = Q(account=None) | Q(account_id=account.pk)
    targets: list[dict[str, object]] = [{"webhook": hook} for hook in Webhook.objects.filter(subscribed, active=True)]
    targets += [{"email": address} for address in _addresses(account)]
    Delivery.objects.bulk_create(
        Delivery(account=account, alert=alert, due_at=at, give_up_at=at + GIVE_UP_AFTER, created_at=at, **target)
        for alert in raised
        for target in targets
    )


def _addresses(account: Account) -> list[str]:
    """E-mail addresses of the account's owners, and those in the ALERT_EMAILS setting."""
    owners = Membership.objects.filter(account_id=account.pk, role=Membership.Role.OWNER, user__is_active=True)
    emails = owners.exclude(user__email="").order_by("pk").values_list("user__email", flat=True)
    return list(dict.fromkeys([*emails, *settings.ALERT_EMAILS]))


def deliver(at: datetime, problems: list[str] | None = None) -> DeliveryRun:
    """Makes the attempts that are due. After a failure, other deliveries to the same target wait FIRST_RETRY_SECONDS.

    A delivery that cannot be attempted, because of an unexpected error, is retried later. It is added to `problems`; without
    that list, raises ProblemFound in the end.
    """
    started, failed = time.monotonic(), set[str]()
    delivered = attempts = 0
    due = Delivery.objects.filter(state=State.PENDING, due_at__lte=at).order_by("due_at")
    with isolation.collect(problems) as errors:
        for delivery in list(due.select_related("account", "alert__account", "webhook")[:MAX_DELIVERIES]):
            if time.monotonic() - started > MAX_RUN_SECONDS:
                break
            if delivery.target in failed or not _claim(delivery, at):
                continue
            name = f"{delivery.account.external_id} to {delivery.target}"
            result = isolation.attempt(partial(_attempt, delivery, at), name=name, problems=errors)
            attempts += 1
            delivered += result is not None and result.delivered
            outcome = result or AttemptResult(delivered=False, error=errors[-1])
            isolation.attempt(partial(_save_result, delivery, outcome, at), name=name, problems=errors)
            if result is not None and not result.delivered:
                failed.add(delivery.target)
                _pending_to_same_target(delivery).filter(due_at__lte=at).update(
                    due_at=at + timedelta(seconds=FIRST_RETRY_SECONDS)
                )
    return DeliveryRun(delivered, attempts - delivered)


def retry(deliveries: QuerySet[Delivery], at: datetime) -> int:
    """Makes failed deliveries due again, for another GIVE_UP_AFTER. Returns their number."""
    return deliveries.filter(state=State.FAILED).update(
        state=State.PENDING, due_at=at, give_up_at=at + GIVE_UP_AFTER, ended_at=None
    )


def prune(at: datetime) -> int:
    """Deletes deliveries that ended and are older than RETENTION; alerts stay. Returns their number."""
    ended = Delivery.objects.exclude(state=State.PENDING).filter(created_at__lt=at - RETENTION)
    return ended.delete()[0]


def _claim(delivery: Delivery, at: datetime) -> bool:
    """Whether this process got the attempt; no other makes it before LOST_AFTER."""
    unclaimed = _pending_row(delivery, delivery.attempts).filter(due_at=delivery.due_at)
    delivery.attempts += 1
    return bool(unclaimed.update(due_at=at + LOST_AFTER, attempts=delivery.attempts))


def _pending_row(delivery: Delivery, attempts: int) -> QuerySet[Delivery]:
    """The delivery's row, unless another process has made a further attempt."""
    return Delivery.objects.filter(
        account_id=delivery.account_id, pk=delivery.pk, state=State.PENDING, attempts=attempts
    )


def _pending_to_same_target(delivery: Delivery) -> QuerySet[Delivery]:
    return Delivery.objects.filter(webhook=delivery.webhook, email=delivery.email, state=State.PENDING)


def _attempt(delivery: Delivery, at: datetime) -> AttemptResult:
    return _send_webhook(delivery, delivery.webhook, at) if delivery.webhook else _send_email(delivery)


def _send_email(delivery: Delivery) -> AttemptResult:
    text, headers = f"{alert_text.message(delivery.alert)}\n", {"Message-ID": f"<{delivery.id}@tollgate>"}
    mail = EmailMessage(alert_text.subject(delivery.alert), text, to=[delivery.email], headers=headers)
    try:
        mail.send()
    except (OSError, SMTPException, ValueError) as error:
        return AttemptResult(delivered=False, error=f"{type(error).__name__}: {error}")
    return AttemptResult(delivered=True)


def _send_webhook(delivery: Delivery, webhook: Webhook, at: datetime) -> AttemptResult:
    if not webhook.active:
        return AttemptResult(delivered=False, error="The webhook is inactive. Activate it, then retry.", final=True)
    try:
        status, text = webhooks.send(delivery, webhook, at)
    except outbound.AddressNotAllowed as error:
        return AttemptResult(delivered=False, error=str(error), final=True)
    except outbound.NoResponse as error:
        return AttemptResult(delivered=False, error=str(error))
    if 300 <= status < 400:
        reason = "Redirects are not followed. Use the final URL."
        return AttemptResult(delivered=False, status=status, text=text, error=reason, final=True)
    delivered = 200 <= status < 300
    return AttemptResult(delivered, status, text, "" if delivered else f"The response status was {status}.")


def _save_result(delivery: Delivery, result: AttemptResult, at: datetime) -> None:
    response = {"response_status": result.status, "response": result.text, "error": result.error[:500]}
    if result.delivered:
        outcome = {"state": State.DELIVERED, "ended_at": at}
    else:
        due_at = at + retry_delay(delivery.attempts)
        last = result.final or due_at > delivery.give_up_at
        outcome = {"state": State.FAILED, "ended_at": at} if last else {"due_at": due_at}
    _pending_row(delivery, delivery.attempts).update(**response, **outcome)


def retry_delay(attempts: int) -> timedelta:
    """Exponential backoff; half of the delay is random, so that deliveries that failed together are not retried together."""
    max_seconds: int = FIRST_RETRY_SECONDS << min(attempts - 1, MAX_DOUBLINGS)
    return timedelta(seconds=max_seconds // 2 + secrets.randbelow(max_seconds // 2 + 1))
