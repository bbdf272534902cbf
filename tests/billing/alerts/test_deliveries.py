"""Alert deliveries: signed webhooks and e-mails, retried for a day; each attempt is made once."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import socket
import threading
from collections.abc import Iterator
from concurrent import futures
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail

from billing.accounts import accounts
from billing.alerts import deliveries, webhooks
from billing.models import Account, Delivery, Membership, Webhook
from lib import outbound
from tests.billing.alert_rows import NOON, create_alert, create_webhook, enqueue_delivery
from tests.billing.receiver import Receiver, run_receiver

pytestmark = pytest.mark.django_db

State = Delivery.State


@pytest.fixture(autouse=True)
def allow_private_addresses(settings: Any) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = True


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with run_receiver() as running:
        yield running


@pytest.fixture
def longest_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry delays are as long as possible."""
    monkeypatch.setattr(secrets, "randbelow", lambda bound: bound - 1)


def test_a_webhook_receives_the_alert_as_the_api_represents_it(account: Account, receiver: Receiver) -> None:
    delivery = enqueue_delivery(account, receiver.url)

    assert deliveries.deliver(NOON) == (1, 0)
    ((headers, body),) = receiver.requests
    payload = json.loads(body)
    alert = payload["alert"]
    assert (payload["type"], alert["meter"], alert["threshold"]) == ("usage_alert", "monthly_cost", 80)
    assert (alert["used"], alert["percent"]) == ("20", 80)
    assert headers["Tollgate-Delivery"] == str(delivery.id)
    assert headers["Content-Type"] == "application/json"
    assert headers["Host"] == receiver.url.split("/")[2]
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, delivery.ended_at) == (State.DELIVERED, 1, NOON)
    assert (delivery.response_status, delivery.response, delivery.error) == (200, "ok", "")


def test_the_signature_is_the_hmac_of_time_and_body_with_the_secret(account: Account, receiver: Receiver) -> None:
    enqueue_delivery(account, receiver.url)
    deliveries.deliver(NOON)

    ((headers, body),) = receiver.requests
    key = webhooks.signing_secret(Webhook.objects.get()).encode()
    expected = hmac.new(key, b"1795348800." + body, hashlib.sha256).hexdigest()
    assert headers["Tollgate-Signature"] == f"t=1795348800,v1={expected}"


def test_each_webhook_has_its_own_secret_which_is_not_stored(account: Account) -> None:
    first, second = create_webhook("https://example.com/1"), create_webhook("https://example.com/2")

    assert webhooks.signing_secret(first) != webhooks.signing_secret(second)
    stored = json.dumps(list(Webhook.objects.values()), default=str)
    assert webhooks.signing_secret(first).removeprefix("whsec_") not in stored


def test_a_failed_delivery_is_retried_with_growing_delays_and_given_up_after_a_day(
    account: Account, receiver: Receiver, longest_delays: None
) -> None:
    receiver.answer_with(500, "out of order")
    delivery = enqueue_delivery(account, receiver.url)
    delays, at = [], NOON
    while delivery.state == State.PENDING:
        assert deliveries.deliver(at - timedelta(seconds=1)) == (0, 0)
        assert deliveries.deliver(at) == (0, 1)
        delivery.refresh_from_db()
        delays.append((delivery.due_at - at).total_seconds())
        at = delivery.due_at

    assert delays[:-1] == [30 * 2**number for number in range(11)]
    assert (delivery.state, delivery.attempts, delivery.response_status) == (State.FAILED, 12, 500)
    assert (delivery.response, delivery.error) == ("out of order", "The response status was 500.")
    assert len({headers["Tollgate-Delivery"] for headers, _ in receiver.requests}) == 1
    assert len(receiver.requests) == 12


def test_half_of_a_retry_delay_is_random() -> None:
    assert {deliveries.retry_delay(1).total_seconds() for _ in range(2_000)} == set(range(15, 31))


def test_a_retry_can_succeed(account: Account, receiver: Receiver) -> None:
    receiver.answer_with(503)
    delivery = enqueue_delivery(account, receiver.url)
    deliveries.deliver(NOON)
    receiver.answer_with(204)

    assert deliveries.deliver(NOON + timedelta(seconds=30)) == (1, 0)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == (State.DELIVERED, 2)
    assert (delivery.response_status, delivery.error) == (204, "")


def test_a_redirect_is_neither_followed_nor_retried(account: Account, receiver: Receiver) -> None:
    with run_receiver() as other_receiver:
        receiver.answer_with(307, Location=other_receiver.url)
        delivery = enqueue_delivery(account, receiver.url)
        deliveries.deliver(NOON)

        assert other_receiver.requests == []
    delivery.refresh_from_db()
    assert (delivery.state, delivery.response_status, delivery.error) == (
        State.FAILED,
        307,
        "Redirects are not followed. Use the final URL.",
    )


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + b" " * 100])
def test_a_response_that_trickles_in_times_out(
    account: Account, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    monkeypatch.setattr(outbound, "TIMEOUT_SECONDS", 1)
    receiver.answer, receiver.pause = answer or b"H" * 100, 0.1
    delivery = enqueue_delivery(account, receiver.url)

    assert deliveries.deliver(NOON) == (0, 1)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.error) == (State.PENDING, "No answer within 1 seconds.")


def test_only_the_start_of_a_long_response_is_read_and_stored(account: Account, receiver: Receiver) -> None:
    receiver.answer_with(200, "<b>\x00é" * 200_000)
    delivery = enqueue_delivery(account, receiver.url)
    deliveries.deliver(NOON)

    delivery.refresh_from_db()
    assert (delivery.state, delivery.response) == (State.DELIVERED, "<b>\ufffdé" * 100)


@pytest.mark.parametrize("answer", [b"SSH-2.0-nothing\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000])
def test_an_invalid_http_response_is_an_error_and_is_retried(
    account: Account, receiver: Receiver, answer: bytes
) -> None:
    receiver.answer = answer
    delivery = enqueue_delivery(account, receiver.url)
    deliveries.deliver(NOON)

    delivery.refresh_from_db()
    assert delivery.state == State.PENDING
    assert delivery.error
    assert delivery.response_status is None


def test_a_private_address_is_refused_and_not_retried(account: Account, receiver: Receiver, settings: Any) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = False
    delivery = enqueue_delivery(account, receiver.url)
    deliveries.deliver(NOON)

    assert receiver.requests == []
    delivery.refresh_from_db()
    assert (delivery.state, delivery.error) == (
        State.FAILED,
        "127.0.0.1 is a private or special address (WEBHOOK_ALLOW_PRIVATE).",
    )


def test_a_host_name_that_resolves_to_a_private_address_is_refused(
    account: Account, receiver: Receiver, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = False
    addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: addresses)
    delivery = enqueue_delivery(account, receiver.url.replace("127.0.0.1", "hooks.example.com"))
    deliveries.deliver(NOON)

    assert receiver.requests == []
    delivery.refresh_from_db()
    assert delivery.state == State.FAILED


def test_recipients_of_an_alert(account: Account, settings: Any) -> None:
    """Owners and operators by e-mail, webhooks of the account and of all accounts, and nobody else."""
    settings.ALERT_EMAILS = ["operator@example.com", "owner@example.com"]
    accounts.ensure(["other"], at=NOON)
    other = Account.objects.get(external_id="other")
    for name, role, active in (("owner", "owner", True), ("member", "member", True), ("gone", "owner", False)):
        user = User.objects.create_user(name, f"{name}@example.com", is_active=active)
        Membership.objects.create(account=account, user=user, role=role)
    stranger = User.objects.create_user("stranger", "stranger@example.com")
    Membership.objects.create(account=other, user=stranger, role="owner")
    Membership.objects.create(account=account, user=User.objects.create_user("no-address"), role="owner")
    create_webhook("https://example.com/all")
    create_webhook("https://example.com/own", account)
    create_webhook("https://example.com/others", other)
    Webhook.objects.create(url="https://example.com/off", active=False, created_at=NOON)
    deliveries.enqueue(account, [create_alert(account)], NOON)

    assert [delivery.target for delivery in Delivery.objects.order_by("id")] == [
        "https://example.com/all",
        "https://example.com/own",
        "owner@example.com",
        "operator@example.com",
    ]


def test_an_email_describes_the_alert(account: Account, settings: Any) -> None:
    settings.ALERT_EMAILS = ["operator@example.com"]
    delivery = enqueue_delivery(account)

    assert deliveries.deliver(NOON) == (1, 0)
    (message,) = mail.outbox
    assert message.to == ["operator@example.com"]
    assert message.subject == "acct_42: Monthly cost: 80 % of the limit reached"
    assert (
        message.body
        == "Monthly cost: 80 % of the limit reached. $20.00 of $25.00 used (80.00 %) in the usage period starting 2026-11-01.\n"
    )
    assert message.message()["Message-ID"] == f"<{delivery.id}@tollgate>"


def test_an_unreachable_mail_server_is_retried(account: Account, settings: Any) -> None:
    settings.ALERT_EMAILS = ["operator@example.com"]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    delivery = enqueue_delivery(account)

    assert deliveries.deliver(NOON) == (0, 1)
    delivery.refresh_from_db()
    assert delivery.state == State.PENDING
    assert delivery.error.startswith("ConnectionRefusedError")


def test_an_attempt_in_progress_is_not_repeated_by_another_runner(
    account: Account, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue_delivery(account, receiver.url)
    second_runs: list[deliveries.DeliveryRun] = []

    def wait_with_second_runner(*args: Any, **options: Any) -> Any:
        second_runs.append(deliveries.deliver(NOON + timedelta(seconds=10)))
        return futures.wait(*args, **options)

    monkeypatch.setattr(deliveries, "wait", wait_with_second_runner)

    assert deliveries.deliver(NOON) == (1, 0)
    assert second_runs == [(0, 0)]
    assert len(receiver.requests) == 1


def test_an_attempt_of_a_killed_process_is_repeated_with_the_same_id(
    account: Account, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = enqueue_delivery(account, receiver.url)
    send = webhooks.send

    def send_then_interrupt(*args: Any) -> outbound.PostResponse:
        send(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(webhooks, "send", send_then_interrupt)
        with pytest.raises(KeyboardInterrupt):
            deliveries.deliver(NOON)

    assert deliveries.deliver(NOON + deliveries.LOST_AFTER - timedelta(seconds=1)) == (0, 0)
    assert deliveries.deliver(NOON + deliveries.LOST_AFTER) == (1, 0)
    assert [headers["Tollgate-Delivery"] for headers, _ in receiver.requests] == [str(delivery.id)] * 2
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == (State.DELIVERED, 2)


def test_a_failed_attempt_postpones_only_deliveries_to_the_same_webhook(account: Account, receiver: Receiver) -> None:
    receiver.answer_with(500)
    create_webhook(receiver.url)
    deliveries.enqueue(account, [create_alert(account, threshold) for threshold in (50, 80, 95)], NOON)
    with run_receiver() as working_receiver:
        create_webhook(working_receiver.url)
        deliveries.enqueue(account, [create_alert(account, 100)], NOON)

        assert deliveries.deliver(NOON) == (1, 1)
        assert (len(receiver.requests), len(working_receiver.requests)) == (1, 1)
        postponed = Delivery.objects.filter(state=State.PENDING, attempts=0)
        assert list(postponed.values_list("due_at", flat=True)) == [NOON + timedelta(seconds=30)] * 3


class Hosts:
    """Replaces webhooks.send: hosts named dead… do not answer until the others are served; `started` is in order."""

    def __init__(self, healthy: int) -> None:
        self.started: list[str] = []
        self.healthy = threading.Semaphore(0)
        self.expected = healthy

    def send(self, _delivery: Delivery, webhook: Webhook, _at: object) -> outbound.PostResponse:
        self.started.append(webhook.url.removeprefix("https://"))
        if "dead" not in webhook.url:
            self.healthy.release()
            return outbound.PostResponse(200, "ok")
        for _ in range(self.expected):  # a dead host waits for its time limit; here, for the others
            assert self.healthy.acquire(timeout=10), "the healthy hosts waited for a dead one"
            self.healthy.release()
        raise outbound.NoResponse("No answer within 10 seconds.")


def test_six_dead_webhooks_delay_no_other_delivery(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        create_webhook(f"https://dead-{number}.example/")
    create_webhook("https://alive.example/")
    deliveries.enqueue(account, [create_alert(account, threshold) for threshold in (50, 80)], NOON)
    hosts = Hosts(healthy=1)
    monkeypatch.setattr(webhooks, "send", hosts.send)

    assert deliveries.deliver(NOON) == (2, 6)
    assert sorted(hosts.started) == ["alive.example/"] * 2 + [f"dead-{number}.example/" for number in range(6)]
    alive = Delivery.objects.filter(webhook__url="https://alive.example/")
    assert set(alive.values_list("state", flat=True)) == {State.DELIVERED}


def test_a_host_that_failed_is_tried_after_the_others(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "MAX_PARALLEL", 1)
    for name in ("dead", "alive"):
        create_webhook(f"https://{name}.example/")
    deliveries.enqueue(account, [create_alert(account)], NOON)
    hosts = Hosts(healthy=0)
    monkeypatch.setattr(webhooks, "send", hosts.send)
    assert deliveries.deliver(NOON) == (1, 1)
    deliveries.enqueue(account, [create_alert(account, 100)], NOON)
    assert deliveries.deliver(NOON + timedelta(minutes=1)) == (1, 1)
    assert hosts.started == ["dead.example/", "alive.example/", "alive.example/", "dead.example/"]


def test_an_unreachable_host_gets_one_attempt_for_all_its_webhooks(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        create_webhook(f"https://dead.example/{number}")
    deliveries.enqueue(account, [create_alert(account)], NOON)
    hosts = Hosts(healthy=0)
    monkeypatch.setattr(webhooks, "send", hosts.send)
    assert deliveries.deliver(NOON) == (0, 1)
    assert hosts.started == ["dead.example/0"]
    assert sorted(Delivery.objects.values_list("attempts", flat=True)) == [0, 0, 1]


def test_an_inactive_webhook_receives_nothing(account: Account, receiver: Receiver) -> None:
    delivery = enqueue_delivery(account, receiver.url)
    Webhook.objects.update(active=False)
    deliveries.deliver(NOON)

    assert receiver.requests == []
    delivery.refresh_from_db()
    assert (delivery.state, delivery.error) == (State.FAILED, "The webhook is inactive. Activate it, then retry.")


def test_retry_sends_only_failed_deliveries(account: Account, receiver: Receiver) -> None:
    delivery = enqueue_delivery(account, receiver.url)
    assert deliveries.retry(Delivery.objects.all(), NOON) == 0
    receiver.answer_with(302)
    deliveries.deliver(NOON)
    receiver.answer_with(200)
    later = NOON + timedelta(days=3)

    assert deliveries.retry(Delivery.objects.all(), later) == 1
    assert deliveries.deliver(later) == (1, 0)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, delivery.give_up_at) == (State.DELIVERED, 2, later + timedelta(days=1))
    assert deliveries.retry(Delivery.objects.all(), later) == 0


def test_old_deliveries_are_pruned_while_pending_ones_and_alerts_are_kept(account: Account, receiver: Receiver) -> None:
    delivery = enqueue_delivery(account, receiver.url)
    assert deliveries.prune(NOON + timedelta(days=100)) == 0
    deliveries.deliver(NOON)

    assert deliveries.prune(NOON + timedelta(days=90)) == 0
    assert deliveries.prune(NOON + timedelta(days=91)) == 1
    assert type(delivery.alert).objects.count() == 1
