"""Allowances are dated: what is owed for use does not depend on the plan or the limits of another time.

Every change is made as people make it: by the API, on admin pages, and by the job that closes periods.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from billing.models import (
    Account,
    EndedOverride,
    LimitOverride,
    Meter,
    Plan,
    PlanLimit,
    Statement,
    SubscriptionEvent,
    UsageLog,
)
from billing.plans import plans, subscriptions
from billing.statements import statements
from lib.money import NANO
from tests.billing import override_forms
from tests.billing.closed_october import amounts, close, october, record_call
from tests.billing.ledger_rows import assert_ledger_consistent
from tests.billing.override_forms import limit_row
from tests.billing.subscribers import create_soft_plan, set_billing_anchor
from tests.conftest import Api
from tests.frozen_clock import Clock, utc

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at("2026-10-01")]
SUBSCRIBE = "accounts/acct_42/subscribe/"
END_NOW = "/admin/billing/subscription/{}/step/end-now/"


@pytest.fixture
def team(account: Account) -> Account:
    """An account that used $500 of a plan that includes $2."""
    set_billing_anchor(account, billed_from="2026-10-01")
    create_soft_plan("team", 2)
    subscriptions.subscribe(account, plan="team", cycle="monthly", actor="", at=utc("2026-10-01"))
    record_call(account, "2026-10-10", "500")
    return account


def starts(statement: Statement) -> list[str]:
    return [part["starts_at"].removesuffix("+00:00") for part in statement.segments or []]


def overage(statement: Statement) -> list[tuple[str, int]]:
    return [(line["text"], line["nano"]) for line in statement.lines if line["kind"] == "overage"]


def test_a_period_with_one_allowance_has_the_line_it_always_had(team: Account, clock: Clock) -> None:
    close(clock)

    statement = october()
    assert overage(statement) == [("Usage of $500.00, of which the plan includes $2.00", 498 * NANO)]
    assert (statement.rules, statement.overage_nano, statement.allowance_nano) == (2, 498 * NANO, 2 * NANO)
    assert statement.segments == [
        {
            "starts_at": "2026-10-01T00:00:00+00:00",
            "ends_at": "2026-11-01T00:00:00+00:00",
            "plan": statement.plan_id,
            "allowance_nano": 2 * NANO,
            "used_from_nano": 0,
            "used_to_nano": 500 * NANO,
        }
    ]


def test_subscribing_to_a_hard_plan_on_the_last_day_leaves_the_overage(team: Account, bound: Api, clock: Clock) -> None:
    clock.move_to("2026-10-31T20:15")
    assert bound.post(SUBSCRIBE, {"plan": "pro", "cycle": "monthly"}).status_code == 200
    close(clock)

    statement = october()
    text = "Team, 2026-10-01 00:00 to 2026-10-31 20:15 UTC: usage of $500.00, of which the plan includes $2.00"
    assert overage(statement) == [(text, 498 * NANO)]
    assert amounts(statement) == [("team", 0, 500, 2), ("pro", 500, 500, None)]
    assert (statement.allowance_nano, statement.plan_id) == (None, plans.current().latest["pro"].id)


def test_cancelling_on_the_last_day_leaves_the_overage(team: Account, operator: Client, clock: Clock) -> None:
    clock.move_to("2026-10-31T23:59")
    override_forms.log_in(operator)
    operator.post(END_NOW.format(team.pk), {"reason": ""})
    close(clock)

    assert amounts(october()) == [("team", 0, 500, 2), ("free", 500, 500, None)]
    assert october().overage_nano == 498 * NANO


@pytest.mark.parametrize("row", [("1000", "soft"), ("1000", "hard"), (None, "soft")])
def test_an_override_set_before_the_close_job_leaves_the_overage(
    team: Account, operator: Client, clock: Clock, row: tuple[str | None, str]
) -> None:
    clock.move_to("2026-11-03")
    override_forms.save(operator, team, limit_row(row[0], kind=row[1]))
    close(clock)

    assert LimitOverride.objects.get().since == utc("2026-11-03")
    assert amounts(october()) == [("team", 0, 500, 2)]
    assert october().overage_nano == 498 * NANO


def test_what_was_included_is_not_charged_after_a_move_to_a_dearer_plan(
    account: Account, bound: Api, clock: Clock
) -> None:
    set_billing_anchor(account, billed_from="2026-10-01")
    create_soft_plan("wide", 50)
    create_soft_plan("dear", 10, monthly_usd=90)
    bound.post(SUBSCRIBE, {"plan": "wide", "cycle": "monthly"})
    record_call(account, "2026-10-10", "50")
    clock.move_to("2026-10-16")
    bound.post(SUBSCRIBE, {"plan": "dear", "cycle": "monthly"})
    record_call(account, "2026-10-20", "3", "e1")
    close(clock)

    assert amounts(october()) == [("wide", 0, 50, 50), ("dear", 50, 53, 10)]
    text = "Dear, 2026-10-16 00:00 to 2026-11-01 00:00 UTC: usage of $3.00, of which the plan includes $0.00"
    assert overage(october()) == [(text, 3 * NANO)]


def test_a_wider_plan_includes_what_its_allowance_leaves(account: Account, bound: Api, clock: Clock) -> None:
    """The allowance is never prorated, and what was charged once is not charged again."""
    set_billing_anchor(account, billed_from="2026-10-01")
    create_soft_plan("small", 5)
    create_soft_plan("wide", 50, monthly_usd=20)
    bound.post(SUBSCRIBE, {"plan": "small", "cycle": "monthly"})
    record_call(account, "2026-10-10", "12")
    clock.move_to("2026-10-16")
    bound.post(SUBSCRIBE, {"plan": "wide", "cycle": "monthly"})
    record_call(account, "2026-10-20", "60", "e1")
    close(clock)

    assert amounts(october()) == [("small", 0, 12, 5), ("wide", 12, 72, 50)]
    assert overage(october()) == [
        (
            "Small, 2026-10-01 00:00 to 2026-10-16 00:00 UTC: usage of $12.00, of which the plan includes $5.00",
            7 * NANO,
        ),
        (
            "Wide, 2026-10-16 00:00 to 2026-11-01 00:00 UTC: usage of $60.00, of which the plan includes $38.00",
            22 * NANO,
        ),
    ]


def test_an_override_ends_at_the_first_instant_of_its_last_day_in_the_accounts_zone(
    account: Account, operator: Client, clock: Clock
) -> None:
    set_billing_anchor(account, timezone="Asia/Tokyo", billed_from="2026-10-01")
    create_soft_plan("team", 2)
    clock.move_to("2026-10-01T00:00")
    subscriptions.subscribe(account, plan="team", cycle="monthly", actor="", at=utc("2026-09-30T15:00"))
    override_forms.save(operator, account, {**limit_row("100"), "expires_on": "2026-10-15"})
    record_call(account, "2026-10-14T14:59:59.999999", "60", "before")  # 14 October in Tokyo
    record_call(account, "2026-10-14T15:00", "7", "after")  # 15 October
    clock.move_to("2026-11-03T16:00")
    close(clock, "2026-11-03T16:00")

    assert amounts(october()) == [("team", 0, 0, 2), ("team", 0, 60, 100), ("team", 60, 67, 2)]
    assert starts(october()) == ["2026-09-30T15:00:00", "2026-10-01T00:00:00", "2026-10-14T15:00:00"]
    assert october().overage_nano == 7 * NANO


def test_an_override_edited_twice_and_deleted_counts_as_it_was(team: Account, operator: Client, clock: Clock) -> None:
    for day, row in {
        "2026-10-11": limit_row("600"),
        "2026-10-12": limit_row("600", reason="only the reason differs"),
        "2026-10-13": limit_row("700", kind="hard"),
        "2026-10-14": limit_row("510"),
        "2026-10-15": {**limit_row("510"), "DELETE": "on"},
    }.items():
        clock.move_to(day)
        override_forms.save(operator, team, row)
        record_call(team, f"{day}T12:00", "20", day)
    close(clock)

    assert amounts(october()) == [
        ("team", 0, 500, 2),
        ("team", 500, 540, 600),
        ("team", 540, 560, None),
        ("team", 560, 580, 510),
        ("team", 580, 600, 2),
    ]
    assert [nano for _, nano in overage(october())] == [498 * NANO, 20 * NANO, 20 * NANO]
    assert not LimitOverride.objects.exists()
    ended = EndedOverride.objects.order_by("until").values_list("since", "until", "amount", "hard", "reason")
    assert list(ended) == [
        (utc("2026-10-11"), utc("2026-10-13"), 600 * NANO, False, "only the reason differs"),
        (utc("2026-10-13"), utc("2026-10-14"), 700 * NANO, True, "agreed"),
        (utc("2026-10-14"), utc("2026-10-15"), 510 * NANO, False, "agreed"),
    ]


def test_an_override_of_before_its_start_was_stored_counts_from_the_beginning(team: Account, clock: Clock) -> None:
    meter = Meter.objects.get(slug="monthly_cost")
    LimitOverride.objects.create(account=team, meter=meter, amount=499 * NANO, hard=False, reason="old", since=None)
    close(clock)

    assert amounts(october()) == [("team", 0, 500, 499)]


def test_limits_of_other_meters_are_no_allowance(team: Account, operator: Client, clock: Clock) -> None:
    clock.move_to("2026-10-05")
    override_forms.save(operator, team, limit_row("9", meter="video_calls"), {**limit_row("1"), "per": "day"})
    close(clock)

    assert amounts(october()) == [("team", 0, 500, 2)]


def supersede_default(included_usd: int, when: str, *, hard: bool = False) -> Plan:
    limit = PlanLimit(meter=Meter.objects.get(slug="monthly_cost"), amount=included_usd * NANO, hard=hard)
    return plans.supersede(plan=Plan(slug="free", name="Free"), limits=[limit], at=utc(when))


def test_a_new_version_of_the_default_plan_counts_from_its_creation(account: Account, clock: Clock) -> None:
    set_billing_anchor(account, billed_from="2026-10-01")
    supersede_default(2, "2026-10-02")
    record_call(account, "2026-10-10", "9")
    supersede_default(20, "2026-10-11", hard=True)
    last = supersede_default(30, "2026-11-02")
    close(clock)

    # Of the shipped version nothing is known before it was created, here by the migration.
    assert amounts(october()) == [("free", 0, 0, None), ("free", 0, 9, 2), ("free", 9, 9, None)]
    assert october().overage_nano == 7 * NANO
    assert october().plan_id == last.id - 1


def test_versions_with_the_same_allowance_make_no_segment(account: Account, clock: Clock) -> None:
    set_billing_anchor(account, billed_from="2026-10-01")
    supersede_default(2, "2026-09-02")
    second = supersede_default(2, "2026-10-15")
    record_call(account, "2026-10-10", "9")
    close(clock)

    assert amounts(october()) == [("free", 0, 9, 2)]
    assert october().plan_id == second.id


def test_without_a_default_plan_a_segment_has_none(account: Account, clock: Clock, settings: Any) -> None:
    set_billing_anchor(account, billed_from="2026-10-01")
    settings.DEFAULT_PLAN = "nothing"
    record_call(account, "2026-10-10", "9")
    close(clock)
    assert amounts(october()) == [(None, 0, 9, None)]

    settings.DEFAULT_PLAN = "free"  # has no date, so that statements of before stay right
    assert_ledger_consistent()


def test_changes_exactly_at_the_periods_bounds_belong_to_the_period_that_starts(
    account: Account, bound: Api, clock: Clock
) -> None:
    set_billing_anchor(account, billed_from="2026-09-01")
    create_soft_plan("team", 2)
    create_soft_plan("wide", 50, monthly_usd=20)
    bound.post(SUBSCRIBE, {"plan": "team", "cycle": "monthly"})
    clock.move_to("2026-11-01")
    bound.post(SUBSCRIBE, {"plan": "wide", "cycle": "monthly"})
    for number, when in enumerate(("2026-09-30T23:59:59.999999", "2026-10-01", "2026-10-31T23:59:59.999999")):
        record_call(account, when, "10", f"e{number}")
    record_call(account, "2026-11-01", "70", "e3")
    close(clock)
    close(clock, "2026-12-04T01:00")

    by_period = {f"{statement}": (amounts(statement), statement.overage_nano) for statement in Statement.objects.all()}
    assert by_period == {
        "2026-09": ([("free", 0, 10, None)], 0),
        "2026-10": ([("team", 0, 20, 2)], 18 * NANO),
        "2026-11": ([("wide", 0, 70, 50)], 20 * NANO),
    }


def test_use_counts_exactly_at_its_instant(account: Account, bound: Api, clock: Clock) -> None:
    set_billing_anchor(account, billed_from="2026-10-01")
    create_soft_plan("team", 2)
    create_soft_plan("wide", 50, monthly_usd=20)
    bound.post(SUBSCRIBE, {"plan": "team", "cycle": "monthly"})
    moment = "2026-10-16T10:30:00.500000"
    clock.move_to(moment)
    bound.post(SUBSCRIBE, {"plan": "wide", "cycle": "monthly"})
    before, after = "2026-10-16T10:30:00.499999", "2026-10-16T10:30:00.500001"
    for number, (when, usd) in enumerate({before: "1", moment: "2", after: "4", "2026-10-16T10:30": "8"}.items()):
        record_call(account, when, usd, f"e{number}")
    close(clock)

    assert amounts(october()) == [("team", 0, 9, 2), ("wide", 9, 15, 50)]


def test_late_use_counts_when_it_was_received(account: Account, bound: Api, clock: Clock) -> None:
    set_billing_anchor(account, billed_from="2026-10-01")
    create_soft_plan("team", 2)
    create_soft_plan("wide", 50, monthly_usd=20)
    bound.post(SUBSCRIBE, {"plan": "team", "cycle": "monthly"})
    late = {"occurred_at": "2026-10-20T00:00:00Z"}
    clock.move_to("2026-11-16T10:30")
    bound.post(SUBSCRIBE, {"plan": "wide", "cycle": "monthly"})
    record_call(account, "2026-11-16T10:00", "3", "own")
    record_call(account, "2026-11-16T10:29", "5", "late before", **late)
    record_call(account, "2026-11-16T10:31", "7", "late after", **late)
    close(clock, "2026-12-04T01:00")

    (november,) = Statement.objects.filter(period="2026-11-01")
    assert amounts(november) == [("team", 0, 8, 2), ("wide", 8, 15, 50)]
    assert november.overage_nano == 6 * NANO


def test_use_with_a_stored_instant_counts_then(account: Account, bound: Api, clock: Clock) -> None:
    set_billing_anchor(account, billed_from="2026-10-01")
    create_soft_plan("team", 2)
    create_soft_plan("wide", 50, monthly_usd=20)
    bound.post(SUBSCRIBE, {"plan": "team", "cycle": "monthly"})
    clock.move_to("2026-10-16T10:30")
    bound.post(SUBSCRIBE, {"plan": "wide", "cycle": "monthly"})
    log = record_call(account, "2026-10-16T10:31", "5")
    UsageLog.objects.filter(pk=log.pk).update(counts_at=utc("2026-10-16T10:29"), checksum=None)
    close(clock)

    assert amounts(october()) == [("team", 0, 5, 2), ("wide", 5, 5, 50)]


def test_a_subscription_that_ends_when_it_is_paid_changes_no_closed_period(team: Account, clock: Clock) -> None:
    """It was to end with November, but was suspended then: its plan stays in force until the payment."""
    close(clock)
    subscriptions.cancel(team, actor="", at=utc("2026-11-10"))
    for when in ("2026-11-18T01:00", "2026-11-25T01:00"):
        statements.mark_past_due(utc(when))
        subscriptions.renew_due(utc(when))
    record_call(team, "2026-12-05", "7", "e1")
    close(clock, "2027-01-04T01:00")
    for unpaid in Statement.objects.filter(state="open"):
        statements.mark_paid(unpaid, actor="", note="", at=utc("2027-01-10"))

    assert amounts(Statement.objects.get(period="2026-12-01")) == [("team", 0, 7, 2)]
    last = SubscriptionEvent.objects.order_by("id").last()
    assert last
    assert (last.kind, last.effective_at) == ("cancelled", utc("2027-01-10"))
    assert_ledger_consistent()
