"""R5: a fault at any query of subscribing or closing leaves all or nothing; what is run again ends as a straight run."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.core.management import call_command
from django.db import IntegrityError, OperationalError, connection

from billing.models import Account, ClosedPeriod, IdempotencyKey, Statement, Subscription, SubscriptionEvent
from billing.plans import subscriptions
from billing.statements import statements
from tests.billing.faults import Fault
from tests.billing.subscribers import at, on
from tests.billing.usage import record
from tests.conftest import Api

pytestmark = pytest.mark.django_db(transaction=True)

MOST_QUERIES = 90
BASIC = {"plan": "basic", "cycle": "monthly"}
CLOSES = at("2026-12-04T01:00")


def stored() -> tuple[int, ...]:
    tables = (Subscription, SubscriptionEvent, IdempotencyKey)
    return *(model.objects.count() for model in tables), Account.objects.get().config_version


def test_a_fault_at_any_query_subscribes_whole_or_not_at_all(bound: Api) -> None:
    bound.get("accounts/acct_42/subscription/")  # the key's last use is noted
    failed = 0
    for number in range(1, MOST_QUERIES):
        fault = Fault(number, OperationalError("the database is away"))
        with connection.execute_wrapper(fault):
            answer = bound.post("accounts/acct_42/subscribe/", BASIC, **{"Idempotency-Key": "k1"})
        if fault.number > 0:  # there was no such query
            break
        failed += 1
        assert (answer.status_code, stored()) == (503, (0, 0, 0, 1))
        assert bound.get("accounts/acct_42/subscription/").json()["plan"]["slug"] == "free"

    assert (answer.status_code, stored()) == (201, (1, 1, 1, 2))
    assert failed >= 12
    assert bound.get("accounts/acct_42/subscription/").json()["plan"]["slug"] == "basic"


def test_a_commit_that_fails_subscribes_nothing(bound: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    bound.get("accounts/acct_42/subscription/")

    def fail() -> None:
        raise OperationalError("the database is away")

    with monkeypatch.context() as patched:
        patched.setattr(connection, "_commit", fail)
        answer = bound.post("accounts/acct_42/subscribe/", BASIC)

    assert (answer.status_code, stored()) == (503, (0, 0, 0, 1))
    assert bound.get("accounts/acct_42/subscription/").json()["plan"]["slug"] == "free"


def closed() -> tuple[int, int, str]:
    return ClosedPeriod.objects.count(), Statement.objects.count(), str(Subscription.objects.get().period_start)


def test_a_fault_at_any_query_closes_whole_or_not_at_all(account: Account, now: datetime) -> None:
    on(account, billed_from="2026-11-01")
    subscriptions.subscribe(account, plan="basic", cycle="monthly", actor="", at=now)
    record(account, now, {"cost_usd": "1"})
    before, after = (0, 0, "2026-11-01"), (1, 1, "2026-12-01")
    seen = []
    for number in range(1, MOST_QUERIES):
        fault = Fault(number, IntegrityError("unforeseen"))
        with connection.execute_wrapper(fault):
            try:
                statements.close_due(CLOSES)
            except IntegrityError:
                pass
            else:
                break
        seen.append(closed())

    assert set(seen) <= {before, after}
    assert seen.count(before) >= 20
    assert closed() == after
    one = Statement.objects.get()
    assert (one.total_cents, [line["nano"] for line in one.lines]) == (870, [8_700_000_000])
    call_command("verify_ledger")
