"""`GET alerts/` and `POST alerts/{id}/read/`: the fields, who sees an alert, and marking it as read."""

from __future__ import annotations

import uuid

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from billing.accounts import accounts
from billing.models import Account, Membership, UsageAlert
from lib.money import NANO
from tests.billing.alert_rows import NOON, create_alert
from tests.conftest import Api

pytestmark = pytest.mark.django_db


@pytest.fixture
def other(account: Account) -> Account:
    accounts.ensure(["other"], at=NOON)
    return Account.objects.get(external_id="other")


def ids(response: object) -> list[str]:
    return [alert["id"] for alert in response.json()["results"]]  # type: ignore[attr-defined]


def test_a_cost_alert_in_full(bound: Api, account: Account) -> None:
    alert = create_alert(account)

    response = bound.get("alerts/")
    assert response.status_code == 200
    assert response.json() == {
        "next": None,
        "results": [
            {
                "id": str(alert.id),
                "account": "acct_42",
                "period": "2026-11-01",
                "meter": "monthly_cost",
                "kind": "threshold",
                "threshold": 80,
                "limit": "25",
                "used": "20",
                "percent": 80.0,
                "projected": None,
                "message": "Monthly cost: 80 % of the limit reached. "
                "$20.00 of $25.00 used (80.00 %) in the usage period starting 2026-11-01.",
                "raised_at": "2026-11-22T12:00:00Z",
                "read": False,
                "read_at": None,
            }
        ],
    }


def test_a_projected_alert_of_a_call_limit(bound: Api, account: Account) -> None:
    create_alert(account, 0, meter="video_calls", label="Video calls", unit="calls", cap=1000, used=700, projected=1050)

    (alert,) = bound.get("alerts/").json()["results"]
    assert (alert["kind"], alert["threshold"], alert["limit"], alert["used"], alert["projected"]) == (
        "projected",
        None,
        1000,
        700,
        1050,
    )
    assert alert["message"] == (
        "Video calls: projected to exceed the limit. 700 of 1,000 used (70.00 %) in the usage period starting 2026-11-01; "
        "at this rate 1,050 by the end of the period."
    )


def test_an_alert_of_a_daily_limit_names_its_day(bound: Api, account: Account) -> None:
    create_alert(account, 100, meter="video_calls_per_day", label="Video calls", unit="calls", cap=5, used=5)

    (alert,) = bound.get("alerts/").json()["results"]
    assert alert["message"] == "Video calls: 100 % of the limit reached. 5 of 5 used (100.00 %) on 2026-11-01."


def test_pages_are_newest_first_and_contain_every_alert_once(bound: Api, account: Account) -> None:
    created = [str(create_alert(account, threshold).id) for threshold in (50, 80, 95, 100, 0)]
    pages, path = [], "alerts/?page_size=2"
    while path:
        response = bound.get(path)
        pages.append(ids(response))
        path = (response.json()["next"] or "").removeprefix("http://testserver/api/v1/")

    assert [len(page) for page in pages] == [2, 2, 1]
    assert [alert_id for page in pages for alert_id in page] == created[::-1]


def test_the_filter_unread(bound: Api, account: Account) -> None:
    read, unread = create_alert(account, 50, read_at=NOON), create_alert(account, 80)

    assert ids(bound.get("alerts/", unread="true")) == [str(unread.id)]
    assert ids(bound.get("alerts/", unread="false")) == [str(read.id)]


def test_a_bound_key_sees_its_own_alerts_and_a_service_key_sees_all(
    bound: Api, service: Api, account: Account, other: Account
) -> None:
    mine, theirs = create_alert(account), create_alert(other)

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
def test_an_invalid_filter_is_422(bound: Api, query: dict[str, str], field: str, code: str) -> None:
    response = bound.get("alerts/", **query)

    assert response.status_code == 422
    assert [(error["attr"], error["code"]) for error in response.json()["errors"]] == [(field, code)]


def test_the_scope_read_is_required(account: Account) -> None:
    alert = create_alert(account)
    key = Api("ingest", "limits", "manage", account=account)

    assert key.get("alerts/").status_code == 403
    assert key.post(f"alerts/{alert.id}/read/", {}).status_code == 403
    alert.refresh_from_db()
    assert alert.read_at is None


def test_an_alert_is_marked_as_read_once(bound: Api, account: Account) -> None:
    alert, unread = create_alert(account), create_alert(account, 95)

    first = bound.post(f"alerts/{alert.id}/read/", {})
    repeated = bound.post(f"alerts/{alert.id}/read/", {})
    assert (first.status_code, repeated.status_code) == (200, 200)
    assert first.json()["read"] is True
    assert first.json()["read_at"] is not None
    assert first.json() == repeated.json()
    unread.refresh_from_db()
    assert unread.read_at is None


def test_another_accounts_alert_is_404_and_stays_unread(bound: Api, service: Api, other: Account) -> None:
    alert = create_alert(other)

    refused = bound.post(f"alerts/{alert.id}/read/", {})
    assert refused.status_code == 404
    assert refused.content == bound.post(f"alerts/{uuid.uuid4()}/read/", {}).content
    alert.refresh_from_db()
    assert alert.read_at is None
    assert service.post(f"alerts/{alert.id}/read/", {}).status_code == 200


def test_a_customer_marks_their_own_alert_as_read(account: Account) -> None:
    user = User.objects.create_user("customer")
    Membership.objects.create(account=account, user=user)
    client = Client()
    client.force_login(user)
    alert = create_alert(account)

    assert client.post(f"/api/v1/alerts/{alert.id}/read/").status_code == 200
    alert.refresh_from_db()
    assert alert.read_at is not None


@pytest.mark.parametrize(("group", "status"), [("Viewer", 403), ("Operator", 200)])
def test_staff_need_the_permission_to_mark_an_alert_as_read(account: Account, group: str, status: int) -> None:
    user = User.objects.create_user("staff", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    alert = create_alert(account)

    assert client.get("/api/v1/alerts/").status_code == 200
    assert client.post(f"/api/v1/alerts/{alert.id}/read/").status_code == status
    assert UsageAlert.objects.filter(read_at=None).count() == (status == 403)


def test_amounts_are_exact(bound: Api, account: Account) -> None:
    create_alert(account, cap=NANO, used=800_000_001)

    (alert,) = bound.get("alerts/").json()["results"]
    assert (alert["used"], alert["percent"]) == ("0.800000001", 80.0)
