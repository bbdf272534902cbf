"""`POST usage/logs/{id}/void/`: the call counts no more, once; the log stays, and tells both."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from billing.accounts import access
from billing.corrections import corrections
from billing.models import Account, CorrectionBatch, UsageAdjustment, UsageLog
from tests.billing.faults import CORRECTED
from tests.billing.ledger_rows import NOW, assert_equal, record, rollups
from tests.conftest import Api

pytestmark = pytest.mark.django_db

USAGE = {"input_tokens": 1000, "output_tokens": 500}  # 0.0075 USD
REASON = {"reason": "sent twice"}
QUERIES = 14 + CORRECTED  # the transaction: lock, closed periods, log, log, adjustment, batch, the rollups, its ends
EMPTY = "usage_days", "usage_models", "platform_days"


def recorded(**event: Any) -> str:
    (result,) = record({"cost_usd": None, "usage": USAGE, **event})
    return str(result.id)


def void(api: Api, log: str, body: Any = REASON) -> Any:
    return api.post(f"usage/logs/{log}/void/", body)


def nothing_changed(log: str) -> bool:
    stored = UsageLog.objects.get(pk=log)
    kept = (stored.voided_at, stored.effective_nano) == (None, stored.cost_total)
    return kept and not UsageAdjustment.objects.exists() and not CorrectionBatch.objects.exists()


def test_a_voided_call_counts_no_more_and_is_told_as_it_was(service: Api) -> None:
    log = recorded()
    before = service.get(f"usage/logs/{log}/").json()
    answer = void(service, log)

    (adjustment,) = UsageAdjustment.objects.all()
    row = answer.json()
    told = {
        "id": str(adjustment.id),
        "kind": "void",
        "delta_usd": "-0.0075",
        "from_usd": "0.0075",
        "to_usd": "0",
        "from_provider": None,
        "to_provider": None,
        "reason": "sent twice",
        "at": "2026-11-22T12:00:00Z",
        "batch": str(adjustment.batch),
        "reverts": None,
        "reverted_by": None,
    }
    assert answer.status_code == 200
    assert row["adjustments"] == [told]
    assert (row["cost_usd"], row["original_cost_usd"], row["voided"], row["priced"]) == ("0", "0.0075", True, True)
    assert {name for name in row if row[name] != before[name]} <= {"cost_usd", "voided", "adjustments", "explanation"}
    assert row == service.get(f"usage/logs/{log}/").json()
    assert (adjustment.details, adjustment.actor) == ({"before": {"nano": 7_500_000}}, str(service.key))
    assert_equal()


def test_list_csv_summary_and_totals_agree_afterwards(service: Api) -> None:
    log = recorded()
    recorded(event_id="other", usage={"input_tokens": 2000})
    void(service, log)

    listed = {row["event_id"]: row["cost_usd"] for row in service.get("usage/logs/", account="a").json()["results"]}
    lines = service.get("usage/logs/", account="a", format="csv").getvalue().decode().splitlines()
    cells = {line.split(",")[1]: line for line in lines}
    summary = service.get("usage/summary/", account="a").json()
    assert listed == {"e0": "0", "other": "0.005"}
    assert ",0,0.0075,price_book,true,true," in cells["e0"]
    assert ",0.005,0.005,price_book,true,false," in cells["other"]
    assert (summary["total_cost_usd"], summary["total_calls"], summary["prior_adjustments_usd"]) == ("0.005", 1, "0")
    assert service.get("usage/summary/").json()["total_cost_usd"] == "0.005"
    assert [row["event_id"] for row in service.get("usage/logs/", account="a", voided="true").json()["results"]] == [
        "e0"
    ]
    assert_equal()


def test_a_second_time_changes_nothing_and_answers_the_same(service: Api, bound: Api) -> None:
    log = recorded(account="acct_42")
    first = void(service, log)
    stored = list(CorrectionBatch.objects.values())
    again = void(bound, log, {"reason": "another reason"})

    assert (again.status_code, again.json()) == (200, first.json())
    assert list(CorrectionBatch.objects.values()) == stored
    assert UsageAdjustment.objects.count() == 1
    assert_equal()


def test_a_void_is_a_batch_of_its_own_that_is_over(service: Api) -> None:
    log = recorded()
    void(service, log)

    batch = CorrectionBatch.objects.get()
    assert (batch.kind, batch.reason, batch.actor, batch.choice) == (
        "void",
        "sent twice",
        str(service.key),
        {"log": log},
    )
    assert (batch.logs, batch.skipped, batch.delta_nano) == (1, 0, -7_500_000)
    assert (batch.created_at, batch.finished_at, batch.reverted_at) == (NOW, NOW, None)
    assert UsageAdjustment.objects.get().batch == batch.id


def test_a_call_without_a_price_is_worth_nothing_once_it_is_void(service: Api) -> None:
    row = void(service, recorded(model="nobody-knows")).json()

    assert (row["cost_usd"], row["original_cost_usd"], row["priced"], row["voided"]) == ("0", None, False, True)
    assert service.get("usage/summary/", account="a").json()["unpriced_calls"] == 0
    assert_equal()


def test_a_void_is_reverted_by_another_fact(service: Api) -> None:
    log = recorded()
    right = rollups()
    void(service, log)
    assert rollups() == {table: [] for table in EMPTY}
    first = UsageAdjustment.objects.get()
    corrections.revert_one(first, reason="was right", actor="ann", at=NOW)

    row = service.get(f"usage/logs/{log}/").json()
    second = UsageAdjustment.objects.get(kind="revert")
    assert (row["cost_usd"], row["voided"]) == ("0.0075", False)
    assert [(one["kind"], one["delta_usd"]) for one in row["adjustments"]] == [
        ("void", "-0.0075"),
        ("revert", "0.0075"),
    ]
    assert (second.details, second.actor) == ({"reverts": str(first.id), "kind": "void"}, "ann")
    first.refresh_from_db()
    assert first.reverted_by == second.id
    assert rollups() == right
    assert_equal()


def test_what_was_reverted_can_be_voided_again(service: Api) -> None:
    log = recorded()
    void(service, log)
    corrections.revert_one(UsageAdjustment.objects.get(), reason="x", actor="ann", at=NOW)
    void(service, log)

    assert UsageLog.objects.get().effective_nano == 0
    assert UsageAdjustment.objects.filter(kind="void").count() == 2
    assert_equal()


def test_a_correction_is_reverted_once_and_a_revert_never(service: Api) -> None:
    void(service, recorded())
    first = UsageAdjustment.objects.get()
    corrections.revert_one(first, reason="x", actor="ann", at=NOW)
    stored = (list(UsageAdjustment.objects.values()), list(CorrectionBatch.objects.values()))

    for one in (first, UsageAdjustment.objects.get(kind="revert")):
        with pytest.raises(corrections.NotReverted):
            corrections.revert_one(one, reason="x", actor="ann", at=NOW)
    assert (list(UsageAdjustment.objects.values()), list(CorrectionBatch.objects.values())) == stored


BAD = [
    ({}, "required", "reason"),
    ({"reason": ""}, "min_length", "reason"),
    ({"reason": "x" * 501}, "max_length", "reason"),
    ({"reason": None}, "null", "reason"),
    ({"reason": 5}, "invalid", "reason"),
    ({"reason": "a\x00b"}, "invalid", "reason"),
    ({"reason": "a\ud800"}, "invalid", "reason"),
    ({"reason": "x", "other": 1}, "unknown_field", "other"),
]


@pytest.mark.parametrize(("body", "code", "attr"), BAD)
def test_a_bad_field_is_422_and_changes_nothing(service: Api, body: Any, code: str, attr: str) -> None:
    log = recorded()
    answer = void(service, log, body)

    assert (answer.status_code, answer.json()["errors"][0]["code"], answer.json()["errors"][0]["attr"]) == (
        422,
        code,
        attr,
    )
    assert nothing_changed(log)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"reason": "a", "reason": "b"}', b'{"reason": NaN}', b"\xff"])
def test_a_bad_body_is_400_and_changes_nothing(service: Api, body: bytes) -> None:
    log = recorded()
    answer = service.client.post(f"/api/v1/usage/logs/{log}/void/", body, content_type="application/json")

    assert answer.status_code == 400
    assert nothing_changed(log)


@pytest.mark.parametrize("reason", ["x" * 500, "=1+1", "<script>", "ünïcode 🎈"])
def test_any_printable_reason_is_kept_exactly(service: Api, reason: str) -> None:
    assert void(service, recorded(), {"reason": reason}).json()["adjustments"][0]["reason"] == reason


def test_an_unknown_log_is_404(service: Api) -> None:
    log = recorded()

    assert void(service, str(uuid.uuid4())).status_code == 404
    assert nothing_changed(log)


def test_another_accounts_log_is_404(bound: Api) -> None:
    log = recorded(account="theirs")
    answer, nothing = void(bound, log), void(bound, str(uuid.uuid4()))

    assert (answer.status_code, answer.content) == (404, nothing.content)
    assert nothing_changed(log)


def test_a_key_without_the_scope_is_403(account: Account) -> None:
    log = recorded()

    assert void(Api("ingest", "read", "limits"), log).status_code == 403
    assert nothing_changed(log)


def staff(*permissions: str, group: str = "") -> Client:
    user = User.objects.create_user("ann", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    if group:
        user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize(
    ("permissions", "group", "status"),
    [
        (("change_account", "add_usageadjustment"), "", 200),
        (("change_account",), "", 403),
        (("add_usageadjustment", "view_usagelog"), "", 403),
        ((), "Operator", 200),
        ((), "Viewer", 403),
    ],
)
def test_staff_need_the_permission_to_correct(db: None, permissions: tuple[str, ...], group: str, status: int) -> None:
    log = recorded()
    client = staff(*permissions, group=group)
    answer = client.post(f"/api/v1/usage/logs/{log}/void/", REASON, content_type="application/json")

    assert answer.status_code == status
    assert nothing_changed(log) is (status != 200)
    if status == 200:
        assert UsageAdjustment.objects.get().actor == "ann"


@pytest.mark.parametrize("others", [0, 50])
def test_the_number_of_queries_is_fixed(
    service: Api, django_assert_num_queries: DjangoAssertNumQueries, others: int
) -> None:
    log = recorded()
    record(*({"event_id": f"o{number}"} for number in range(others)))
    access.note_use(service.key, at=NOW)
    service.get("usage/logs/")
    with django_assert_num_queries(QUERIES):
        void(service, log)


def test_the_groups_see_what_corrections_leave(db: None) -> None:
    seen = {"billing.view_correctionbatch", "billing.view_closedperiod"}
    for group in ("Viewer", "Operator"):
        user = User.objects.create_user(group, is_staff=True)
        user.groups.add(Group.objects.get(name=group))
        assert {name for name in seen if user.has_perm(name)} == seen
