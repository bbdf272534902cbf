"""Alerts, deliveries and webhooks in the admin: found, marked as read, tried again; a secret is shown once and nowhere else."""

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
from tests.billing.alerted import NOW, alert, planned

pytestmark = pytest.mark.django_db

ALERTS, DELIVERIES, WEBHOOKS = (f"/admin/billing/{name}/" for name in ("usagealert", "delivery", "webhook"))


def staff(group: str) -> Client:
    user = User.objects.create_user(group, is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def given_up(account: Account) -> Delivery:
    one = planned(account, "http://127.0.0.1:9999/hook")
    deliveries.deliver(NOW)
    one.refresh_from_db()
    assert one.state == Delivery.State.FAILED
    return one


def test_the_list_of_alerts_says_what_was_used(account: Account, admin_client: Client) -> None:
    alert(account, 100, used=25_004_999_999, label="Monthly cost")
    alert(account, 0, meter="video_calls", label="Video calls", unit="calls", cap=1000, used=700, projected=1050)

    page = admin_client.get(ALERTS).content.decode()
    assert '<span class="badge critical">100 %</span>' in page
    assert "$25.00 of $25.00" in page
    assert '<span class="badge warning">projected to exceed</span>' in page
    assert "700 of 1,000" in page


@pytest.mark.parametrize(
    ("query", "found"),
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
def test_alerts_are_found(account: Account, admin_client: Client, query: dict[str, str], found: list[int]) -> None:
    alert(account, 50, read_at=NOW)
    alert(account, 80, meter="video_calls", label="Video calls", unit="calls")
    alert(account, 100)

    page = admin_client.get(ALERTS, query)
    assert sorted(one.threshold for one in page.context["cl"].result_list) == found


def test_the_selected_alerts_are_marked_as_read(account: Account) -> None:
    one, other = alert(account, 80), alert(account, 95)
    operator = staff("Operator")

    answer = operator.post(ALERTS, {"action": "mark_read", "_selected_action": [str(one.pk)]}, follow=True)
    assert "1 marked as read." in answer.content.decode()
    assert list(UsageAlert.objects.filter(read_at=None)) == [other]


def test_a_viewer_sees_alerts_and_may_not_mark_them(account: Account) -> None:
    one = alert(account)
    viewer = staff("Viewer")

    page = viewer.get(ALERTS)
    assert page.status_code == 200
    assert b"mark_read" not in page.content
    viewer.post(ALERTS, {"action": "mark_read", "_selected_action": [str(one.pk)]})
    one.refresh_from_db()
    assert one.read_at is None


def test_an_alerts_page_tells_it_in_a_sentence_with_its_deliveries(given_up: Delivery, admin_client: Client) -> None:
    page = admin_client.get(f"{ALERTS}{given_up.alert_id}/change/").content.decode()

    assert "Monthly cost: $20.00 of $25.00 used (80.00 %) in the period from 2026-11-01." in page
    assert "http://127.0.0.1:9999/hook" in page
    assert "Given up" in page


def test_the_page_of_a_delivery_tells_its_state_and_its_error(given_up: Delivery, admin_client: Client) -> None:
    page = admin_client.get(f"{DELIVERIES}{given_up.pk}/change/").content.decode()

    assert '<span class="badge critical">Given up</span>' in page
    assert "127.0.0.1 is a private or special address (WEBHOOK_ALLOW_PRIVATE)." in page
    assert "Retry" in page


def test_what_a_receiver_answers_is_escaped(given_up: Delivery, admin_client: Client) -> None:
    Delivery.objects.update(response="<script>alert(1)</script>", response_status=500)

    page = admin_client.get(f"{DELIVERIES}{given_up.pk}/change/").content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert(1)" not in page


def test_retry_asks_first_and_then_makes_it_due(given_up: Delivery) -> None:
    operator, address = staff("Operator"), f"{DELIVERIES}{given_up.pk}/retry/"

    asked = operator.get(address)
    assert "is sent to http://127.0.0.1:9999/hook again" in asked.content.decode()
    given_up.refresh_from_db()
    assert given_up.state == Delivery.State.FAILED
    answer = operator.post(address, follow=True)
    assert "It is sent again within seconds." in answer.content.decode()
    given_up.refresh_from_db()
    assert (given_up.state, given_up.attempts) == (Delivery.State.PENDING, 1)
    assert "It was not given up" in operator.post(address, follow=True).content.decode()


def test_a_viewer_may_not_retry(given_up: Delivery) -> None:
    viewer = staff("Viewer")

    assert viewer.post(f"{DELIVERIES}{given_up.pk}/retry/").status_code == 403
    assert b"/retry/" not in viewer.get(f"{DELIVERIES}{given_up.pk}/change/").content
    given_up.refresh_from_db()
    assert given_up.state == Delivery.State.FAILED


def test_a_webhooks_secret_is_shown_once(account: Account) -> None:
    operator = staff("Operator")
    answer = operator.post(
        f"{WEBHOOKS}add/", {"account": account.pk, "url": "https://example.com/hook", "active": "on"}, follow=True
    )

    one = Webhook.objects.get()
    assert (one.account, one.url, one.active) == (account, "https://example.com/hook", True)
    (shown,) = re.findall(r"whsec_[0-9a-f]{64}", answer.content.decode())
    assert shown == webhooks.secret(one)
    for path in (WEBHOOKS, f"{WEBHOOKS}{one.pk}/change/", f"{WEBHOOKS}{one.pk}/history/"):
        page = operator.get(path).content.decode()
        assert "whsec_" not in page
        assert one.salt.hex not in page.replace("-", "")
    trail = str(list(LogEntry.objects.values()))
    assert "example.com/hook" in trail
    assert str(one.salt) not in trail
    assert shown not in trail


@pytest.mark.parametrize("url", ["ftp://example.com/", "example.com", "https://u:p@example.com/", "https://a.b:22/"])
def test_a_url_that_is_never_called_is_refused(url: str) -> None:
    answer = staff("Operator").post(f"{WEBHOOKS}add/", {"url": url, "active": "on"})

    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors["url"]
    assert Webhook.objects.count() == 0


def test_a_webhook_is_switched_off_and_stays(account: Account) -> None:
    one = Webhook.objects.create(url="https://example.com/hook", created_at=NOW)
    operator = staff("Operator")

    operator.post(f"{WEBHOOKS}{one.pk}/change/", {"url": "https://example.com/other", "account": account.pk})
    before = webhooks.secret(one)
    one.refresh_from_db()
    assert (one.url, one.active, one.account) == ("https://example.com/other", False, None)
    assert webhooks.secret(one) == before
    assert operator.post(f"{WEBHOOKS}{one.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Webhook.objects.count() == 1


@pytest.mark.parametrize("path", [ALERTS, DELIVERIES, WEBHOOKS])
def test_a_viewer_looks_and_changes_nothing(given_up: Delivery, path: str) -> None:
    viewer = staff("Viewer")

    assert viewer.get(path).status_code == 200
    assert viewer.get(f"{path}add/").status_code == 403


@pytest.mark.parametrize("path", [ALERTS, DELIVERIES])
def test_lists_need_the_same_queries_however_many_rows(account: Account, admin_client: Client, path: str) -> None:
    Webhook.objects.create(url="https://example.com/hook", created_at=NOW)
    counts = []
    for thresholds in (range(1), range(1, 20)):
        deliveries.plan(account, [alert(account, threshold) for threshold in thresholds], NOW)
        admin_client.get(path)
        with CaptureQueriesContext(connection) as queries:
            admin_client.get(path)
        counts.append(len(queries))

    assert counts[0] == counts[1]
