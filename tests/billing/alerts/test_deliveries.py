"""Alerts arrive: by webhook, signed; by e-mail; tried again until a day is over; each attempt made once."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import socket
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail

from billing.accounts import accounts
from billing.alerts import deliveries, webhooks
from billing.models import Account, Delivery, Membership, Webhook
from lib import outbound
from tests.billing.alerted import NOW, alert, planned, webhook
from tests.billing.receiver import Receiver, receiving

pytestmark = pytest.mark.django_db

State = Delivery.State


@pytest.fixture(autouse=True)
def private(settings: Any) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = True


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


@pytest.fixture
def no_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses are as long as they may be."""
    monkeypatch.setattr(secrets, "randbelow", lambda most: most - 1)


def test_a_webhook_gets_the_alert_as_the_api_tells_it(account: Account, receiver: Receiver) -> None:
    one = planned(account, receiver.url)

    assert deliveries.deliver(NOW) == (1, 0)
    ((headers, body),) = receiver.got
    told = json.loads(body)
    assert (told["type"], told["alert"]["meter"], told["alert"]["threshold"]) == ("usage_alert", "monthly_cost", 80)
    assert (told["alert"]["used"], told["alert"]["percent"]) == ("20", 80)
    assert headers["Tollgate-Delivery"] == str(one.id)
    assert headers["Content-Type"] == "application/json"
    assert headers["Host"] == receiver.url.split("/")[2]
    one.refresh_from_db()
    assert (one.state, one.attempts, one.response_status, one.response, one.error, one.ended_at) == (
        State.DELIVERED,
        1,
        200,
        "ok",
        "",
        NOW,
    )


def test_the_signature_is_the_hmac_of_time_and_body_under_the_secret(account: Account, receiver: Receiver) -> None:
    planned(account, receiver.url)
    deliveries.deliver(NOW)

    ((headers, body),) = receiver.got
    key = webhooks.secret(Webhook.objects.get()).encode()
    right = hmac.new(key, b"1795348800." + body, hashlib.sha256).hexdigest()
    assert headers["Tollgate-Signature"] == f"t=1795348800,v1={right}"


def test_each_webhook_has_a_secret_of_its_own_that_stands_in_no_column(account: Account) -> None:
    one, other = webhook("https://example.com/1"), webhook("https://example.com/2")

    assert webhooks.secret(one) != webhooks.secret(other)
    stored = json.dumps(list(Webhook.objects.values()), default=str)
    assert webhooks.secret(one).removeprefix("whsec_") not in stored


def test_a_failure_is_tried_again_after_rising_pauses_and_given_up_after_a_day(
    account: Account, receiver: Receiver, no_chance: None
) -> None:
    receiver.answers(500, "out of order")
    one = planned(account, receiver.url)
    pauses, at = [], NOW
    while one.state == State.PENDING:
        assert deliveries.deliver(at - timedelta(seconds=1)) == (0, 0)
        assert deliveries.deliver(at) == (0, 1)
        one.refresh_from_db()
        pauses.append((one.due_at - at).total_seconds())
        at = one.due_at

    assert pauses[:-1] == [30 * 2**number for number in range(11)]
    assert (one.state, one.attempts, one.response_status) == (State.FAILED, 12, 500)
    assert (one.response, one.error) == ("out of order", "The answer was 500.")
    assert len({headers["Tollgate-Delivery"] for headers, _ in receiver.got}) == 1
    assert len(receiver.got) == 12


def test_half_of_a_pause_is_chance() -> None:
    assert {deliveries.pause(1).total_seconds() for _ in range(2_000)} == set(range(15, 31))


def test_it_arrives_at_last(account: Account, receiver: Receiver) -> None:
    receiver.answers(503)
    one = planned(account, receiver.url)
    deliveries.deliver(NOW)
    receiver.answers(204)

    assert deliveries.deliver(NOW + timedelta(seconds=30)) == (1, 0)
    one.refresh_from_db()
    assert (one.state, one.attempts, one.response_status, one.error) == (State.DELIVERED, 2, 204, "")


def test_a_redirect_is_not_followed_and_is_the_end(account: Account, receiver: Receiver) -> None:
    with receiving() as elsewhere:
        receiver.answers(307, Location=elsewhere.url)
        one = planned(account, receiver.url)
        deliveries.deliver(NOW)

        assert elsewhere.got == []
    one.refresh_from_db()
    assert (one.state, one.response_status, one.error) == (State.FAILED, 307, "Redirects are not followed.")


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + b" " * 100])
def test_an_answer_that_trickles_in_is_cut_off(
    account: Account, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    monkeypatch.setattr(outbound, "TIMEOUT", 1)
    receiver.answer, receiver.pause = answer or b"H" * 100, 0.1
    one = planned(account, receiver.url)

    assert deliveries.deliver(NOW) == (0, 1)
    one.refresh_from_db()
    assert (one.state, one.error) == (State.PENDING, "No answer within 1 seconds.")


def test_of_a_long_answer_only_the_start_is_read_and_kept(account: Account, receiver: Receiver) -> None:
    receiver.answers(200, "<b>\x00é" * 200_000)
    one = planned(account, receiver.url)
    deliveries.deliver(NOW)

    one.refresh_from_db()
    assert (one.state, one.response) == (State.DELIVERED, "<b>\ufffdé" * 100)


@pytest.mark.parametrize("answer", [b"SSH-2.0-nothing\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000])
def test_what_is_no_http_is_an_error_and_tried_again(account: Account, receiver: Receiver, answer: bytes) -> None:
    receiver.answer = answer
    one = planned(account, receiver.url)
    deliveries.deliver(NOW)

    one.refresh_from_db()
    assert one.state == State.PENDING
    assert one.error
    assert one.response_status is None


def test_a_private_address_is_refused_and_is_the_end(account: Account, receiver: Receiver, settings: Any) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = False
    one = planned(account, receiver.url)
    deliveries.deliver(NOW)

    assert receiver.got == []
    one.refresh_from_db()
    assert (one.state, one.error) == (
        State.FAILED,
        "127.0.0.1 is a private or special address (WEBHOOK_ALLOW_PRIVATE).",
    )


def test_a_name_that_begins_to_resolve_to_a_private_address_is_refused(
    account: Account, receiver: Receiver, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = False
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kinds: found)
    one = planned(account, receiver.url.replace("127.0.0.1", "hooks.example.com"))
    deliveries.deliver(NOW)

    assert receiver.got == []
    one.refresh_from_db()
    assert one.state == State.FAILED


def test_who_is_told(account: Account, settings: Any) -> None:
    """Owners and operators by e-mail, webhooks of the account and of all accounts; nobody else."""
    settings.ALERT_EMAILS = ["operator@example.com", "owner@example.com"]
    accounts.ensure(["other"], at=NOW)
    other = Account.objects.get(external_id="other")
    for name, role, active in (("owner", "owner", True), ("member", "member", True), ("gone", "owner", False)):
        user = User.objects.create_user(name, f"{name}@example.com", is_active=active)
        Membership.objects.create(account=account, user=user, role=role)
    stranger = User.objects.create_user("stranger", "stranger@example.com")
    Membership.objects.create(account=other, user=stranger, role="owner")
    Membership.objects.create(account=account, user=User.objects.create_user("no-address"), role="owner")
    webhook("https://example.com/all")
    webhook("https://example.com/own", account)
    webhook("https://example.com/others", other)
    Webhook.objects.create(url="https://example.com/off", active=False, created_at=NOW)
    deliveries.plan(account, [alert(account)], NOW)

    assert [one.target for one in Delivery.objects.order_by("id")] == [
        "https://example.com/all",
        "https://example.com/own",
        "owner@example.com",
        "operator@example.com",
    ]


def test_an_e_mail_says_it_in_a_sentence(account: Account, settings: Any) -> None:
    settings.ALERT_EMAILS = ["operator@example.com"]
    one = planned(account)

    assert deliveries.deliver(NOW) == (1, 0)
    (sent,) = mail.outbox
    assert (sent.to, sent.subject) == (["operator@example.com"], "acct_42: Monthly cost: 80 % of the limit")
    assert sent.body == "Monthly cost: $20.00 of $25.00 used (80.00 %) in the period from 2026-11-01.\n"
    assert sent.message()["Message-ID"] == f"<{one.id}@tollgate>"


def test_a_mail_server_that_is_away_is_tried_again(account: Account, settings: Any) -> None:
    settings.ALERT_EMAILS = ["operator@example.com"]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    one = planned(account)

    assert deliveries.deliver(NOW) == (0, 1)
    one.refresh_from_db()
    assert one.state == State.PENDING
    assert one.error.startswith("ConnectionRefusedError")


def test_an_attempt_that_is_being_made_is_not_made_by_another_runner(
    account: Account, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned(account, receiver.url)
    meanwhile: list[deliveries.Ran] = []
    send = webhooks.send

    def slow(*args: Any) -> outbound.Answer:
        meanwhile.append(deliveries.deliver(NOW + timedelta(seconds=10)))
        return send(*args)

    monkeypatch.setattr(webhooks, "send", slow)

    assert deliveries.deliver(NOW) == (1, 0)
    assert meanwhile == [(0, 0)]
    assert len(receiver.got) == 1


def test_an_attempt_whose_process_was_killed_is_made_again_under_the_same_id(
    account: Account, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = planned(account, receiver.url)
    send = webhooks.send

    def killed(*args: Any) -> outbound.Answer:
        send(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(webhooks, "send", killed)
        with pytest.raises(KeyboardInterrupt):
            deliveries.deliver(NOW)

    assert deliveries.deliver(NOW + deliveries.LOST - timedelta(seconds=1)) == (0, 0)
    assert deliveries.deliver(NOW + deliveries.LOST) == (1, 0)
    assert [headers["Tollgate-Delivery"] for headers, _ in receiver.got] == [str(one.id)] * 2
    one.refresh_from_db()
    assert (one.state, one.attempts) == (State.DELIVERED, 2)


def test_where_one_attempt_failed_the_others_wait_a_little_and_keep_nobody_up(
    account: Account, receiver: Receiver
) -> None:
    receiver.answers(500)
    webhook(receiver.url)
    deliveries.plan(account, [alert(account, threshold) for threshold in (50, 80, 95)], NOW)
    with receiving() as sound:
        webhook(sound.url)
        deliveries.plan(account, [alert(account, 100)], NOW)

        assert deliveries.deliver(NOW) == (1, 1)
        assert (len(receiver.got), len(sound.got)) == (1, 1)
        waiting = Delivery.objects.filter(state=State.PENDING, attempts=0)
        assert list(waiting.values_list("due_at", flat=True)) == [NOW + timedelta(seconds=30)] * 3


def test_a_webhook_that_was_switched_off_gets_nothing_more(account: Account, receiver: Receiver) -> None:
    one = planned(account, receiver.url)
    Webhook.objects.update(active=False)
    deliveries.deliver(NOW)

    assert receiver.got == []
    one.refresh_from_db()
    assert (one.state, one.error) == (State.FAILED, "The webhook is switched off.")


def test_retry_sends_what_was_given_up_and_nothing_else(account: Account, receiver: Receiver) -> None:
    one = planned(account, receiver.url)
    assert deliveries.retry(Delivery.objects.all(), NOW) == 0
    receiver.answers(302)
    deliveries.deliver(NOW)
    receiver.answers(200)
    later = NOW + timedelta(days=3)

    assert deliveries.retry(Delivery.objects.all(), later) == 1
    assert deliveries.deliver(later) == (1, 0)
    one.refresh_from_db()
    assert (one.state, one.attempts, one.give_up_at) == (State.DELIVERED, 2, later + timedelta(days=1))
    assert deliveries.retry(Delivery.objects.all(), later) == 0


def test_old_deliveries_are_forgotten_and_alerts_and_what_is_pending_stay(account: Account, receiver: Receiver) -> None:
    one = planned(account, receiver.url)
    assert deliveries.prune(NOW + timedelta(days=100)) == 0
    deliveries.deliver(NOW)

    assert deliveries.prune(NOW + timedelta(days=90)) == 0
    assert deliveries.prune(NOW + timedelta(days=91)) == 1
    assert type(one.alert).objects.count() == 1
