"""An account's period costs at most 100,000,000 USD: an event that would exceed it is refused, alone, by every way in."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models import Sum
from django.test.utils import CaptureQueriesContext

from billing.models import Account, PlatformDay, UsageDay, UsageLog, UsageModel, UsageReservation
from billing.models.rollups import MAX_PERIOD_NANO
from tests.billing.ledger_rows import assert_ledger_consistent, run
from tests.billing.plan_limits import set_limits
from tests.conftest import Api

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at("2026-11-22T12:00")]

USD = 10**9
MILLION = "1000000"
CALL = {"provider": "openai", "account": "a"}


@pytest.fixture
def account(service: Api) -> Account:
    """Account `a`, whose period may still cost 3 USD, in rows of two models."""
    service.post("accounts/", {"external_id": "a"})
    account = Account.objects.get()
    for model, cost in (("m1", MAX_PERIOD_NANO - 5 * USD), ("m2", 2 * USD)):
        UsageModel.objects.create(account=account, period=date(2026, 11, 1), actual="x", model=model, cost_nano=cost)
    return account


def call(event_id: str, usd: str, **fields: Any) -> dict[str, Any]:
    return {**CALL, "event_id": event_id, "cost_usd": usd, **fields}


def outcomes(response: Any) -> list[tuple[str, str | None, str | None]]:
    """Status, error code and field of each event of a batch."""
    rows = []
    for result in response.json()["results"]:
        error = result["errors"][0] if result["errors"] else {"code": None, "attr": None}
        rows.append((result["status"], error["code"], error["attr"]))
    return rows


def stored() -> tuple[list[str], int]:
    """Event ids, and the cost in the totals of days."""
    return list(UsageLog.objects.order_by("event_id").values_list("event_id", flat=True)), int(
        UsageDay.objects.aggregate(all=Sum("cost_nano"))["all"] or 0
    )


def test_what_exceeds_the_maximum_is_refused_alone(service: Api, account: Account) -> None:
    batch = [
        call("e1", "2"),
        call("e2", "1.000000001"),
        call("e3", "1"),
        call("e4", "0.000000001"),
        call("e5", MILLION, account="b"),
        call("e6", "0"),
    ]
    response = service.post("usage/", {"events": batch})

    assert response.status_code == 207
    refusals = {1: "max_value", 3: "max_value"}
    assert outcomes(response) == [
        ("rejected", refusals[index], f"events.{index}.cost_usd") if index in refusals else ("accepted", None, None)
        for index in range(6)
    ]
    assert stored() == (["e1", "e3", "e5", "e6"], 3 * USD + 10**15)
    assert PlatformDay.objects.aggregate(all=Sum("cost_nano"))["all"] == 3 * USD + 10**15


def test_a_single_event_is_a_422_and_changes_nothing(service: Api, account: Account) -> None:
    response = service.post("usage/", call("e1", "4"))

    assert (response.status_code, response.json()["errors"]) == (
        422,
        [
            {
                "code": "max_value",
                "detail": "The account's usage period would cost more than 100,000,000 USD, the maximum.",
                "attr": "cost_usd",
            }
        ],
    )
    assert stored() == ([], 0)
    assert service.post("usage/", call("e1", "3")).status_code == 201


def test_a_priced_call_names_its_usage(service: Api, account: Account) -> None:
    UsageModel.objects.filter(model="m2").update(cost_nano=5 * USD - 1)
    priced = {**CALL, "event_id": "e1", "model": "gpt-4o", "usage": {"output_tokens": 10**9}}
    assert outcomes(service.post("usage/", {"events": [priced]})) == [("rejected", "max_value", "events.0.usage")]


def test_a_duplicate_is_still_a_duplicate_and_adds_nothing(service: Api, account: Account) -> None:
    assert service.post("usage/", call("e1", "3")).status_code == 201
    batch = [call("e1", "3"), call("e1", "2"), call("e2", "2"), call("e3", "0.5"), call("e3", "0.5")]

    response = service.post("usage/", {"events": batch})
    assert [status for status, *_ in outcomes(response)] == [
        "duplicate",
        "conflict",
        "rejected",
        "rejected",
        "rejected",
    ]
    assert service.post("usage/", call("e1", "3")).status_code == 200
    assert stored() == (["e1"], 3 * USD)


def test_an_event_that_is_twice_in_a_batch_adds_once(service: Api, account: Account) -> None:
    response = service.post("usage/", {"events": [call("e1", "3"), call("e1", "3")]})
    assert outcomes(response) == [("accepted", None, None), ("duplicate", None, None)]


def test_other_periods_and_accounts_have_their_own_maximum(service: Api, account: Account) -> None:
    batch = [
        call("e1", "4"),
        call("e2", "4", occurred_at="2026-10-31T23:59:59Z"),
        call("e3", "4", account="b"),
    ]
    response = service.post("usage/", {"events": batch})
    assert [status for status, *_ in outcomes(response)] == ["rejected", "accepted", "accepted"]


def test_a_refused_settlement_settles_nothing(service: Api, account: Account) -> None:
    set_limits({})
    body = {"reservation_id": "r1", "account": "a", "operations": [{"provider": "openai"}]}
    path = f"reservations/{service.post('reservations/', body).json()['id']}/settle/"

    response = service.post(path, {"event": call("e1", "4")})
    assert (response.status_code, response.json()["errors"][0]["code"]) == (422, "max_value")
    batch = service.post(path, {"events": [call("e1", "4"), call("e2", "5")]})
    assert (batch.status_code, [code for _, code, _ in outcomes(batch)]) == (422, ["max_value"] * 2)
    assert (UsageReservation.objects.get().state, stored()) == ("held", ([], 0))

    assert service.post(path, {"events": [call("e1", "4"), call("e2", "3")]}).status_code == 207
    assert (UsageReservation.objects.get().state, stored()) == ("settled", (["e2"], 3 * USD))


@pytest.mark.parametrize("path", ["preflight/", "reservations/"])
def test_an_estimate_that_exceeds_the_maximum_is_refused(service: Api, account: Account, path: str) -> None:
    set_limits({})
    UsageDay.objects.create(
        account=account, day=date(2026, 11, 1), declared="x", actual="x", category="text", cost_nano=MAX_PERIOD_NANO - 1
    )
    body: dict[str, Any] = {
        "account": "a",
        "operations": [{"provider": "openai", "estimate": {"cost_usd": "0.000000002"}}],
    }
    if path == "reservations/":
        body["reservation_id"] = "r1"
    response = service.post(path, body)

    assert (response.status_code, response.json()["errors"][0]["code"]) == (422, "max_value")
    assert UsageReservation.objects.count() == 0
    body["operations"][0]["estimate"] = {"cost_usd": "0.000000001"}
    assert service.post(path, body).status_code in {200, 201}


def test_an_import_refuses_the_line_alone(account: Account, tmp_path: Path) -> None:
    file = tmp_path / "old.jsonl"
    lines = [call(f"e{number}", usd) for number, usd in enumerate(("2", "2", "1"))]
    file.write_text("\n".join(map(json.dumps, lines)))
    result = run("import_usage", str(file))

    assert (result.status, result.lines[:2]) == (
        1,
        [
            "2: cost_usd: The account's usage period would cost more than 100,000,000 USD, the maximum.",
            "1 refused: max_value cost_usd",
        ],
    )
    assert stored() == (["e0", "e2"], 3 * USD)


def test_micro_dollars_sent_as_dollars_stay_within_the_maximum(service: Api, now: datetime) -> None:
    """150 calls of 1,000,000 USD in one batch: 100 of them fit."""
    batch = [call(f"e{number}", MILLION) for number in range(150)]
    statuses = [status for status, *_ in outcomes(service.post("usage/", {"events": batch}))]

    assert statuses == ["accepted"] * 100 + ["rejected"] * 50
    assert stored()[1] == MAX_PERIOD_NANO
    assert_ledger_consistent()


def test_small_additions_are_not_looked_up(service: Api, account: Account) -> None:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        service.post("usage/", {"events": [call("e1", "0.999999999"), call("e2", "0.5", account="b")]})
    assert [
        query for query in queries if "usage_models" in query["sql"] and query["sql"].lstrip().startswith("SELECT")
    ] == []
