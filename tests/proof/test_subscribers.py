"""Processes that subscribe one account, or close its periods, at once; and a close job killed at random moments."""

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
from tests.billing.subscribers import create_soft_plan, set_billing_anchor
from tests.billing.usage import record
from tests.proof import children
from tests.proof.subscriber import AT, CLOSE_AT

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.real_clock(reason="starts processes that subscribe and close periods"),
]

ACCOUNT_COUNT, PERIOD_COUNT = 16, 4  # November to February


def start_together(*tasks: str) -> list[subprocess.Popen[str]]:
    """Processes that begin their tasks at the same moment, so that they race."""
    environment = children.environment() | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
    processes = [subprocess.Popen([sys.executable, "-m", "tests.proof.subscriber", task], **pipes) for task in tasks]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return processes


def run_together(*tasks: str) -> list[str]:
    outputs = [process.communicate(timeout=120)[0].strip() for process in start_together(*tasks)]
    assert "" not in outputs
    return outputs


def test_an_account_is_subscribed_once_by_concurrent_requests(account: Account) -> None:
    assert sorted(run_together("basic", "basic", "basic", "basic")) == ["False", "False", "False", "True"]

    assert list(SubscriptionEvent.objects.values_list("kind", "fee_nano")) == [("subscribed", 8_700_000_000)]
    account.refresh_from_db()
    assert account.config_version == 2


def test_a_year_that_two_processes_subscribe_to_is_charged_once(account: Account) -> None:
    """Also after an immediate cancellation, when its days are paid already."""
    year = 273_320_000_000  # 344 of 365 days of 290 USD
    assert sorted(run_together("basic:yearly", "basic:yearly")) == ["False", "True"]
    subscriptions.cancel(account, actor="", at=AT, immediately=True)
    assert sorted(run_together("basic:yearly", "basic:yearly")) == ["False", "True"]

    fees = list(SubscriptionEvent.objects.order_by("id").values_list("kind", "fee_nano"))
    assert fees == [("subscribed", year), ("cancelled", 0), ("subscribed", 0)]


def test_concurrent_requests_for_two_plans_make_a_subscription_and_a_change(account: Account) -> None:
    assert sorted(run_together("basic", "pro")) == ["False", "True"]

    first, second = SubscriptionEvent.objects.order_by("id")
    assert (first.kind, second.kind) in {("subscribed", "upgraded"), ("subscribed", "planned")}
    assert Subscription.objects.get().plan.slug == "pro"


@pytest.fixture
def subscribed_accounts(db: None) -> list[Account]:
    create_soft_plan("team", 1)
    accounts.ensure([f"acct_{number:03d}" for number in range(ACCOUNT_COUNT)], at=AT)
    created = list(Account.objects.order_by("pk"))
    for number, account in enumerate(created):
        set_billing_anchor(account, billed_from="2026-11-01")
        subscriptions.subscribe(account, plan=("team", "basic")[number % 2], cycle="monthly", actor="", at=AT)
        record(account, AT, {"event_id": "e", "cost_usd": f"{number}.123456789"})
    return created


def assert_closed_once() -> None:
    assert ClosedPeriod.objects.count() == Statement.objects.count() == ACCOUNT_COUNT * PERIOD_COUNT
    renewals = SubscriptionEvent.objects.filter(kind="renewed").values("account").annotate(count=Count("id"))
    assert [row["count"] for row in renewals] == [PERIOD_COUNT] * ACCOUNT_COUNT
    call_command("verify_ledger")
    starts = [str(subscription.period_start) for subscription in Subscription.objects.all()]
    assert starts == ["2027-03-01"] * ACCOUNT_COUNT


def statement_rows() -> list[tuple[Any, ...]]:
    return list(
        Statement.objects.order_by("account_id", "period").values_list(
            "account_id", "period", "total_cents", "usage_nano", "overage_nano", "lines", "state"
        )
    )


def test_three_close_jobs_at_once_close_every_period_once(subscribed_accounts: list[Account]) -> None:
    run_together("close", "close", "close")

    assert_closed_once()


def test_a_close_job_that_is_killed_and_rerun_ends_as_an_uninterrupted_run(subscribed_accounts: list[Account]) -> None:
    seed = random.SystemRandom().randrange(10**6)
    children.report(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(3):
        (process,) = start_together("close")
        time.sleep(rng.uniform(0.05, 0.8))
        process.kill()
        process.communicate()
        call_command("verify_ledger")
    run_together("close")
    assert_closed_once()
    interrupted = statement_rows()

    Statement.objects.all().delete()
    ClosedPeriod.objects.all().delete()
    Account.objects.update(next_close_at=None)
    assert statements.close_due(CLOSE_AT) == ACCOUNT_COUNT * PERIOD_COUNT
    assert statement_rows() == interrupted
