"""Delivery of alerts by e-mail and webhook: enqueued with the alert, attempted by a job until delivered or given up.

At least once: an attempt whose process died is repeated under the same id after LOST_AFTER. One conditional UPDATE claims an
attempt, so concurrent runs never repeat each other's. No transaction is open while sending.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from functools import partial
from smtplib import SMTPException
from typing import NamedTuple
from urllib.parse import urlsplit

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
MAX_PARALLEL = 8  # attempts at the same time
MAX_RUN_SECONDS = 60  # no attempt starts later than this in a run


class DeliveryRun(NamedTuple):
    """Number of attempts of one run."""

    delivered: int
    failed: int  # including those that will be retried


class AttemptResult(NamedTuple):
    """Outcome of an attempt; `final` if a retry cannot succeed, `unreachable` if the host did not answer."""

    delivered: bool
    status: int | None = None
    text: str = ""
    error: str = ""
    final: bool = False
    unreachable: bool = False


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
    """Makes the attempts that are due, MAX_PARALLEL at a time and one for each host, hosts that failed before last.

    After a failure, other deliveries to the same target wait FIRST_RETRY_SECONDS; an unreachable host gets no further
    attempt in this run. A delivery that cannot be attempted, because of an unexpected error, is retried later. It is added
    to `problems`; without that list, raises ProblemFound in the end.
    """
    due = Delivery.objects.filter(state=State.PENDING, due_at__lte=at).order_by("due_at")
    deliveries = list(due.select_related("account", "alert__account", "webhook")[:MAX_DELIVERIES])
    with isolation.collect(problems) as errors, ThreadPoolExecutor(MAX_PARALLEL) as pool:
        return _Attempts(deliveries, at, errors, pool).run()


class _Attempts:
    """The attempts of one run. Other threads only send; the database is used in this one."""

    def __init__(self, due: Sequence[Delivery], at: datetime, errors: list[str], pool: ThreadPoolExecutor) -> None:
        self.at, self.errors, self.pool = at, errors, pool
        self.deadline = time.monotonic() + MAX_RUN_SECONDS
        self.waiting: dict[str, deque[Delivery]] = {}  # by host
        failing = _failing_hosts()
        for delivery in sorted(due, key=lambda delivery: _host(delivery) in failing):
            self.waiting.setdefault(_host(delivery), deque()).append(delivery)
        self.running: dict[Future[tuple[AttemptResult | None, list[str]]], Delivery] = {}
        self.failed_targets = set[str]()
        self.attempts = self.delivered = 0

    def run(self) -> DeliveryRun:
        while True:
            while len(self.running) < MAX_PARALLEL and (host := self._next_host()):
                self._start(host)
            if not self.running:
                return DeliveryRun(self.delivered, self.attempts - self.delivered)
            for future in wait(self.running, return_when=FIRST_COMPLETED).done:
                self._finish(future)

    def _next_host(self) -> str | None:
        busy = {_host(delivery) for delivery in self.running.values()}
        ready = (host for host in self.waiting if host not in busy)
        return next(ready, None) if time.monotonic() < self.deadline else None

    def _start(self, host: str) -> None:
        delivery = self.waiting[host].popleft()
        if not self.waiting[host]:
            del self.waiting[host]
        if delivery.target in self.failed_targets or not _claim(delivery, self.at):
            return
        self.running[self.pool.submit(_attempt_in_isolation, delivery, self.at)] = delivery
        self.attempts += 1

    def _finish(self, future: Future[tuple[AttemptResult | None, list[str]]]) -> None:
        delivery = self.running.pop(future)
        result, problems = future.result()
        self.errors += problems
        outcome = result or AttemptResult(delivered=False, error=problems[-1])
        save = partial(_save_result, delivery, outcome, self.at)
        isolation.attempt(save, name=_describe(delivery), problems=self.errors)
        self.delivered += outcome.delivered
        if result is None or result.delivered:
            return
        self.failed_targets.add(delivery.target)
        _pending_to_same_target(delivery).filter(due_at__lte=self.at).update(
            due_at=self.at + timedelta(seconds=FIRST_RETRY_SECONDS)
        )
        if result.unreachable:
            self.waiting.pop(_host(delivery), None)


def _attempt_in_isolation(delivery: Delivery, at: datetime) -> tuple[AttemptResult | None, list[str]]:
    """Returns the result, or None after an unexpected error, and the errors."""
    problems: list[str] = []
    return isolation.attempt(partial(_attempt, delivery, at), name=_describe(delivery), problems=problems), problems


def _describe(delivery: Delivery) -> str:
    return f"{delivery.account.external_id} to {delivery.target}"


def _host(delivery: Delivery) -> str:
    return _host_of_url(delivery.webhook.url if delivery.webhook else None)


def _host_of_url(url: str | None) -> str:
    """The host and port of a webhook; the same text for all e-mail, as one server takes it."""
    return urlsplit(url).netloc.lower() if url else "e-mail"


def _failing_hosts() -> set[str]:
    """The hosts of deliveries whose last attempt failed."""
    pending = Delivery.objects.filter(state=State.PENDING, attempts__gt=0).order_by()
    urls = pending.values_list("webhook__url", flat=True).distinct()
    return {_host_of_url(url) for url in urls}


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
        unreachable = not isinstance(error, SMTPException | ValueError)
        return AttemptResult(delivered=False, error=f"{type(error).__name__}: {error}", unreachable=unreachable)
    return AttemptResult(delivered=True)


def _send_webhook(delivery: Delivery, webhook: Webhook, at: datetime) -> AttemptResult:
    if not webhook.active:
        return AttemptResult(delivered=False, error="The webhook is inactive. Activate it, then retry.", final=True)
    try:
        status, text = webhooks.send(delivery, webhook, at)
    except outbound.AddressNotAllowed as error:
        return AttemptResult(delivered=False, error=str(error), final=True)
    except outbound.NoResponse as error:
        return AttemptResult(delivered=False, error=str(error), unreachable=True)
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
