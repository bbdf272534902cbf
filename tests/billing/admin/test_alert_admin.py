"""Alerts, deliveries and webhooks in the admin: filters, marking as read, retries, and secrets that are shown only once."""

from __future__ import annotations

import re

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing.alerts import deliveries, webhooks
from billing.models import Account, Delivery, UsageAlert, Webhook
from tests.billing.alert_rows import NOON, create_alert, enqueue_delivery

pytestmark = pytest.mark.django_db

ALERTS, DELIVERIES, WEBHOOKS = (f"/admin/billing/{name}/" for name in ("usagealert", "delivery", "webhook"))


def log_in_staff(group: str) -> Client:
    user = User.objects.create_user(group, is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def failed_delivery(account: Account) -> Delivery:
    delivery = enqueue_delivery(account, "http://127.0.0.1:9999/hook")
    deliveries.deliver(NOON)
    delivery.refresh_from_db()
    assert delivery.state == Delivery.State.FAILED
    return delivery


def test_the_alert_list_shows_usage_and_limit(account: Account, admin_client: Client) -> None:
    create_alert(account, 100, used=25_004_999_999, label="Monthly cost")
    create_alert(account, 0, meter="video_calls", label="Video calls", unit="calls", cap=1000, used=700, projected=1050)

    page = admin_client.get(ALERTS).content.decode()
    assert '<span class="badge critical">100 %</span>' in page
    assert "$25.00 of $25.00" in page
    assert '<span class="badge warning">projected to exceed</span>' in page
    assert "700 of 1,000" in page


@pytest.mark.parametrize(
    ("query", "thresholds"),
    [
        ({"read": "no"}, [80, 100]),
        ({"read": "yes"}, [50]),
        ({"threshold": "100"}, [100]),
        ({"threshold": "nonsense"}, [50, 80, 100]),
        ({"meter": "video_calls"}, [80]),
        ({"account": "acct_42"}, [50, 80, 100]),
        ({"account": "nobody"}, []),
        ({"q": "acct_4"}, [50, 80, 100]),
    ],
)
def test_filters_select_alerts(
    account: Account, admin_client: Client, query: dict[str, str], thresholds: list[int]
) -> None:
    create_alert(account, 50, read_at=NOON)
    create_alert(account, 80, meter="video_calls", label="Video calls", unit="calls")
    create_alert(account, 100)

    page = admin_client.get(ALERTS, query)
    assert sorted(alert.threshold for alert in page.context["cl"].result_list) == thresholds


def test_the_selected_alerts_are_marked_as_read(account: Account) -> None:
    alert, other = create_alert(account, 80), create_alert(account, 95)
    operator = log_in_staff("Operator")

    response = operator.post(ALERTS, {"action": "mark_read", "_selected_action": [str(alert.pk)]}, follow=True)
    assert "1 alert marked as read." in response.content.decode()
    assert list(UsageAlert.objects.filter(read_at=None)) == [other]


def test_a_viewer_sees_alerts_but_cannot_mark_them_as_read(account: Account) -> None:
    alert = create_alert(account)
    viewer = log_in_staff("Viewer")

    page = viewer.get(ALERTS)
    assert page.status_code == 200
    assert b"mark_read" not in page.content
    viewer.post(ALERTS, {"action": "mark_read", "_selected_action": [str(alert.pk)]})
    alert.refresh_from_db()
    assert alert.read_at is None


def test_an_alert_page_shows_its_message_and_its_deliveries(failed_delivery: Delivery, admin_client: Client) -> None:
    page = admin_client.get(f"{ALERTS}{failed_delivery.alert_id}/change/").content.decode()

    assert (
        "Monthly cost: 80 % of the limit reached. $20.00 of $25.00 used (80.00 %) in the usage period starting 2026-11-01."
        in page
    )
    assert "http://127.0.0.1:9999/hook" in page
    assert ">Failed<" in page


def test_a_delivery_page_shows_its_state_and_its_error(failed_delivery: Delivery, admin_client: Client) -> None:
    page = admin_client.get(f"{DELIVERIES}{failed_delivery.pk}/change/").content.decode()

    assert '<span class="badge critical">Failed</span>' in page
    assert "127.0.0.1 is a private or special address (WEBHOOK_ALLOW_PRIVATE)." in page
    assert "Retry" in page


def test_the_response_of_a_receiver_is_escaped(failed_delivery: Delivery, admin_client: Client) -> None:
    Delivery.objects.update(response="<script>alert(1)</script>", response_status=500)

    page = admin_client.get(f"{DELIVERIES}{failed_delivery.pk}/change/").content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert(1)" not in page


def test_retry_needs_a_confirmation_and_makes_the_delivery_due(failed_delivery: Delivery) -> None:
    operator, address = log_in_staff("Operator"), f"{DELIVERIES}{failed_delivery.pk}/retry/"

    confirmation = operator.get(address)
    assert "is sent to http://127.0.0.1:9999/hook again" in confirmation.content.decode()
    failed_delivery.refresh_from_db()
    assert failed_delivery.state == Delivery.State.FAILED
    response = operator.post(address, follow=True)
    assert "The alert will be sent again within seconds." in response.content.decode()
    failed_delivery.refresh_from_db()
    assert (failed_delivery.state, failed_delivery.attempts) == (Delivery.State.PENDING, 1)
    assert "Nothing to retry: it has not failed." in operator.post(address, follow=True).content.decode()


def test_a_viewer_cannot_retry_a_delivery(failed_delivery: Delivery) -> None:
    viewer = log_in_staff("Viewer")

    assert viewer.post(f"{DELIVERIES}{failed_delivery.pk}/retry/").status_code == 403
    assert b"/retry/" not in viewer.get(f"{DELIVERIES}{failed_delivery.pk}/change/").content
    failed_delivery.refresh_from_db()
    assert failed_delivery.state == Delivery.State.FAILED


def test_a_webhook_secret_is_shown_once(account: Account) -> None:
    operator = log_in_staff("Operator")
    response = operator.post(
        f"{WEBHOOKS}add/", {"account": account.pk, "url": "https://example.com/hook", "active": "on"}, follow=True
    )

    webhook = Webhook.objects.get()
    assert (webhook.account, webhook.url, webhook.active) == (account, "https://example.com/hook", True)
    (secret,) = re.findall(r"whsec_[0-9a-f]{64}", response.content.decode())
    assert secret == webhooks.signing_secret(webhook)
    for path in (WEBHOOKS, f"{WEBHOOKS}{webhook.pk}/change/", f"{WEBHOOKS}{webhook.pk}/history/"):
        page = operator.get(path).content.decode()
        assert "whsec_" not in page
        assert webhook.salt.hex not in page.replace("-", "")
    audit_trail = str(list(LogEntry.objects.values()))
    assert "example.com/hook" in audit_trail
    assert str(webhook.salt) not in audit_trail
    assert secret not in audit_trail


@pytest.mark.parametrize("url", ["ftp://example.com/", "example.com", "https://u:p@example.com/", "https://a.b:22/"])
def test_an_unusable_url_is_refused(url: str) -> None:
    response = log_in_staff("Operator").post(f"{WEBHOOKS}add/", {"url": url, "active": "on"})

    assert response.status_code == 200
    assert response.context["adminform"].form.errors["url"]
    assert Webhook.objects.count() == 0


def test_a_webhook_is_changed_and_deactivated_but_never_deleted(account: Account) -> None:
    webhook = Webhook.objects.create(url="https://example.com/hook", created_at=NOON)
    operator = log_in_staff("Operator")

    operator.post(f"{WEBHOOKS}{webhook.pk}/change/", {"url": "https://example.com/other", "account": account.pk})
    before = webhooks.signing_secret(webhook)
    webhook.refresh_from_db()
    assert (webhook.url, webhook.active, webhook.account) == ("https://example.com/other", False, None)
    assert webhooks.signing_secret(webhook) == before
    assert operator.post(f"{WEBHOOKS}{webhook.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Webhook.objects.count() == 1


@pytest.mark.parametrize("path", [ALERTS, DELIVERIES, WEBHOOKS])
def test_a_viewer_sees_the_lists_but_adds_nothing(failed_delivery: Delivery, path: str) -> None:
    viewer = log_in_staff("Viewer")

    assert viewer.get(path).status_code == 200
    assert viewer.get(f"{path}add/").status_code == 403


@pytest.mark.parametrize("path", [ALERTS, DELIVERIES])
def test_lists_take_the_same_number_of_queries_for_any_number_of_rows(
    account: Account, admin_client: Client, path: str
) -> None:
    Webhook.objects.create(url="https://example.com/hook", created_at=NOON)
    counts = []
    for thresholds in (range(1), range(1, 20)):
        deliveries.enqueue(account, [create_alert(account, threshold) for threshold in thresholds], NOON)
        admin_client.get(path)
        with CaptureQueriesContext(connection) as queries:
            admin_client.get(path)
        counts.append(len(queries))

    assert counts[0] == counts[1]
