"""`POST usage/logs/{id}/void/`: the call no longer counts; the log stays and shows the correction."""

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
from tests.billing.faults import CORRECTION_QUERIES
from tests.billing.ledger_rows import NOON, assert_ledger_consistent, record, rollups
from tests.conftest import Api

pytestmark = pytest.mark.django_db

USAGE = {"input_tokens": 1000, "output_tokens": 500}  # 0.0075 USD
REASON = {"reason": "sent twice"}
# The transaction: lock, closed periods, log, log, adjustment, batch, the rollups, BEGIN and COMMIT.
QUERIES = 14 + CORRECTION_QUERIES
ROLLUP_TABLES = "usage_days", "usage_models", "platform_days"


def record_log(**event: Any) -> str:
    (result,) = record({"cost_usd": None, "usage": USAGE, **event})
    return str(result.id)


def void(api: Api, log: str, body: Any = REASON) -> Any:
    return api.post(f"usage/logs/{log}/void/", body)


def nothing_changed(log: str) -> bool:
    stored = UsageLog.objects.get(pk=log)
    unchanged = (stored.voided_at, stored.effective_nano) == (None, stored.cost_total)
    return unchanged and not UsageAdjustment.objects.exists() and not CorrectionBatch.objects.exists()


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_a_voided_call_no_longer_counts_and_shows_its_correction(service: Api) -> None:
    log = record_log()
    before = service.get(f"usage/logs/{log}/").json()
    response = void(service, log)

    (adjustment,) = UsageAdjustment.objects.all()
    row = response.json()
    expected = {
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
    assert response.status_code == 200
    assert row["adjustments"] == [expected]
    assert (row["cost_usd"], row["original_cost_usd"], row["voided"], row["priced"]) == ("0", "0.0075", True, True)
    assert {name for name in row if row[name] != before[name]} <= {"cost_usd", "voided", "adjustments", "explanation"}
    assert row == service.get(f"usage/logs/{log}/").json()
    assert (adjustment.details, adjustment.actor) == ({"before": {"nano": 7_500_000}}, str(service.key))
    assert_ledger_consistent()


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_list_csv_summary_and_totals_agree_after_a_void(service: Api) -> None:
    log = record_log()
    record_log(event_id="other", usage={"input_tokens": 2000})
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
    assert_ledger_consistent()


def test_a_second_void_changes_nothing_and_gets_the_same_response(service: Api, bound: Api) -> None:
    log = record_log(account="acct_42")
    first = void(service, log)
    stored = list(CorrectionBatch.objects.values())
    repeated = void(bound, log, {"reason": "another reason"})

    assert (repeated.status_code, repeated.json()) == (200, first.json())
    assert list(CorrectionBatch.objects.values()) == stored
    assert UsageAdjustment.objects.count() == 1
    assert_ledger_consistent()


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_a_void_is_a_finished_batch_of_its_own(service: Api) -> None:
    log = record_log()
    void(service, log)

    batch = CorrectionBatch.objects.get()
    assert (batch.kind, batch.reason, batch.actor, batch.choice) == (
        "void",
        "sent twice",
        str(service.key),
        {"log": log},
    )
    assert (batch.logs, batch.skipped, batch.delta_nano) == (1, 0, -7_500_000)
    assert (batch.created_at, batch.finished_at, batch.reverted_at) == (NOON, NOON, None)
    assert UsageAdjustment.objects.get().batch == batch.id


def test_a_voided_unpriced_call_costs_0(service: Api) -> None:
    row = void(service, record_log(model="nobody-knows")).json()

    assert (row["cost_usd"], row["original_cost_usd"], row["priced"], row["voided"]) == ("0", None, False, True)
    assert service.get("usage/summary/", account="a").json()["unpriced_calls"] == 0
    assert_ledger_consistent()


def test_a_void_is_reverted_by_another_adjustment(service: Api) -> None:
    log = record_log()
    before = rollups()
    void(service, log)
    assert rollups() == {table: [] for table in ROLLUP_TABLES}
    first = UsageAdjustment.objects.get()
    corrections.revert_adjustment(first, reason="was right", actor="ann", at=NOON)

    row = service.get(f"usage/logs/{log}/").json()
    second = UsageAdjustment.objects.get(kind="revert")
    assert (row["cost_usd"], row["voided"]) == ("0.0075", False)
    assert [(adjustment["kind"], adjustment["delta_usd"]) for adjustment in row["adjustments"]] == [
        ("void", "-0.0075"),
        ("revert", "0.0075"),
    ]
    assert (second.details, second.actor) == ({"reverts": str(first.id), "kind": "void"}, "ann")
    first.refresh_from_db()
    assert first.reverted_by == second.id
    assert rollups() == before
    assert_ledger_consistent()


def test_a_reverted_void_can_be_repeated(service: Api) -> None:
    log = record_log()
    void(service, log)
    corrections.revert_adjustment(UsageAdjustment.objects.get(), reason="x", actor="ann", at=NOON)
    void(service, log)

    assert UsageLog.objects.get().effective_nano == 0
    assert UsageAdjustment.objects.filter(kind="void").count() == 2
    assert_ledger_consistent()


def test_a_correction_is_reverted_at_most_once_and_a_revert_never(service: Api) -> None:
    void(service, record_log())
    first = UsageAdjustment.objects.get()
    corrections.revert_adjustment(first, reason="x", actor="ann", at=NOON)
    stored = (list(UsageAdjustment.objects.values()), list(CorrectionBatch.objects.values()))

    for adjustment in (first, UsageAdjustment.objects.get(kind="revert")):
        with pytest.raises(corrections.NotReverted):
            corrections.revert_adjustment(adjustment, reason="x", actor="ann", at=NOON)
    assert (list(UsageAdjustment.objects.values()), list(CorrectionBatch.objects.values())) == stored


BAD_FIELDS = [
    ({}, "required", "reason"),
    ({"reason": ""}, "min_length", "reason"),
    ({"reason": "x" * 501}, "max_length", "reason"),
    ({"reason": None}, "null", "reason"),
    ({"reason": 5}, "invalid", "reason"),
    ({"reason": "a\x00b"}, "invalid", "reason"),
    ({"reason": "a\ud800"}, "invalid", "reason"),
    ({"reason": "x", "other": 1}, "unknown_field", "other"),
]


@pytest.mark.parametrize(("body", "code", "attr"), BAD_FIELDS)
def test_a_bad_field_is_422_and_changes_nothing(service: Api, body: Any, code: str, attr: str) -> None:
    log = record_log()
    response = void(service, log, body)

    assert (response.status_code, response.json()["errors"][0]["code"], response.json()["errors"][0]["attr"]) == (
        422,
        code,
        attr,
    )
    assert nothing_changed(log)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"reason": "a", "reason": "b"}', b'{"reason": NaN}', b"\xff"])
def test_a_bad_body_is_400_and_changes_nothing(service: Api, body: bytes) -> None:
    log = record_log()
    response = service.client.post(f"/api/v1/usage/logs/{log}/void/", body, content_type="application/json")

    assert response.status_code == 400
    assert nothing_changed(log)


@pytest.mark.parametrize("reason", ["x" * 500, "=1+1", "<script>", "ünïcode 🎈"])
def test_a_printable_reason_is_stored_exactly(service: Api, reason: str) -> None:
    assert void(service, record_log(), {"reason": reason}).json()["adjustments"][0]["reason"] == reason


def test_an_unknown_log_is_404(service: Api) -> None:
    log = record_log()

    assert void(service, str(uuid.uuid4())).status_code == 404
    assert nothing_changed(log)


def test_another_accounts_log_is_404(bound: Api) -> None:
    log = record_log(account="theirs")
    response, nothing = void(bound, log), void(bound, str(uuid.uuid4()))

    assert (response.status_code, response.content) == (404, nothing.content)
    assert nothing_changed(log)


def test_a_key_without_the_scope_is_403(account: Account) -> None:
    log = record_log()

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
    log = record_log()
    client = staff(*permissions, group=group)
    response = client.post(f"/api/v1/usage/logs/{log}/void/", REASON, content_type="application/json")

    assert response.status_code == status
    assert nothing_changed(log) is (status != 200)
    if status == 200:
        assert UsageAdjustment.objects.get().actor == "ann"


@pytest.mark.parametrize("others", [0, 50])
def test_the_number_of_queries_is_fixed(
    service: Api, django_assert_num_queries: DjangoAssertNumQueries, others: int
) -> None:
    log = record_log()
    record(*({"event_id": f"o{number}"} for number in range(others)))
    access.record_key_use(service.key, at=NOON)
    service.get("usage/logs/")
    with django_assert_num_queries(QUERIES):
        void(service, log)


def test_the_groups_may_view_batches_and_closed_periods(db: None) -> None:
    permissions = {"billing.view_correctionbatch", "billing.view_closedperiod"}
    for group in ("Viewer", "Operator"):
        user = User.objects.create_user(group, is_staff=True)
        user.groups.add(Group.objects.get(name=group))
        assert {name for name in permissions if user.has_perm(name)} == permissions
