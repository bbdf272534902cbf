"""An account that cannot be closed stops no other account; closing a period moves the account's first open day."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from billing import jobs as billing_jobs
from billing.accounts import accounts
from billing.ledger import closed_periods
from billing.models import Account, ClosedPeriod, Statement, Subscription, SubscriptionEvent
from billing.plans import subscriptions
from billing.statements import statements
from lib.jobs import ProblemFound
from lib.money import NANO
from tests.billing.ledger_rows import differences
from tests.billing.subscribers import create_soft_plan, set_billing_anchor
from tests.billing.usage import record
from tests.frozen_clock import utc

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at("2026-11-01")]
CLOSES_AT, OVERDUE_AT = utc("2026-12-04T01:00"), utc("2026-12-18T01:00")


@pytest.fixture
def three() -> list[Account]:
    """Accounts `a`, `b` and `c` that owe $1 each; `b` comes between the others in every order."""
    create_soft_plan("team", 0)
    for name in "abc":
        account, _ = accounts.create(external_id=name, at=utc("2026-11-01"), name="", timezone="UTC", anchor_day=1)
        subscriptions.subscribe(account, plan="team", cycle="monthly", actor="", at=utc("2026-11-01"))
        record(account, utc("2026-11-10"), {"cost_usd": "1"})
    return list(Account.objects.order_by("pk"))


def move_to_an_unknown_zone(account: Account) -> None:
    Account.objects.filter(pk=account.pk).update(timezone="Mars/Olympus")


def exceed_64_bits(account: Account) -> None:
    """A fee that, with the overage, is above the highest amount of a statement."""
    fee = {"text": "too much", "nano": 2**63 - 1}
    SubscriptionEvent.objects.filter(account=account).update(fee_lines=[fee])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(move_to_an_unknown_zone, "No time zone found"), (exceed_64_bits, "")],
    ids=["a zone that the host does not know", "a total beyond 64 bits"],
)
def test_an_account_that_fails_is_reported_and_the_others_are_closed(
    three: list[Account], spoil: Any, reason: str
) -> None:
    spoil(three[1])
    before = Account.objects.values().get(external_id="b")

    with pytest.raises(ProblemFound) as problem:
        billing_jobs.close_periods(CLOSES_AT)

    assert str(problem.value).startswith("2 periods closed, 0 accounts past due; 1 failed: b: ")
    assert reason in str(problem.value)
    assert list(Statement.objects.values_list("account__external_id", flat=True).order_by("account")) == ["a", "c"]
    assert ClosedPeriod.objects.filter(account__external_id="b").count() == 0
    assert Account.objects.values().get(external_id="b") == before


def test_without_a_list_of_problems_closing_raises_in_the_end(three: list[Account]) -> None:
    move_to_an_unknown_zone(three[0])
    with pytest.raises(ProblemFound, match=r"\Aa: "):
        statements.close_due(CLOSES_AT)
    assert Statement.objects.count() == 2


def test_an_account_that_fails_does_not_keep_others_from_being_past_due(three: list[Account]) -> None:
    statements.close_due(CLOSES_AT)
    move_to_an_unknown_zone(three[1])
    Account.objects.update(next_close_at=utc("2027-01-04T01:00"))
    Subscription.objects.update(renews_at=utc("2026-12-01"))

    with pytest.raises(ProblemFound) as problem:
        billing_jobs.close_periods(OVERDUE_AT)

    assert str(problem.value).startswith("0 periods closed, 2 accounts past due; 1 failed: b: ")
    states = dict(Subscription.objects.values_list("account__external_id", "status"))
    assert states == {"a": "past_due", "b": "active", "c": "past_due"}


def test_an_account_of_an_unknown_zone_does_not_stop_the_check_of_the_others(three: list[Account]) -> None:
    statements.close_due(CLOSES_AT)
    move_to_an_unknown_zone(three[1])
    of_accounts = {str(difference) for difference in differences() if difference.table == "accounts"}
    assert of_accounts == {f"accounts {three[1].pk}: timezone is Mars/Olympus, should be known to this host"}


def test_closing_moves_the_first_open_day(account: Account) -> None:
    set_billing_anchor(account, anchor_day=31, billed_from="2026-09-30")
    record(account, utc("2026-10-05"), {"cost_usd": "1"})
    assert account.closed_before is None

    statements.close_due(utc("2026-11-03T00:59:59"))
    account.refresh_from_db()
    assert account.closed_before is None
    statements.close_due(utc("2026-11-03T01:00"))
    account.refresh_from_db()
    assert account.closed_before == date(2026, 10, 31)
    statements.close_due(utc("2026-12-03T01:00"))
    account.refresh_from_db()
    assert account.closed_before == date(2026, 11, 30)


def test_closing_an_earlier_period_afterwards_opens_no_day(account: Account) -> None:
    for period in (date(2026, 10, 1), date(2026, 9, 1), date(2026, 10, 1)):
        closed_periods.close(account, period, CLOSES_AT)
        account.refresh_from_db()
        assert account.closed_before == date(2026, 11, 1)


def test_a_failed_closing_moves_nothing(three: list[Account], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise ValueError("no statement today")

    with monkeypatch.context() as patched:
        patched.setattr(statements, "_issue", fail)
        with pytest.raises(ProblemFound):
            statements.close_due(CLOSES_AT)
    assert set(Account.objects.values_list("closed_before", flat=True)) == {None}
    assert (ClosedPeriod.objects.count(), Statement.objects.count()) == (0, 0)

    assert statements.close_due(CLOSES_AT) == len(three)
    assert set(Account.objects.values_list("closed_before", flat=True)) == {date(2026, 12, 1)}
    assert {statement.total_nano for statement in Statement.objects.all()} == {11 * NANO}
