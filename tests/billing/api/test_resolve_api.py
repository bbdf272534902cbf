"""`POST usage/logs/{id}/resolve/`: a call whose usage is not completely known gets its real usage or cost, once."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from billing.corrections import corrections
from billing.models import CorrectionBatch, Statement, UsageAdjustment, UsageLog
from tests.billing import archived_periods
from tests.billing.archived_periods import IN_OCTOBER
from tests.billing.estimates import record_with_state
from tests.billing.ledger_rows import NOON, assert_ledger_consistent, record, rollups, run, set_price
from tests.conftest import Api

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(NOON)]

MODEL = "new-1"
CALL = {"model": MODEL, "cost_usd": None, "usage": {"input_tokens": 1000}}
HELD = {"model": MODEL, "cost_usd": "5", "usage": {}, "status_code": 499}  # an aborted call with a held amount
USAGE = {"input_tokens": 2_000_000, "output_tokens": 500_000, "cached_input_tokens": 1_000_000}
BODY = {"usage": USAGE, "reason": "from the vendor's log"}


def record_call(raw: dict[str, Any] | None = None, *, state: str = "unknown", at: Any = NOON) -> str:
    set_price(MODEL, input_tokens="2", cached_input_tokens="1", output_tokens="10")
    (result,) = record_with_state(raw or HELD, state=state, at=at)
    return str(result.id)


def resolve(api: Api, log: str, body: dict[str, Any] | None = None) -> Any:
    return api.post(f"usage/logs/{log}/resolve/", BODY if body is None else body)


def figures(api: Api, **query: str) -> tuple[Any, ...]:
    body = api.get("usage/summary/", account="a", **query).json()
    names = (
        "total_calls",
        "total_tokens",
        "total_cost_usd",
        "estimated_calls",
        "unpriced_calls",
        "prior_adjustments_usd",
    )
    return tuple(body[name] for name in names)


def stored() -> Any:
    logs = list(UsageLog.objects.values())
    return logs, rollups(), UsageAdjustment.objects.count(), CorrectionBatch.objects.count()


def assert_refused(answer: Any, status: int, code: str, before: Any) -> None:
    assert (answer.status_code, answer.json()["errors"][0]["code"], stored()) == (status, code, before)


def assert_nothing_to_correct() -> None:
    assert_ledger_consistent()
    assert run("rebuild_rollups").lines[-1].endswith(" 0 corrected.")


def test_the_real_usage_replaces_the_estimate(service: Api) -> None:
    log = record_call()
    assert figures(service) == (1, 0, "5", 1, 0, "0")
    answer = resolve(service, log)

    row = answer.json()
    assert (answer.status_code, row["usage"], row["usage_state"], row["unpriced_reason"]) == (
        200,
        USAGE,
        "complete",
        None,
    )
    assert (row["tokens_input"], row["tokens_output"], row["tokens_total"]) == (2_000_000, 500_000, 2_500_000)
    assert (row["cost_usd"], row["original_cost_usd"], row["cost_source"], row["priced"]) == (
        "8",
        "5",
        "price_book",
        True,
    )
    assert [line["cost_usd"] for line in row["explanation"]["lines"]] == ["1", "2", "5"]
    (correction,) = row["adjustments"]
    assert (correction["kind"], correction["delta_usd"], correction["reason"]) == ("resolve", "3", BODY["reason"])
    details = UsageAdjustment.objects.get().details
    assert details["tokens"] == {"input": 2_000_000, "output": 500_000, "total": 2_500_000}
    assert figures(service) == (1, 2_500_000, "8", 0, 0, "0")
    assert_nothing_to_correct()


def test_the_real_cost_replaces_the_estimate(service: Api) -> None:
    log = record_call(CALL, state="incomplete")
    assert figures(service) == (1, 1000, "0.002", 1, 0, "0")
    row = resolve(service, log, {"cost_usd": "0.0150", "reason": "invoice"}).json()

    assert (row["cost_usd"], row["cost_source"], row["tokens_total"]) == ("0.015", "caller", 1000)
    assert figures(service) == (1, 1000, "0.015", 0, 0, "0")
    run("reprice", "--model", MODEL)
    assert figures(service) == (1, 1000, "0.015", 0, 0, "0")
    assert_nothing_to_correct()


def test_a_call_without_a_price_stays_unpriced_for_another_reason(service: Api) -> None:
    (result,) = record_with_state({**CALL, "model": "nobody-knows"}, state="unknown")
    row = resolve(service, str(result.id)).json()
    assert (row["priced"], row["cost_usd"], row["unpriced_reason"], row["usage_state"]) == (
        *(False, None, "price_unknown", "complete"),
    )
    assert figures(service) == (1, 2_500_000, "0", 0, 1, "0")
    assert_nothing_to_correct()

    set_price("nobody-knows", input_tokens="2", output_tokens="10")
    batch = run("reprice").lines[-1].partition("Batch ")[2].rstrip(".")
    assert figures(service) == (1, 2_500_000, "9", 0, 0, "0")
    assert_nothing_to_correct()
    run("reprice", "--revert", batch)
    assert figures(service) == (1, 2_500_000, "0", 0, 1, "0")
    assert_nothing_to_correct()


def test_the_same_again_changes_nothing_and_other_content_is_a_conflict(service: Api) -> None:
    log = record_call()
    first = resolve(service, log).json()
    before = stored()
    again = resolve(service, log, {**BODY, "reason": "sent twice"})
    assert (again.status_code, again.json(), stored()) == (200, first, before)

    assert_refused(resolve(service, log, {**BODY, "usage": {"input_tokens": 1}}), 409, "already_resolved", before)
    assert_refused(resolve(service, log, {"cost_usd": "8", "reason": "x"}), 409, "already_resolved", before)


def test_a_complete_call_is_refused(service: Api) -> None:
    (result,) = record({})
    before = stored()
    assert_refused(resolve(service, str(result.id)), 422, "not_estimated", before)


def test_a_voided_call_is_refused_and_a_resolved_one_can_be_voided(service: Api) -> None:
    log = record_call()
    corrections.void(UsageLog.objects.get(), reason="x", actor="ann", at=NOON)
    before = stored()
    assert_refused(resolve(service, log), 409, "voided", before)

    corrections.revert_adjustment(UsageAdjustment.objects.get(kind="void"), reason="y", actor="ann", at=NOON)
    assert resolve(service, log).status_code == 200
    corrections.void(UsageLog.objects.get(), reason="x", actor="ann", at=NOON)
    assert figures(service) == (0, 0, "0", 0, 0, "0")
    assert_nothing_to_correct()
    void = UsageAdjustment.objects.get(kind="void", reverted_by=None)
    corrections.revert_adjustment(void, reason="y", actor="ann", at=NOON)
    assert figures(service) == (1, 2_500_000, "8", 0, 0, "0")
    assert_nothing_to_correct()


def test_it_cannot_be_reverted_nor_can_a_reprice_before_it(service: Api) -> None:
    log = record_call(CALL, state="incomplete")
    set_price(MODEL, input_tokens="3", output_tokens="10")
    run("reprice", "--model", MODEL)
    resolve(service, log)
    before = stored()
    for adjustment in UsageAdjustment.objects.all():
        with pytest.raises(corrections.NotReverted):
            corrections.revert_adjustment(adjustment, reason="y", actor="ann", at=NOON)
    assert stored() == before
    assert_nothing_to_correct()


def test_in_a_closed_period_it_is_a_line_of_the_next_statement(service: Api) -> None:
    log = record_call(at=IN_OCTOBER)
    archived_periods.close_periods()
    statement = Statement.objects.get()
    october = figures(service, period="2026-10")
    resolve(service, log)

    assert figures(service, period="2026-10") == october == (1, 0, "5", 1, 0, "0")
    assert figures(service, period="2026-11") == (0, 0, "0", 0, 0, "3")
    statement.refresh_from_db()
    assert (statement.calls, statement.tokens_total, statement.usage_nano) == (1, 0, 5 * 10**9)
    adjustment = UsageAdjustment.objects.get()
    assert (str(adjustment.period), adjustment.late_at) == ("2026-11-01", NOON)
    assert_nothing_to_correct()
    corrections.void(UsageLog.objects.get(), reason="x", actor="ann", at=NOON)
    assert figures(service, period="2026-10") == october
    assert_nothing_to_correct()


def test_an_archived_period_keeps_what_was_resolved(service: Api, settings: Any, tmp_path: Any) -> None:
    settings.KEEP_LOGS_DAYS, settings.ARCHIVE_DIR = 60, str(tmp_path / "archive")
    log = record_call(at=IN_OCTOBER)
    resolve(service, log)
    archived_periods.close_periods()
    before = rollups()
    archived_periods.run_job(archived_periods.DUE_AT)
    other = resolve(service, log, {"cost_usd": "1", "reason": "x"})
    assert (other.status_code, other.json()["errors"][0]["code"]) == (409, "archived")
    archived_periods.run_job(archived_periods.DUE_AT + archived_periods.HOUR)

    assert (archived_periods.archive_states(), rollups()) == ({"a": "deleted"}, before)
    assert resolve(service, log).status_code == 404
    assert_nothing_to_correct()


BAD_BODIES: list[tuple[dict[str, Any], str, str]] = [
    ({"reason": "x"}, "invalid", "usage"),
    ({"reason": "x", "usage": USAGE, "cost_usd": "1"}, "invalid", "usage"),
    ({"usage": USAGE}, "required", "reason"),
    ({"usage": USAGE, "reason": ""}, "min_length", "reason"),
    ({"usage": USAGE, "reason": "x" * 501}, "max_length", "reason"),
    ({"usage": USAGE, "reason": "\x00"}, "invalid", "reason"),
    ({"usage": {"input_tokens": -1}, "reason": "x"}, "min_value", "usage.input_tokens"),
    ({"usage": {"input_tokens": 1, "cached_input_tokens": 2}, "reason": "x"}, "invalid", "usage.cached_input_tokens"),
    ({"usage": {"seconds": "1e9"}, "reason": "x"}, "invalid", "usage.seconds"),
    ({"usage": {"parsecs": 1}, "reason": "x"}, "unknown_field", "usage.parsecs"),
    ({"cost_usd": "1,5", "reason": "x"}, "invalid", "cost_usd"),
    ({"cost_usd": "1000001", "reason": "x"}, "invalid", "cost_usd"),
    ({"usage": USAGE, "reason": "x", "model": "m"}, "unknown_field", "model"),
    ({"usage": {"output_tokens": 10**9}, "reason": "x"}, "max_value", "usage"),
]


@pytest.mark.parametrize(("body", "code", "attr"), BAD_BODIES, ids=[str(body)[:60] for body, _, _ in BAD_BODIES])
def test_a_bad_body_is_refused_and_changes_nothing(service: Api, body: dict[str, Any], code: str, attr: str) -> None:
    log = record_call()
    set_price(MODEL, output_tokens="10000")
    before = stored()
    answer = resolve(service, log, body)
    error = answer.json()["errors"][0]
    assert (answer.status_code, error["code"], error["attr"], stored()) == (422, code, attr, before)


def test_it_needs_the_scope_manage_and_a_log_of_the_account(service: Api, bound: Api) -> None:
    log = record_call()
    assert resolve(service, str(uuid4())).status_code == 404
    assert resolve(bound, log).status_code == 404
    assert resolve(Api("ingest", "read", "limits"), log).status_code == 403
    assert UsageAdjustment.objects.count() == 0


CHAT = {
    "id": "c1",
    "object": "chat.completion",
    "usage": {
        "prompt_tokens": 2_000_000,
        "completion_tokens": 500_000,
        "total_tokens": 2_500_000,
        "prompt_tokens_details": {"cached_tokens": 1_000_000},
    },
}
MESSAGE = {
    "id": "m1",
    "type": "message",
    "usage": {
        "input_tokens": 1_000_000,
        "output_tokens": 500_000,
        "cache_read_input_tokens": 1_000_000,
        "cache_creation_input_tokens": 0,
    },
}


@pytest.mark.parametrize("response", [CHAT, [CHAT], MESSAGE], ids=["an object", "a list", "cached beside the input"])
def test_a_vendors_response_gives_the_real_usage(service: Api, response: object) -> None:
    log = record_call()
    row = resolve(service, log, {"response": response, "reason": "from the vendor"}).json()

    assert (row["usage"], row["usage_state"], row["cost_usd"], row["tokens_total"]) == (
        USAGE,
        "complete",
        "8",
        2_500_000,
    )
    assert resolve(service, log, {"response": response, "reason": "again"}).status_code == 200
    assert_nothing_to_correct()


@pytest.mark.parametrize(
    "body",
    [
        {"response": {**CHAT, "usage": {**CHAT["usage"], "new_units": 3}}},  # type: ignore[dict-item]
        {"response": {}},
        {"response": CHAT, "usage": USAGE},
        {"response": CHAT, "cost_usd": "1"},
        {"usage": {"output_tokens": 10, "reasoning_tokens": 11}},
        {"usage": {"input_tokens": 10, "cache_write_tokens": 11}},
    ],
    ids=["not read whole", "without usage", "with usage", "with a cost", "reasoning beyond", "writes beyond"],
)
def test_what_does_not_give_the_whole_usage_is_refused(service: Api, body: dict[str, Any]) -> None:
    log = record_call()
    before = stored()

    assert_refused(resolve(service, log, {**body, "reason": "r"}), 422, "invalid", before)
