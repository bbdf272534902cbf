"""An account whose time zone the server does not know: its own requests get a clear answer, all others work."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from billing.models import Account, Membership, UsageLog
from tests.billing.ledger_rows import run
from tests.billing.plan_limits import set_limits
from tests.conftest import Api

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(NOON)]

CALL = {"provider": "openai", "cost_usd": "1"}
SENTENCE = "This server does not know the account's time zone. Its operator must update the time zone data."


@pytest.fixture
def mars(service: Api) -> Account:
    """Account `mars`; `earth` works."""
    set_limits({})
    for name in ("mars", "earth"):
        service.post("accounts/", {"external_id": name})
        service.post("usage/", {**CALL, "account": name, "event_id": "e0"})
    Account.objects.filter(external_id="mars").update(timezone="Mars/Olympus")
    return Account.objects.get(external_id="mars")


def test_its_events_are_refused_alone(service: Api, mars: Account) -> None:
    batch = [
        {**CALL, "account": name, "event_id": f"e{number}"} for number, name in enumerate(("earth", "mars", "new"), 1)
    ]
    response = service.post("usage/", {"events": batch})

    assert response.status_code == 207
    assert [result["status"] for result in response.json()["results"]] == ["accepted", "rejected", "accepted"]
    assert response.json()["results"][1]["errors"] == [
        {
            "code": "unknown_timezone",
            "detail": "This server does not know the account's time zone 'Mars/Olympus', so its usage can't be recorded.",
            "attr": "events.1.account",
        }
    ]
    single = service.post("usage/", {**CALL, "account": "mars", "event_id": "e9"})
    assert (single.status_code, single.json()["errors"][0]["code"]) == (422, "unknown_timezone")
    assert UsageLog.objects.filter(account=mars).count() == 1


def test_its_lines_of_an_import_are_refused_alone(mars: Account, tmp_path: Path) -> None:
    file = tmp_path / "old.jsonl"
    file.write_text("\n".join(json.dumps({**CALL, "account": name}) for name in ("mars", "earth")))
    result = run("import_usage", str(file))

    assert (result.status, result.lines[-1]) == (1, "2 read: 1 imported (0 unpriced), 0 already stored, 1 refused.")
    assert "1 refused: unknown_timezone account" in result.lines


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("usage/summary/", None),
        ("usage/trends/", None),
        ("dashboard/", None),
        ("preflight/", {"operations": [{"provider": "openai"}]}),
        ("reservations/", {"reservation_id": "r1", "operations": [{"provider": "openai"}]}),
    ],
)
def test_its_requests_are_answered_503_and_others_work(service: Api, mars: Account, path: str, body: Any) -> None:
    statuses = {}
    for name in ("mars", "earth"):
        response = service.post(path, {**body, "account": name}) if body else service.get(path, account=name)
        statuses[name] = response.status_code
        if name == "mars":
            assert response.json()["errors"] == [{"code": "unknown_timezone", "detail": SENTENCE, "attr": None}]
    assert statuses["mars"] == 503
    assert statuses["earth"] in {200, 201}


@pytest.mark.parametrize("path", ["usage/summary/", "usage/trends/", "usage/logs/", "dashboard/"])
def test_the_platform_s_figures_include_it(service: Api, mars: Account, path: str) -> None:
    assert service.get(path).status_code == 200


def test_its_pages_say_why_and_others_work(admin_client: Client, mars: Account) -> None:
    paths = {account.external_id: f"/admin/billing/account/{account.pk}/usage/" for account in Account.objects.all()}
    pages = {name: admin_client.get(path) for name, path in paths.items()}

    assert {name: page.status_code for name, page in pages.items()} == {"mars": 503, "earth": 200}
    assert "does not know the time zone of the account" in pages["mars"].content.decode()
    for path in ("/admin/", "/admin/billing/account/", "/admin/billing/usagelog/", "/admin/billing/unpriced/"):
        assert admin_client.get(path).status_code == 200, path


def test_its_customer_sees_a_sentence(client: Client, mars: Account) -> None:
    user = User.objects.create_user("ann")
    Membership.objects.create(account=mars, user=user)
    client.force_login(user)
    response = client.get("/usage/", follow=True)
    assert (response.status_code, "does not know the time zone" in response.content.decode()) == (503, True)


def test_it_works_again_with_its_zone(service: Api, mars: Account) -> None:
    Account.objects.filter(pk=mars.pk).update(timezone="UTC")
    assert service.post("usage/", {**CALL, "account": "mars", "event_id": "e1"}).status_code == 201
    assert set(UsageLog.objects.values_list("usage_day", flat=True)) == {date(2026, 11, 22)}
