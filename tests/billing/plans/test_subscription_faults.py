"""R5: a fault at any query while subscribing or closing stores all or nothing; a retry ends like a run without faults."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.core.management import call_command
from django.db import IntegrityError, OperationalError, connection

from billing.models import Account, ClosedPeriod, IdempotencyKey, Statement, Subscription, SubscriptionEvent
from billing.plans import subscriptions
from billing.statements import statements
from lib.jobs import ProblemFound
from tests.billing.faults import Fault
from tests.billing.subscribers import set_billing_anchor
from tests.billing.usage import record
from tests.conftest import Api
from tests.frozen_clock import utc

pytestmark = pytest.mark.django_db(transaction=True)

MAX_QUERIES = 90
BASIC = {"plan": "basic", "cycle": "monthly"}
CLOSE_AT = utc("2026-12-04T01:00")


def stored_counts() -> tuple[int, ...]:
    tables = (Subscription, SubscriptionEvent, IdempotencyKey)
    return *(model.objects.count() for model in tables), Account.objects.get().config_version


def test_a_fault_at_any_query_subscribes_fully_or_not_at_all(bound: Api) -> None:
    bound.get("accounts/acct_42/subscription/")  # stores the key's last use
    failed = 0
    for number in range(1, MAX_QUERIES):
        fault = Fault(number, OperationalError("database unavailable"))
        with connection.execute_wrapper(fault):
            answer = bound.post("accounts/acct_42/subscribe/", BASIC, **{"Idempotency-Key": "k1"})
        if fault.number > 0:  # the request had fewer queries, so nothing failed
            break
        failed += 1
        assert (answer.status_code, stored_counts()) == (503, (0, 0, 0, 1))
        assert bound.get("accounts/acct_42/subscription/").json()["plan"]["slug"] == "free"

    assert (answer.status_code, stored_counts()) == (201, (1, 1, 1, 2))
    assert failed >= 12
    assert bound.get("accounts/acct_42/subscription/").json()["plan"]["slug"] == "basic"


def test_a_failed_commit_subscribes_nothing(bound: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    bound.get("accounts/acct_42/subscription/")

    def fail() -> None:
        raise OperationalError("database unavailable")

    with monkeypatch.context() as patched:
        patched.setattr(connection, "_commit", fail)
        answer = bound.post("accounts/acct_42/subscribe/", BASIC)

    assert (answer.status_code, stored_counts()) == (503, (0, 0, 0, 1))
    assert bound.get("accounts/acct_42/subscription/").json()["plan"]["slug"] == "free"


def closing_state() -> tuple[int, int, str]:
    return ClosedPeriod.objects.count(), Statement.objects.count(), str(Subscription.objects.get().period_start)


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_a_fault_at_any_query_closes_fully_or_not_at_all(account: Account, now: datetime) -> None:
    set_billing_anchor(account, billed_from="2026-11-01")
    subscriptions.subscribe(account, plan="basic", cycle="monthly", actor="", at=now)
    record(account, now, {"cost_usd": "1"})
    before, after = (0, 0, "2026-11-01"), (1, 1, "2026-12-01")
    states = []
    for number in range(1, MAX_QUERIES):
        fault = Fault(number, IntegrityError("unforeseen"))
        with connection.execute_wrapper(fault):
            try:
                statements.close_due(CLOSE_AT)
            except (IntegrityError, ProblemFound):
                pass
            else:
                break
        states.append(closing_state())

    assert set(states) <= {before, after}
    assert states.count(before) >= 20
    assert closing_state() == after
    statement = Statement.objects.get()
    assert (statement.total_cents, [line["nano"] for line in statement.lines]) == (870, [8_700_000_000])
    call_command("verify_ledger")
