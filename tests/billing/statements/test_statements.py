"""Statements: written once when a period is closed, in nano-USD and in cents; what comes later is a line of the next."""

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
from tests.billing.subscribers import at, on, soft_plan
from tests.billing.usage import record

pytestmark = pytest.mark.django_db
CLOSES = "2026-12-04T01:00"  # the end of November, 72 hours, and the margin


def use(account: Account, when: str, usd: str, event_id: str = "e0", provider: str = "openai") -> UsageLog:
    (log,) = record(account, at(when), {"event_id": event_id, "cost_usd": usd, "provider": provider})
    return log


def subscribe(account: Account, plan: str, when: str) -> None:
    subscriptions.subscribe(account, plan=plan, cycle="monthly", actor="test", at=at(when))


def lines(one: Statement) -> list[tuple[str, int, int]]:
    return [(line["kind"], line["nano"], line["cents"]) for line in one.lines]


def void(log: UsageLog, when: str) -> None:
    corrections.void(log, reason="never happened", actor="test", at=at(when))


def consistent() -> bool:
    call_command("verify_ledger")  # exits with 1 where a figure is not that of its sources
    return True


def test_a_period_is_closed_when_its_grace_is_over_and_not_before(account: Account) -> None:
    on(account, billed_from="2026-11-01")
    use(account, "2026-11-10", "0.5")

    assert statements.close_due(at(CLOSES) - timedelta(microseconds=1)) == 0
    assert (Statement.objects.count(), ClosedPeriod.objects.count()) == (0, 0)
    assert [statements.close_due(at(CLOSES)), statements.close_due(at(CLOSES))] == [1, 0]
    one = Statement.objects.get()
    assert (str(one.period), str(one.period_end), one.calls, one.usage_nano) == (
        "2026-11-01",
        "2026-12-01",
        1,
        NANO // 2,
    )
    assert (one.total_nano, one.total_cents, one.lines, one.state, one.due_at) == (0, 0, [], "nothing_due", None)
    assert consistent()


def test_included_usage_is_shown_at_cost_and_not_charged(account: Account) -> None:
    on(account, billed_from="2026-11-01")
    subscribe(account, "basic", "2026-11-22")
    use(account, "2026-11-23", "24.999")
    statements.close_due(at(CLOSES))

    one = Statement.objects.get()
    assert lines(one) == [("fee", 870 * CENT, 870)]
    assert (one.total_cents, one.usage_nano, one.allowance_nano) == (870, 24_999_000_000, None)
    assert (one.state, one.due_at) == ("open", at(CLOSES) + timedelta(days=14))
    assert one.usage == [
        {"provider": "openai", "label": "OpenAI", "calls": 1, "tokens": 0, "nano": 24_999_000_000, "cents": 2500}
    ]


def test_what_is_above_a_soft_budget_is_charged_and_lines_add_up_in_cents(account: Account) -> None:
    on(account, billed_from="2026-11-01")
    soft_plan("team", 5)
    subscribe(account, "team", "2026-11-21")  # 10 of 30 days of $10: 3.33
    record(
        account,
        at("2026-11-23"),
        *({"event_id": name, "cost_usd": "2.003333333", "provider": name} for name in ("openai", "exa", "tavily")),
    )
    statements.close_due(at(CLOSES))

    one = Statement.objects.get()
    assert lines(one) == [("fee", 333 * CENT, 333), ("overage", 1_009_999_999, 101)]
    assert (one.fee_nano, one.overage_nano, one.adjustments_nano) == (333 * CENT, 1_009_999_999, 0)
    assert (one.total_nano, one.total_cents) == (4_339_999_999, 434)
    assert [(line["provider"], line["nano"], line["cents"]) for line in one.usage] == [
        ("exa", 2_003_333_333, 201),
        ("openai", 2_003_333_333, 200),
        ("tavily", 2_003_333_333, 200),
    ]
    assert consistent()


def test_the_plan_at_the_end_of_the_period_says_what_is_included(account: Account) -> None:
    on(account, billed_from="2026-11-01")
    soft_plan("team", 5)
    soft_plan("large", 50, monthly_usd=20)
    subscribe(account, "team", "2026-11-01")
    subscribe(account, "large", "2026-11-16")
    use(account, "2026-11-05", "20")
    subscriptions.cancel(account, actor="", at=at("2026-12-02"), at_once=True)
    statements.close_due(at(CLOSES))

    november = Statement.objects.get(period="2026-11-01")
    assert (november.allowance_nano, november.plan_id) == (50 * NANO, plans.current().latest["large"].id)
    assert lines(november) == [("fee", 1000 * CENT, 1000), ("fee", 1000 * CENT, 1000), ("fee", -500 * CENT, -500)]


def test_a_late_correction_of_included_usage_moves_no_money_but_is_told(account: Account) -> None:
    on(account, billed_from="2026-11-01")
    subscribe(account, "basic", "2026-11-01")
    log = use(account, "2026-11-10", "5")
    statements.close_due(at(CLOSES))
    before = Statement.objects.values().get()
    void(log, "2026-12-10")

    assert Statement.objects.values().get() == before
    statements.close_due(at("2027-01-04T01:00"))
    december = Statement.objects.get(period="2026-12-01")
    assert [(line["kind"], line["text"], line["period"], line["nano"]) for line in december.lines] == [
        ("fee", "Basic, monthly, 2026-12-01 to 2026-12-31", "2026-12", 29 * NANO),
        ("correction", "1 late correction of 2026-11: -$5.00 at cost, of included usage", "2026-11", 0),
    ]
    assert Statement.objects.values().get(period="2026-11-01") == before
    assert consistent()


def test_a_late_correction_of_charged_usage_is_a_line_of_the_next_statement(account: Account) -> None:
    on(account, billed_from="2026-11-01")
    soft_plan("team", 5)
    subscribe(account, "team", "2026-11-01")
    small, large = use(account, "2026-11-10", "1.25", "small"), use(account, "2026-11-10", "6", "large")
    statements.close_due(at(CLOSES))
    november = Statement.objects.values().get()
    assert (november["overage_nano"], november["total_cents"]) == (2_250_000_000, 1225)
    void(small, "2026-12-10")  # 7.25 becomes 6: 1.25 less overage
    statements.close_due(at("2027-01-04T01:00"))
    void(large, "2027-01-10")  # 6 becomes 0: the 1 that is left of the overage
    statements.close_due(at("2027-02-04T01:00"))

    assert Statement.objects.values().get(period="2026-11-01") == november
    got = {str(one.period): lines(one) for one in Statement.objects.exclude(period="2026-11-01")}
    assert got == {
        "2026-12-01": [("fee", 10 * NANO, 1000), ("correction", -1_250_000_000, -125)],
        "2027-01-01": [("fee", 10 * NANO, 1000), ("correction", -1 * NANO, -100)],
    }
    assert consistent()


def test_a_credit_that_is_more_than_what_is_due_is_carried_on(account: Account) -> None:
    on(account, billed_from="2026-11-01")
    soft_plan("team", 0)
    subscribe(account, "team", "2026-11-01")
    log = use(account, "2026-11-10", "25")
    subscriptions.cancel(account, actor="", at=at("2026-11-20"))
    statements.close_due(at(CLOSES))
    void(log, "2026-12-10")
    statements.close_due(at("2027-01-04T01:00"))
    subscribe(account, "basic", "2027-01-05")
    statements.close_due(at("2027-02-04T01:00"))

    december, january = Statement.objects.filter(period__gt="2026-11-01").order_by("period")
    assert (lines(december), december.state) == ([("correction", -25 * NANO, -2500)], "nothing_due")
    assert lines(january) == [("fee", 2526 * CENT, 2526), ("carried", -25 * NANO, -2500)]
    assert (january.total_cents, january.state) == (26, "open")
    assert consistent()


def test_a_period_without_usage_fee_and_correction_has_no_statement(account: Account) -> None:
    on(account, billed_from="2026-09-01")
    assert statements.close_due(at(CLOSES)) == 3

    assert Statement.objects.count() == 0
    assert [str(one.period) for one in ClosedPeriod.objects.order_by("period")] == [
        "2026-09-01",
        "2026-10-01",
        "2026-11-01",
    ]
    account.refresh_from_db()
    assert account.next_close_at == at("2027-01-04T01:00")


def test_late_usage_is_on_the_statement_of_the_period_in_which_it_counts(account: Account) -> None:
    on(account, billed_from="2026-11-01")
    use(account, "2026-12-05", "1", "own")
    record(account, at("2026-12-05"), {"event_id": "late", "cost_usd": "2", "occurred_at": "2026-11-20T00:00:00Z"})
    statements.close_due(at("2027-01-04T01:00"))

    assert [(str(one.period), one.usage_nano) for one in Statement.objects.all()] == [("2026-12-01", 3 * NANO)]


def test_usage_before_the_account_was_billed_is_never_on_a_statement(account: Account) -> None:
    on(account, billed_from="2026-11-01")
    record(account, at("2026-11-05"), {"cost_usd": "2", "occurred_at": "2026-10-20T00:00:00Z"})
    statements.close_due(at(CLOSES))

    assert Statement.objects.count() == 0


def test_a_changed_schedule_is_closed_by_its_own_borders(account: Account) -> None:
    on(account, anchor_day=20, billed_from="2026-10-20")
    statements.close_due(at("2026-11-24"))
    anchor_changes.change(account, anchor_day=5, timezone="Asia/Tokyo", at=at("2026-12-10"))  # 20 November to 5 January
    use(account, "2026-12-30", "1")

    assert statements.close_due(at("2026-12-31")) == 0
    assert statements.close_due(at("2027-01-07T15:59")) == 0  # 5 January in Tokyo is 4 January, 15:00
    assert statements.close_due(at("2027-01-07T16:00")) == 1
    one = Statement.objects.get()
    assert (str(one.period), str(one.period_end), one.usage_nano) == ("2026-11-20", "2027-01-05", NANO)
    assert consistent()


def test_a_statement_that_was_changed_by_hand_is_found(account: Account) -> None:
    on(account, billed_from="2026-11-01")
    subscribe(account, "basic", "2026-11-01")
    statements.close_due(at(CLOSES))
    Statement.objects.update(total_cents=1)
    SubscriptionEvent.objects.update(fee_lines=[])

    ((wrong,),) = [part.differences for part in statement_check.check()]
    with pytest.raises(SystemExit):
        call_command("verify_ledger")
    assert wrong.columns["total_cents"] == (1, 0)
    assert wrong.columns["fee_nano"] == (29 * NANO, 0)


@pytest.fixture
def owing(account: Account) -> Statement:
    on(account, billed_from="2026-11-01")
    subscribe(account, "basic", "2026-11-01")
    statements.close_due(at(CLOSES))
    return Statement.objects.get()


def state(account: Account, when: datetime) -> tuple[str, bool]:
    statements.fall_due(when)
    subscriptions.roll(when)
    account.refresh_from_db()
    one = subscriptions.of(account)
    assert one
    return one.status, plans.inactive(account, when) is not None


def test_what_is_not_paid_is_past_due_then_suspended_and_runs_again_when_paid(
    account: Account, owing: Statement
) -> None:
    due = owing.due_at
    assert due
    assert state(account, due - timedelta(seconds=1)) == ("active", False)
    assert state(account, due) == ("past_due", False)
    grace = due + timedelta(days=7)
    assert state(account, grace - timedelta(seconds=1)) == ("past_due", False)
    assert plans.inactive(account, grace) is not None  # before any job has run
    assert state(account, grace) == ("suspended", True)
    with pytest.raises(Exception, match="suspended"):
        subscribe(account, "pro", "2026-12-30")
    paid = at("2026-12-30")

    assert statements.mark_paid(owing, actor="staff", note="bank", at=paid)
    assert state(account, paid) == ("active", False)
    owing.refresh_from_db()
    assert (owing.state, owing.paid_at, owing.paid_by, owing.payment_note) == ("paid", paid, "staff", "bank")
    assert not statements.mark_paid(owing, actor="other", note="", at=paid + timedelta(1))
    owing.refresh_from_db()
    assert owing.paid_by == "staff"
    assert consistent()


def test_what_was_suspended_past_its_cycle_begins_a_new_one_when_paid(account: Account, owing: Statement) -> None:
    assert owing.due_at
    state(account, owing.due_at)
    assert state(account, at("2027-02-15")) == ("suspended", True)
    fees = SubscriptionEvent.objects.filter(fee_nano__gt=0).count()
    statements.mark_paid(owing, actor="staff", note="", at=at("2027-02-15"))

    one = subscriptions.of(account)
    assert one
    assert (one.status, str(one.period_start), one.fee_nano) == ("active", "2027-02-01", 1450 * CENT)
    assert SubscriptionEvent.objects.filter(fee_nano__gt=0).count() == fees + 1


def test_a_second_overdue_statement_keeps_it_past_due(account: Account, owing: Statement) -> None:
    statements.close_due(at("2027-01-04T01:00"))
    (december,) = Statement.objects.filter(period="2026-12-01")
    assert december.due_at
    assert state(account, december.due_at)[0] == "past_due"
    statements.mark_paid(owing, actor="", note="", at=december.due_at)
    assert state(account, december.due_at)[0] == "past_due"
    statements.mark_paid(december, actor="", note="", at=december.due_at)
    assert state(account, december.due_at)[0] == "active"


def test_a_statement_with_nothing_due_is_never_paid(account: Account) -> None:
    on(account, billed_from="2026-11-01")
    use(account, "2026-11-10", "0.5")
    statements.close_due(at(CLOSES))
    one = Statement.objects.get()

    assert not statements.mark_paid(one, actor="staff", note="", at=at("2026-12-30"))
    one.refresh_from_db()
    assert (one.state, one.paid_at) == ("nothing_due", None)
