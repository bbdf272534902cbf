"""Processes that subscribe one account, or close its periods, at once; and a close job that is killed at any moment."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models import Count

from billing.accounts import accounts
from billing.models import Account, ClosedPeriod, Statement, Subscription, SubscriptionEvent
from billing.plans import subscriptions
from billing.statements import statements
from tests.billing.subscribers import on, soft_plan
from tests.billing.usage import record
from tests.proof import children
from tests.proof.subscriber import AT, CLOSES

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.real_clock(reason="starts processes that subscribe and close periods"),
]

ACCOUNTS, PERIODS = 16, 4  # November to February


def started(*whats: str) -> list[subprocess.Popen[str]]:
    """Processes that wait for one another, so that they race."""
    environment = children.environment() | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
    found = [subprocess.Popen([sys.executable, "-m", "tests.proof.subscriber", what], **pipes) for what in whats]
    for process in found:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in found:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return found


def answers(*whats: str) -> list[str]:
    told = [process.communicate(timeout=120)[0].strip() for process in started(*whats)]
    assert "" not in told
    return told


def test_an_account_is_subscribed_once_however_many_do_it_at_once(account: Account) -> None:
    assert sorted(answers("basic", "basic", "basic", "basic")) == ["False", "False", "False", "True"]

    assert list(SubscriptionEvent.objects.values_list("kind", "fee_nano")) == [("subscribed", 8_700_000_000)]
    account.refresh_from_db()
    assert account.config_version == 2


def test_two_plans_at_once_are_a_subscription_and_a_change(account: Account) -> None:
    assert sorted(answers("basic", "pro")) == ["False", "True"]

    first, second = SubscriptionEvent.objects.order_by("id")
    assert (first.kind, second.kind) in {("subscribed", "upgraded"), ("subscribed", "planned")}
    assert Subscription.objects.get().plan.slug == "pro"


@pytest.fixture
def many(db: None) -> list[Account]:
    soft_plan("team", 1)
    accounts.ensure([f"acct_{number:03d}" for number in range(ACCOUNTS)], at=AT)
    found = list(Account.objects.order_by("pk"))
    for number, one in enumerate(found):
        on(one, billed_from="2026-11-01")
        subscriptions.subscribe(one, plan=("team", "basic")[number % 2], cycle="monthly", actor="", at=AT)
        record(one, AT, {"event_id": "e", "cost_usd": f"{number}.123456789"})
    return found


def assert_closed_once() -> None:
    assert ClosedPeriod.objects.count() == Statement.objects.count() == ACCOUNTS * PERIODS
    renewals = SubscriptionEvent.objects.filter(kind="renewed").values("account").annotate(n=Count("id"))
    assert [row["n"] for row in renewals] == [PERIODS] * ACCOUNTS
    call_command("verify_ledger")
    assert [str(one.period_start) for one in Subscription.objects.all()] == ["2027-03-01"] * ACCOUNTS


def figures() -> list[tuple[Any, ...]]:
    return list(
        Statement.objects.order_by("account_id", "period").values_list(
            "account_id", "period", "total_cents", "usage_nano", "overage_nano", "lines", "state"
        )
    )


def test_three_close_jobs_at_once_close_every_period_once(many: list[Account]) -> None:
    answers("close", "close", "close")

    assert_closed_once()


def test_a_close_job_that_is_killed_and_run_again_ends_as_a_straight_run(many: list[Account]) -> None:
    seed = random.SystemRandom().randrange(10**6)
    children.tell(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(3):
        (process,) = started("close")
        time.sleep(chance.uniform(0.05, 0.8))
        process.kill()
        process.communicate()
        call_command("verify_ledger")
    answers("close")
    assert_closed_once()
    interrupted = figures()

    Statement.objects.all().delete()
    ClosedPeriod.objects.all().delete()
    Account.objects.update(next_close_at=None)
    assert statements.close_due(CLOSES) == ACCOUNTS * PERIODS
    assert figures() == interrupted
