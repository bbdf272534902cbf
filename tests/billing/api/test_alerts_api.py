"""`GET alerts/` and `POST alerts/{id}/read/`: what an alert tells, who sees it, and marking it as read."""

from __future__ import annotations

import uuid

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from billing.accounts import accounts
from billing.models import Account, Membership, UsageAlert
from lib.money import NANO
from tests.billing.alerted import NOW, alert
from tests.conftest import Api

pytestmark = pytest.mark.django_db


@pytest.fixture
def other(account: Account) -> Account:
    accounts.ensure(["other"], at=NOW)
    return Account.objects.get(external_id="other")


def ids(answer: object) -> list[str]:
    return [one["id"] for one in answer.json()["results"]]  # type: ignore[attr-defined]


def test_an_alert_of_cost_in_full(bound: Api, account: Account) -> None:
    one = alert(account)

    answer = bound.get("alerts/")
    assert answer.status_code == 200
    assert answer.json() == {
        "next": None,
        "results": [
            {
                "id": str(one.id),
                "account": "acct_42",
                "period": "2026-11-01",
                "meter": "monthly_cost",
                "kind": "threshold",
                "threshold": 80,
                "limit": "25",
                "used": "20",
                "percent": 80.0,
                "projected": None,
                "message": "Monthly cost: $20.00 of $25.00 used (80.00 %) in the period from 2026-11-01.",
                "raised_at": "2026-11-22T12:00:00Z",
                "read": False,
                "read_at": None,
            }
        ],
    }


def test_a_projected_alert_of_calls(bound: Api, account: Account) -> None:
    alert(account, 0, meter="video_calls", label="Video calls", unit="calls", cap=1000, used=700, projected=1050)

    (one,) = bound.get("alerts/").json()["results"]
    assert (one["kind"], one["threshold"], one["limit"], one["used"], one["projected"]) == (
        "projected",
        None,
        1000,
        700,
        1050,
    )
    assert one["message"] == (
        "Video calls: 700 of 1,000 used (70.00 %) in the period from 2026-11-01; at this rate 1,050 by its end."
    )


def test_an_alert_of_a_daily_limit_names_its_day(bound: Api, account: Account) -> None:
    alert(account, 100, meter="video_calls_per_day", label="Video calls", unit="calls", cap=5, used=5)

    (one,) = bound.get("alerts/").json()["results"]
    assert one["message"] == "Video calls: 5 of 5 used (100.00 %) on 2026-11-01."


def test_pages_are_newest_first_and_hold_every_alert_once(bound: Api, account: Account) -> None:
    made = [str(alert(account, threshold).id) for threshold in (50, 80, 95, 100, 0)]
    found, path = [], "alerts/?page_size=2"
    while path:
        answer = bound.get(path)
        found.append(ids(answer))
        path = (answer.json()["next"] or "").removeprefix("http://testserver/api/v1/")

    assert [len(page) for page in found] == [2, 2, 1]
    assert [one for page in found for one in page] == made[::-1]


def test_unread_alerts_alone(bound: Api, account: Account) -> None:
    read, unread = alert(account, 50, read_at=NOW), alert(account, 80)

    assert ids(bound.get("alerts/", unread="true")) == [str(unread.id)]
    assert ids(bound.get("alerts/", unread="false")) == [str(read.id)]


def test_a_bound_key_sees_its_own_and_a_service_key_everybodys(
    bound: Api, service: Api, account: Account, other: Account
) -> None:
    mine, theirs = alert(account), alert(other)

    assert ids(bound.get("alerts/")) == [str(mine.id)]
    assert ids(service.get("alerts/")) == [str(theirs.id), str(mine.id)]
    assert ids(service.get("alerts/", account="other")) == [str(theirs.id)]
    assert bound.get("alerts/", account="other").status_code == 404


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ({"unread": "maybe"}, "unread", "invalid"),
        ({"unread": "True"}, "unread", "invalid"),
        ({"page_size": "0"}, "page_size", "invalid"),
        ({"page_size": "501"}, "page_size", "invalid"),
        ({"cursor": "nonsense"}, "cursor", "invalid"),
        ({"colour": "red"}, "colour", "unknown_field"),
    ],
)
def test_a_filter_that_it_does_not_understand_is_422(bound: Api, query: dict[str, str], field: str, code: str) -> None:
    answer = bound.get("alerts/", **query)

    assert answer.status_code == 422
    assert [(error["attr"], error["code"]) for error in answer.json()["errors"]] == [(field, code)]


def test_it_needs_the_scope_read(account: Account) -> None:
    one = alert(account)
    key = Api("ingest", "limits", "manage", account=account)

    assert key.get("alerts/").status_code == 403
    assert key.post(f"alerts/{one.id}/read/", {}).status_code == 403
    one.refresh_from_db()
    assert one.read_at is None


def test_reading_marks_it_once(bound: Api, account: Account) -> None:
    one, unread = alert(account), alert(account, 95)

    first = bound.post(f"alerts/{one.id}/read/", {})
    again = bound.post(f"alerts/{one.id}/read/", {})
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json()["read"] is True
    assert first.json()["read_at"] is not None
    assert first.json() == again.json()
    unread.refresh_from_db()
    assert unread.read_at is None


def test_another_accounts_alert_is_404_and_stays_unread(bound: Api, service: Api, other: Account) -> None:
    one = alert(other)

    refused = bound.post(f"alerts/{one.id}/read/", {})
    assert refused.status_code == 404
    assert refused.content == bound.post(f"alerts/{uuid.uuid4()}/read/", {}).content
    one.refresh_from_db()
    assert one.read_at is None
    assert service.post(f"alerts/{one.id}/read/", {}).status_code == 200


def test_a_customer_reads_his_own(account: Account) -> None:
    user = User.objects.create_user("customer")
    Membership.objects.create(account=account, user=user)
    client = Client()
    client.force_login(user)
    one = alert(account)

    assert client.post(f"/api/v1/alerts/{one.id}/read/").status_code == 200
    one.refresh_from_db()
    assert one.read_at is not None


@pytest.mark.parametrize(("group", "status"), [("Viewer", 403), ("Operator", 200)])
def test_staff_need_the_permission_to_mark_it(account: Account, group: str, status: int) -> None:
    user = User.objects.create_user("staff", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    one = alert(account)

    assert client.get("/api/v1/alerts/").status_code == 200
    assert client.post(f"/api/v1/alerts/{one.id}/read/").status_code == status
    assert UsageAlert.objects.filter(read_at=None).count() == (status == 403)


def test_exact_money_in_the_answer(bound: Api, account: Account) -> None:
    alert(account, cap=NANO, used=800_000_001)

    (one,) = bound.get("alerts/").json()["results"]
    assert (one["used"], one["percent"]) == ("0.800000001", 80.0)
