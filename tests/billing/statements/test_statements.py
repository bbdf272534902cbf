"""Statements: written once when a period is closed, in nano-USD and cents; later changes are lines on the next one."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.core.management import call_command

from billing.corrections import corrections
from billing.models import Account, ClosedPeriod, Statement, SubscriptionEvent, UsageLog
from billing.plans import anchor_changes, plans, subscriptions
from billing.statements import statements
from billing.verification import statement_check
from lib.money import CENT, NANO
from tests.billing.subscribers import create_soft_plan, set_billing_anchor
from tests.billing.usage import record
from tests.frozen_clock import utc

pytestmark = pytest.mark.django_db
CLOSES_AT = "2026-12-04T01:00"  # the end of November, 72 hours of grace, and an hour of margin


def record_call(account: Account, when: str, usd: str, event_id: str = "e0", provider: str = "openai") -> UsageLog:
    (log,) = record(account, utc(when), {"event_id": event_id, "cost_usd": usd, "provider": provider})
    return log


def subscribe(account: Account, plan: str, when: str) -> None:
    subscriptions.subscribe(account, plan=plan, cycle="monthly", actor="test", at=utc(when))


def line_amounts(statement: Statement) -> list[tuple[str, int, int]]:
    return [(line["kind"], line["nano"], line["cents"]) for line in statement.lines]


def void(log: UsageLog, when: str) -> None:
    corrections.void(log, reason="never happened", actor="test", at=utc(when))


def ledger_is_consistent() -> bool:
    call_command("verify_ledger")  # exits with 1 if a figure differs from its sources
    return True


def test_a_period_is_closed_when_its_grace_ends_and_not_before(account: Account) -> None:
    set_billing_anchor(account, billed_from="2026-11-01")
    record_call(account, "2026-11-10", "0.5")

    assert statements.close_due(utc(CLOSES_AT) - timedelta(microseconds=1)) == 0
    assert (Statement.objects.count(), ClosedPeriod.objects.count()) == (0, 0)
    assert [statements.close_due(utc(CLOSES_AT)), statements.close_due(utc(CLOSES_AT))] == [1, 0]
    statement = Statement.objects.get()
    assert (str(statement.period), str(statement.period_end)) == ("2026-11-01", "2026-12-01")
    assert (statement.calls, statement.usage_nano) == (1, NANO // 2)
    assert (statement.total_nano, statement.total_cents, statement.lines) == (0, 0, [])
    assert (statement.state, statement.due_at) == ("nothing_due", None)
    assert ledger_is_consistent()


def test_included_usage_is_shown_at_cost_and_not_charged(account: Account) -> None:
    set_billing_anchor(account, billed_from="2026-11-01")
    subscribe(account, "basic", "2026-11-22")
    record_call(account, "2026-11-23", "24.999")
    statements.close_due(utc(CLOSES_AT))

    statement = Statement.objects.get()
    assert line_amounts(statement) == [("fee", 870 * CENT, 870)]
    assert (statement.total_cents, statement.usage_nano, statement.allowance_nano) == (870, 24_999_000_000, None)
    assert (statement.state, statement.due_at) == ("open", utc(CLOSES_AT) + timedelta(days=14))
    assert statement.usage == [
        {"provider": "openai", "label": "OpenAI", "calls": 1, "tokens": 0, "nano": 24_999_000_000, "cents": 2500}
    ]


def test_usage_above_a_soft_budget_is_charged_and_lines_add_up_in_cents(account: Account) -> None:
    set_billing_anchor(account, billed_from="2026-11-01")
    create_soft_plan("team", 5)
    subscribe(account, "team", "2026-11-21")  # 10 of 30 days of $10: 3.33
    record(
        account,
        utc("2026-11-23"),
        *({"event_id": name, "cost_usd": "2.003333333", "provider": name} for name in ("openai", "exa", "tavily")),
    )
    statements.close_due(utc(CLOSES_AT))

    statement = Statement.objects.get()
    assert line_amounts(statement) == [("fee", 333 * CENT, 333), ("overage", 1_009_999_999, 101)]
    assert (statement.fee_nano, statement.overage_nano, statement.adjustments_nano) == (333 * CENT, 1_009_999_999, 0)
    assert (statement.total_nano, statement.total_cents) == (4_339_999_999, 434)
    assert [(line["provider"], line["nano"], line["cents"]) for line in statement.usage] == [
        ("exa", 2_003_333_333, 201),
        ("openai", 2_003_333_333, 200),
        ("tavily", 2_003_333_333, 200),
    ]
    assert ledger_is_consistent()


def test_a_statement_names_the_plan_and_allowance_at_the_end_of_the_period(account: Account) -> None:
    set_billing_anchor(account, billed_from="2026-11-01")
    create_soft_plan("team", 5)
    create_soft_plan("large", 50, monthly_usd=20)
    subscribe(account, "team", "2026-11-01")
    subscribe(account, "large", "2026-11-16")
    record_call(account, "2026-11-05", "20")
    subscriptions.cancel(account, actor="", at=utc("2026-12-02"), immediately=True)
    statements.close_due(utc(CLOSES_AT))

    november = Statement.objects.get(period="2026-11-01")
    assert (november.allowance_nano, november.plan_id) == (50 * NANO, plans.current().latest["large"].id)
    assert line_amounts(november) == [
        ("fee", 1000 * CENT, 1000),
        ("fee", 1000 * CENT, 1000),
        ("fee", -500 * CENT, -500),
        ("overage", 15 * NANO, 1500),  # of the time before the change
    ]


def test_a_late_correction_of_included_usage_is_listed_but_costs_nothing(account: Account) -> None:
    set_billing_anchor(account, billed_from="2026-11-01")
    subscribe(account, "basic", "2026-11-01")
    log = record_call(account, "2026-11-10", "5")
    statements.close_due(utc(CLOSES_AT))
    before = Statement.objects.values().get()
    void(log, "2026-12-10")

    assert Statement.objects.values().get() == before
    statements.close_due(utc("2027-01-04T01:00"))
    december = Statement.objects.get(period="2026-12-01")
    assert [(line["kind"], line["text"], line["period"], line["nano"]) for line in december.lines] == [
        ("fee", "Basic, monthly, 2026-12-01 to 2026-12-31", "2026-12", 29 * NANO),
        ("correction", "1 late correction of 2026-11: -$5.00 at cost, of included usage", "2026-11", 0),
    ]
    assert Statement.objects.values().get(period="2026-11-01") == before
    assert ledger_is_consistent()


def test_a_late_correction_of_charged_usage_is_a_line_on_the_next_statement(account: Account) -> None:
    set_billing_anchor(account, billed_from="2026-11-01")
    create_soft_plan("team", 5)
    subscribe(account, "team", "2026-11-01")
    small, large = record_call(account, "2026-11-10", "1.25", "small"), record_call(account, "2026-11-10", "6", "large")
    statements.close_due(utc(CLOSES_AT))
    november = Statement.objects.values().get()
    assert (november["overage_nano"], november["total_cents"]) == (2_250_000_000, 1225)
    void(small, "2026-12-10")  # 7.25 becomes 6: 1.25 less overage
    statements.close_due(utc("2027-01-04T01:00"))
    void(large, "2027-01-10")  # 6 becomes 0: the remaining 1 of the overage
    statements.close_due(utc("2027-02-04T01:00"))

    assert Statement.objects.values().get(period="2026-11-01") == november
    amounts_by_period = {
        str(statement.period): line_amounts(statement) for statement in Statement.objects.exclude(period="2026-11-01")
    }
    assert amounts_by_period == {
        "2026-12-01": [("fee", 10 * NANO, 1000), ("correction", -1_250_000_000, -125)],
        "2027-01-01": [("fee", 10 * NANO, 1000), ("correction", -1 * NANO, -100)],
    }
    assert ledger_is_consistent()


def test_a_credit_above_the_amount_due_is_carried_over(account: Account) -> None:
    set_billing_anchor(account, billed_from="2026-11-01")
    create_soft_plan("team", 0)
    subscribe(account, "team", "2026-11-01")
    log = record_call(account, "2026-11-10", "25")
    subscriptions.cancel(account, actor="", at=utc("2026-11-20"))
    statements.close_due(utc(CLOSES_AT))
    void(log, "2026-12-10")
    statements.close_due(utc("2027-01-04T01:00"))
    subscribe(account, "basic", "2027-01-05")
    statements.close_due(utc("2027-02-04T01:00"))

    december, january = Statement.objects.filter(period__gt="2026-11-01").order_by("period")
    assert (line_amounts(december), december.state) == ([("correction", -25 * NANO, -2500)], "nothing_due")
    assert line_amounts(january) == [("fee", 2526 * CENT, 2526), ("carried", -25 * NANO, -2500)]
    assert (january.total_cents, january.state) == (26, "open")
    assert ledger_is_consistent()


def test_a_period_without_usage_fees_or_corrections_has_no_statement(account: Account) -> None:
    set_billing_anchor(account, billed_from="2026-09-01")
    assert statements.close_due(utc(CLOSES_AT)) == 3

    assert Statement.objects.count() == 0
    assert [str(closed.period) for closed in ClosedPeriod.objects.order_by("period")] == [
        "2026-09-01",
        "2026-10-01",
        "2026-11-01",
    ]
    account.refresh_from_db()
    assert account.next_close_at == utc("2027-01-04T01:00")


def test_late_usage_is_on_the_statement_of_the_period_in_which_it_counts(account: Account) -> None:
    set_billing_anchor(account, billed_from="2026-11-01")
    record_call(account, "2026-12-05", "1", "own")
    record(account, utc("2026-12-05"), {"event_id": "late", "cost_usd": "2", "occurred_at": "2026-11-20T00:00:00Z"})
    statements.close_due(utc("2027-01-04T01:00"))

    assert [(str(statement.period), statement.usage_nano) for statement in Statement.objects.all()] == [
        ("2026-12-01", 3 * NANO)
    ]


def test_usage_from_before_billing_started_is_on_no_statement(account: Account) -> None:
    set_billing_anchor(account, billed_from="2026-11-01")
    record(account, utc("2026-11-05"), {"cost_usd": "2", "occurred_at": "2026-10-20T00:00:00Z"})
    statements.close_due(utc(CLOSES_AT))

    assert Statement.objects.count() == 0


def test_periods_of_a_changed_schedule_are_closed_at_their_own_boundaries(account: Account) -> None:
    set_billing_anchor(account, anchor_day=20, billed_from="2026-10-20")
    statements.close_due(utc("2026-11-24"))
    # The usage period is 20 November to 5 January.
    anchor_changes.change(account, anchor_day=5, timezone="Asia/Tokyo", at=utc("2026-12-10"))
    record_call(account, "2026-12-30", "1")

    assert statements.close_due(utc("2026-12-31")) == 0
    assert statements.close_due(utc("2027-01-07T15:59")) == 0  # 5 January in Tokyo is 4 January, 15:00
    assert statements.close_due(utc("2027-01-07T16:00")) == 1
    statement = Statement.objects.get()
    assert (str(statement.period), str(statement.period_end)) == ("2026-11-20", "2027-01-05")
    assert statement.usage_nano == NANO
    assert ledger_is_consistent()


def test_a_statement_changed_by_hand_is_reported(account: Account) -> None:
    set_billing_anchor(account, billed_from="2026-11-01")
    subscribe(account, "basic", "2026-11-01")
    statements.close_due(utc(CLOSES_AT))
    Statement.objects.update(total_cents=1)
    SubscriptionEvent.objects.update(fee_lines=[])

    ((difference,),) = [part.differences for part in statement_check.check()]
    with pytest.raises(SystemExit):
        call_command("verify_ledger")
    assert difference.columns["total_cents"] == (1, 0)
    assert difference.columns["fee_nano"] == (29 * NANO, 0)


@pytest.fixture
def open_statement(account: Account) -> Statement:
    set_billing_anchor(account, billed_from="2026-11-01")
    subscribe(account, "basic", "2026-11-01")
    statements.close_due(utc(CLOSES_AT))
    return Statement.objects.get()


def status_after_jobs(account: Account, when: datetime) -> tuple[str, bool]:
    statements.mark_past_due(when)
    subscriptions.renew_due(when)
    account.refresh_from_db()
    subscription = subscriptions.for_account(account)
    assert subscription
    return subscription.status, plans.inactive_reason(account, when) is not None


def test_an_unpaid_subscription_is_past_due_then_suspended_and_active_again_when_paid(
    account: Account, open_statement: Statement
) -> None:
    due_at = open_statement.due_at
    assert due_at
    assert status_after_jobs(account, due_at - timedelta(seconds=1)) == ("active", False)
    assert status_after_jobs(account, due_at) == ("past_due", False)
    grace_end = due_at + timedelta(days=7)
    assert status_after_jobs(account, grace_end - timedelta(seconds=1)) == ("past_due", False)
    assert plans.inactive_reason(account, grace_end) is not None  # before any job has run
    assert status_after_jobs(account, grace_end) == ("suspended", True)
    with pytest.raises(Exception, match="suspended"):
        subscribe(account, "pro", "2026-12-30")
    paid_at = utc("2026-12-30")

    assert statements.mark_paid(open_statement, actor="staff", note="bank", at=paid_at)
    assert status_after_jobs(account, paid_at) == ("active", False)
    open_statement.refresh_from_db()
    assert (open_statement.state, open_statement.paid_at) == ("paid", paid_at)
    assert (open_statement.paid_by, open_statement.payment_note) == ("staff", "bank")
    assert not statements.mark_paid(open_statement, actor="other", note="", at=paid_at + timedelta(1))
    open_statement.refresh_from_db()
    assert open_statement.paid_by == "staff"
    assert ledger_is_consistent()


def test_a_subscription_suspended_beyond_its_cycle_starts_a_new_one_when_paid(
    account: Account, open_statement: Statement
) -> None:
    assert open_statement.due_at
    status_after_jobs(account, open_statement.due_at)
    assert status_after_jobs(account, utc("2027-02-15")) == ("suspended", True)
    fee_count = SubscriptionEvent.objects.filter(fee_nano__gt=0).count()
    statements.mark_paid(open_statement, actor="staff", note="", at=utc("2027-02-15"))

    subscription = subscriptions.for_account(account)
    assert subscription
    assert (subscription.status, subscription.fee_nano) == ("active", 1450 * CENT)
    assert str(subscription.period_start) == "2027-02-01"
    assert SubscriptionEvent.objects.filter(fee_nano__gt=0).count() == fee_count + 1


def test_a_second_overdue_statement_keeps_the_subscription_past_due(
    account: Account, open_statement: Statement
) -> None:
    statements.close_due(utc("2027-01-04T01:00"))
    (december,) = Statement.objects.filter(period="2026-12-01")
    assert december.due_at
    assert status_after_jobs(account, december.due_at)[0] == "past_due"
    assert statements.mark_paid(open_statement, actor="", note="", at=december.due_at)
    subscription = subscriptions.for_account(account)
    assert subscription
    assert subscription.status == "past_due"  # also before any job
    assert not SubscriptionEvent.objects.filter(kind=SubscriptionEvent.Kind.PAID).exists()
    assert status_after_jobs(account, december.due_at)[0] == "past_due"
    statements.mark_paid(december, actor="", note="", at=december.due_at)
    assert status_after_jobs(account, december.due_at)[0] == "active"


def test_a_statement_with_nothing_due_cannot_be_marked_paid(account: Account) -> None:
    set_billing_anchor(account, billed_from="2026-11-01")
    record_call(account, "2026-11-10", "0.5")
    statements.close_due(utc(CLOSES_AT))
    statement = Statement.objects.get()

    assert not statements.mark_paid(statement, actor="staff", note="", at=utc("2026-12-30"))
    statement.refresh_from_db()
    assert (statement.state, statement.paid_at) == ("nothing_due", None)
