"""Alerts on their way: planned when one is raised, sent by a job until they arrive or are given up. Operators retry.

At least once: an attempt whose process was killed counts as lost after a while, and is made again under the same id. Two
runners never make the same attempt, as it is claimed by one conditional UPDATE; no transaction is open while it is sent.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from smtplib import SMTPException
from typing import NamedTuple

from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import Q, QuerySet

from billing.alerts import alert_text, webhooks
from billing.models import Account, Delivery, Membership, UsageAlert, Webhook
from lib import outbound

State = Delivery.State
FIRST_SECONDS = 30  # before the second attempt, at most; each further pause is twice as long
DOUBLED = 12  # times; longer than a day
GIVE_UP = timedelta(days=1)
LOST = timedelta(minutes=5)  # an attempt without an end by then was killed
KEPT = timedelta(days=90)
MOST = 500  # deliveries of one run
LONGEST = 60  # seconds after which a run begins no further attempt


class Ran(NamedTuple):
    """What a run did."""

    delivered: int
    failed: int  # attempts, whether another one follows or not


class Attempt(NamedTuple):
    """How an attempt ended; `final` where another one can't end otherwise."""

    delivered: bool
    status: int | None = None
    text: str = ""
    error: str = ""
    final: bool = False


def plan(account: Account, raised: Sequence[UsageAlert], at: datetime) -> None:
    """A delivery of each alert to everybody who is to be told; called in the transaction that raised them."""
    every = Q(account=None) | Q(account_id=account.pk)
    to: list[dict[str, object]] = [{"webhook": one} for one in Webhook.objects.filter(every, active=True)]
    to += [{"email": address} for address in _addresses(account)]
    Delivery.objects.bulk_create(
        Delivery(account=account, alert=alert, due_at=at, give_up_at=at + GIVE_UP, created_at=at, **one)
        for alert in raised
        for one in to
    )


def _addresses(account: Account) -> list[str]:
    """The account's owners, and the operators that the settings name."""
    owners = Membership.objects.filter(account_id=account.pk, role=Membership.Role.OWNER, user__is_active=True)
    named = owners.exclude(user__email="").order_by("pk").values_list("user__email", flat=True)
    return list(dict.fromkeys([*named, *settings.ALERT_EMAILS]))


def deliver(at: datetime) -> Ran:
    """Make the attempts that are due, each once however many run; where one failed, the others there wait a little."""
    started, failed = time.monotonic(), set[str]()
    delivered = attempts = 0
    due = Delivery.objects.filter(state=State.PENDING, due_at__lte=at).order_by("due_at")
    for one in list(due.select_related("account", "alert__account", "webhook")[:MOST]):
        if time.monotonic() - started > LONGEST:
            break
        if one.target in failed or not _claimed(one, at):
            continue
        attempt = _attempt(one, at)
        attempts += 1
        delivered += attempt.delivered
        _note(one, attempt, at)
        if not attempt.delivered:
            failed.add(one.target)
            _others(one).filter(due_at__lte=at).update(due_at=at + timedelta(seconds=FIRST_SECONDS))
    return Ran(delivered, attempts - delivered)


def retry(found: QuerySet[Delivery], at: datetime) -> int:
    """Those that were given up are due again, for another day; how many."""
    return found.filter(state=State.FAILED).update(
        state=State.PENDING, due_at=at, give_up_at=at + GIVE_UP, ended_at=None
    )


def prune(at: datetime) -> int:
    """Forget those that ended long ago; the alerts stay. How many."""
    ended = Delivery.objects.exclude(state=State.PENDING).filter(created_at__lt=at - KEPT)
    return ended.delete()[0]


def _claimed(one: Delivery, at: datetime) -> bool:
    """Whether this attempt is ours; nobody else makes it before it counts as lost."""
    free = _stored(one, one.attempts).filter(due_at=one.due_at)
    one.attempts += 1
    return bool(free.update(due_at=at + LOST, attempts=one.attempts))


def _stored(one: Delivery, attempts: int) -> QuerySet[Delivery]:
    """Its row, as long as nobody has made a further attempt."""
    return Delivery.objects.filter(account_id=one.account_id, pk=one.pk, state=State.PENDING, attempts=attempts)


def _others(one: Delivery) -> QuerySet[Delivery]:
    return Delivery.objects.filter(webhook=one.webhook, email=one.email, state=State.PENDING)


def _attempt(one: Delivery, at: datetime) -> Attempt:
    return _by_webhook(one, one.webhook, at) if one.webhook else _by_email(one)


def _by_email(one: Delivery) -> Attempt:
    text, headers = f"{alert_text.sentence(one.alert)}\n", {"Message-ID": f"<{one.id}@tollgate>"}
    mail = EmailMessage(alert_text.subject(one.alert), text, to=[one.email], headers=headers)
    try:
        mail.send()
    except (OSError, SMTPException, ValueError) as error:
        return Attempt(delivered=False, error=f"{type(error).__name__}: {error}")
    return Attempt(delivered=True)


def _by_webhook(one: Delivery, webhook: Webhook, at: datetime) -> Attempt:
    if not webhook.active:
        return Attempt(delivered=False, error="The webhook is switched off.", final=True)
    try:
        status, text = webhooks.send(one, webhook, at)
    except outbound.NotAllowed as error:
        return Attempt(delivered=False, error=str(error), final=True)
    except outbound.NoAnswer as error:
        return Attempt(delivered=False, error=str(error))
    if 300 <= status < 400:
        return Attempt(delivered=False, status=status, text=text, error="Redirects are not followed.", final=True)
    delivered = 200 <= status < 300
    return Attempt(delivered, status, text, "" if delivered else f"The answer was {status}.")


def _note(one: Delivery, attempt: Attempt, at: datetime) -> None:
    told = {"response_status": attempt.status, "response": attempt.text, "error": attempt.error[:500]}
    if attempt.delivered:
        ended = {"state": State.DELIVERED, "ended_at": at}
    else:
        due_at = at + pause(one.attempts)
        last = attempt.final or due_at > one.give_up_at
        ended = {"state": State.FAILED, "ended_at": at} if last else {"due_at": due_at}
    _stored(one, one.attempts).update(**told, **ended)


def pause(attempts: int) -> timedelta:
    """After so many attempts: exponential, half of it by chance, so that those who fail together don't return together."""
    longest: int = FIRST_SECONDS << min(attempts - 1, DOUBLED)
    return timedelta(seconds=longest // 2 + secrets.randbelow(longest // 2 + 1))
