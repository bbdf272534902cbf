"""A deadlock at any statement or at the COMMIT repeats the transaction: each change is stored, and once."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from django.db import OperationalError, connection, transaction
from django.test import Client

from billing.accounts import access, accounts, invitations
from billing.alerts import alerts
from billing.limits import reservations
from billing.limits.operations import Operation
from billing.models import (
    Account,
    ApiKey,
    Invitation,
    Membership,
    Plan,
    Statement,
    Subscription,
    SubscriptionEvent,
    UsageAlert,
    UsageReservation,
)
from billing.plans import anchor_changes, subscriptions
from billing.statements import statements
from lib import retry
from providers import price_edits
from providers.models import Price, PriceRate, Provider
from tests.billing import faults
from tests.billing.alert_rows import create_alert
from tests.billing.members import create_user
from tests.billing.subscribers import create_soft_plan, set_billing_anchor
from tests.frozen_clock import utc

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[2]
MAX_STATEMENTS = 60
AT, LATER = utc("2026-11-10"), utc("2026-11-12")
Change = tuple[
    Callable[[], object], Callable[[], object], object
]  # what to do, what it changes, and its value afterwards


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.retry.time.sleep", lambda _seconds: None)


def events(account: Account) -> list[tuple[str, int]]:
    rows = SubscriptionEvent.objects.filter(account=account, recorded_at=LATER).order_by("id")
    return list(rows.values_list("kind", "fee_nano"))


def subscribed(account: Account, plan: str = "day") -> Account:
    subscriptions.subscribe(account, plan=plan, cycle="monthly", actor="", at=AT)
    return account


def subscribe(account: Account) -> Change:
    work = lambda: subscriptions.subscribe(account, plan="day", cycle="monthly", actor="", at=LATER)  # noqa: E731
    return work, lambda: events(account), [("subscribed", 19_630_000_000)]


def upgrade(account: Account) -> Change:
    subscribed(account)
    work = lambda: subscriptions.subscribe(account, plan="two", cycle="monthly", actor="", at=LATER)  # noqa: E731
    return work, lambda: events(account), [("upgraded", 19_640_000_000)]


def cancel(account: Account) -> Change:
    subscribed(account)
    return lambda: subscriptions.cancel(account, actor="", at=LATER), lambda: events(account), [("cancel_planned", 0)]


def cancel_immediately(account: Account) -> Change:
    subscribed(account)
    work = lambda: subscriptions.cancel(account, actor="", at=LATER, immediately=True)  # noqa: E731
    return work, lambda: events(account), [("cancelled", 0)]


def resume(account: Account) -> Change:
    subscriptions.cancel(subscribed(account), actor="", at=AT)
    return lambda: subscriptions.resume(account, actor="", at=LATER), lambda: events(account), [("resumed", 0)]


def change_schedule(account: Account) -> Change:
    subscribed(account)
    work = lambda: anchor_changes.change(account, anchor_day=2, timezone="UTC", at=LATER)  # noqa: E731
    return work, lambda: events(account), [("rescheduled", 1_030_000_000)]


def mark_past_due(account: Account) -> Change:
    subscribed(account)
    return lambda: subscriptions.mark_past_due(account, LATER), lambda: events(account), [("past_due", 0)]


def reinstate(account: Account) -> Change:
    subscriptions.mark_past_due(subscribed(account), AT)
    return lambda: subscriptions.reinstate(account, actor="", at=LATER), lambda: events(account), [("paid", 0)]


def mark_paid(account: Account) -> Change:
    set_billing_anchor(account, billed_from="2026-10-01")
    subscriptions.subscribe(account, plan="day", cycle="monthly", actor="", at=utc("2026-10-01"))
    statements.close_due(AT)
    statement = Statement.objects.get(account=account)
    subscriptions.mark_past_due(account, AT)
    state = lambda: (Statement.objects.get(account=account).state, events(account))  # noqa: E731
    return lambda: statements.mark_paid(statement, actor="", note="", at=LATER), state, ("paid", [("paid", 0)])


def release(account: Account) -> Change:
    request = reservations.ReservationRequest("r", [Operation(provider="video", category="video")], 900)
    reservation, _ = reservations.reserve(account, request, AT)
    state = lambda: UsageReservation.objects.get(account=account).state  # noqa: E731
    return lambda: reservations.release(reservation, AT), state, "released"


def invite(account: Account) -> Change:
    work = lambda: invitations.invite(account, email="a@example.com", role="member", by="", at=AT)  # noqa: E731
    return work, lambda: Invitation.objects.filter(account=account).count(), 1


def revoke_invitation(account: Account) -> Change:
    invitation, _ = invitations.invite(account, email="a@example.com", role="member", by="", at=AT)
    state = lambda: Invitation.objects.get(account=account).state(AT)  # noqa: E731
    return lambda: invitations.revoke(invitation, at=AT), state, "revoked"


def accept(account: Account) -> Change:
    email = f"{account.external_id}@example.com"
    invitation, _ = invitations.invite(account, email=email, role="owner", by="", at=AT)
    user = create_user(name=email)
    members = lambda: list(Membership.objects.filter(account=account).values_list("user", "role"))  # noqa: E731
    return lambda: invitations.accept(invitation, user=user, at=AT), members, [(user.pk, "owner")]


def join(account: Account) -> Change:
    email = f"{account.external_id}@example.com"
    invitation, _ = invitations.invite(account, email=email, role="owner", by="", at=AT)
    members = lambda: list(Membership.objects.filter(account=account).values_list("user__username", "role"))  # noqa: E731
    return lambda: invitations.join(invitation, password="x" * 20, at=AT), members, [(email, "owner")]


def create_key(account: Account) -> Change:
    work = lambda: access.create_key(name="k", scopes=["read"], account=account, at=AT)  # noqa: E731
    return work, lambda: ApiKey.objects.filter(account=account).count(), 1


def revoke_key(account: Account) -> Change:
    key, _ = access.create_key(name="k", scopes=["read"], account=account, at=AT)
    revoked = lambda: ApiKey.objects.get(account=account).revoked_at  # noqa: E731
    return lambda: access.revoke(key, at=AT), revoked, AT


def mark_alerts_read(account: Account) -> Change:
    create_alert(account)
    read_at = lambda: UsageAlert.objects.get(account=account).read_at  # noqa: E731
    return lambda: alerts.mark_read(alerts.for_account(account), AT), read_at, AT


def create_accounts(account: Account) -> Change:
    names = [f"{account.external_id}-{number}" for number in range(3)]
    count = lambda: Account.objects.filter(external_id__in=names).count()  # noqa: E731
    return lambda: accounts.ensure(names, at=AT), count, 3


def create_account(account: Account) -> Change:
    name = f"{account.external_id}-new"
    work = lambda: accounts.create(external_id=name, at=AT, name="", timezone="UTC", anchor_day=1)  # noqa: E731
    return work, lambda: Account.objects.filter(external_id=name).count(), 1


def supersede_plan(account: Account) -> Change:
    create_soft_plan(account.external_id, 5)
    rows = Plan.objects.filter(slug=account.external_id).order_by("version")
    versions = lambda: list(rows.all().values_list("version", flat=True))  # noqa: E731
    return lambda: create_soft_plan(account.external_id, 6), versions, [1, 2]


def add_price(account: Account) -> Change:
    provider = Provider.objects.create(slug=account.external_id, name="x")
    price = Price(provider=provider, pattern="m", valid_from=AT.date())
    rates = [PriceRate(unit="input_tokens", nano_per_million=1)]
    stored = lambda: list(Price.objects.filter(provider=provider).values_list("revision", "rates__unit"))  # noqa: E731
    return lambda: price_edits.add_revision(price=price, rates=rates), stored, [(1, "input_tokens")]


CHANGES = (
    *(subscribe, upgrade, cancel, cancel_immediately, resume, change_schedule, mark_past_due, reinstate, mark_paid),
    *(release, invite, revoke_invitation, accept, join, create_key, revoke_key, mark_alerts_read),
    *(create_accounts, create_account, supersede_plan, add_price),
)
SINGLE_STATEMENTS = (revoke_key, mark_alerts_read)  # without a COMMIT of their own


@pytest.fixture
def new_account(db: None) -> Callable[[object], Account]:
    create_soft_plan("day", 5, monthly_usd=31)
    create_soft_plan("two", 5, monthly_usd=62)
    return lambda name: accounts.ensure_account(f"account-{name}", at=AT)


@pytest.mark.parametrize("change", CHANGES)
def test_a_deadlock_at_any_statement_repeats_the_change(
    change: Callable[[Account], Change], new_account: Callable[[object], Account]
) -> None:
    for number in range(1, MAX_STATEMENTS):
        work, result, expected = change(new_account(number))
        assert result() != expected
        fault = faults.Deadlock(number)
        with connection.execute_wrapper(fault):
            work()
        assert result() == expected
        if not fault.happened:  # the change has fewer statements
            break
    assert not fault.happened
    assert number > 1


@pytest.mark.parametrize("change", [change for change in CHANGES if change not in SINGLE_STATEMENTS])
def test_a_deadlock_at_the_commit_repeats_the_change(
    change: Callable[[Account], Change], new_account: Callable[[object], Account], monkeypatch: pytest.MonkeyPatch
) -> None:
    work, result, expected = change(new_account("c"))
    with faults.deadlock_at_commit(monkeypatch) as failed:
        work()

    assert (failed, result()) == (["commit"], expected)


def test_within_another_transaction_only_that_one_is_repeated(new_account: Callable[[object], Account]) -> None:
    account, attempts = new_account("nested"), []

    @retry.atomic
    def outer() -> None:
        attempts.append("outer")
        subscriptions.subscribe(account, plan="day", cycle="monthly", actor="", at=AT)
        if len(attempts) == 1:
            raise faults.deadlock()

    outer()
    assert (attempts, SubscriptionEvent.objects.count()) == (["outer", "outer"], 1)
    with pytest.raises(OperationalError), transaction.atomic(), connection.execute_wrapper(faults.Deadlock(2)):
        subscriptions.cancel(account, actor="", at=LATER)
    assert events(account) == []
    assert Subscription.objects.get().auto_renew is True


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_a_form_of_the_admin_is_saved_again_and_says_so_once(
    admin_client: Client, new_account: Callable[[object], Account], now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = subscribed(new_account("form"))
    form = {"unpriced_policy": "", "timezone": "UTC", "anchor_day": "20", "active": "on"} | {
        f"{inline}-{count}_FORMS": "0"
        for inline in ("memberships", "limit_overrides")
        for count in ("TOTAL", "INITIAL")
    }
    with faults.deadlock_at_commit(monkeypatch) as failed:
        response = admin_client.post(f"/admin/billing/account/{account.pk}/change/", form)

    assert (response.status_code, failed) == (302, ["commit"])
    page = admin_client.get(response["Location"]).content.decode()
    assert page.count("Usage periods follow the new anchor and time zone from 2026-12-20 on.") == 1
    assert page.count("ends on 2026-12-20. Fee for the difference: $19.63.") == 1
    event = SubscriptionEvent.objects.latest("id")
    assert (event.kind, event.actor, event.recorded_at) == ("rescheduled", "admin", now)


# A transaction in one of these is repeated by what calls it, or is a part of another one.
REPEATED_ELSEWHERE = {
    "billing/plans/subscriptions.py:locked_account": "a context manager; its users are retry.atomic",
    "billing/corrections/redetection.py:_assign_providers": "part of _detect_range",
    "billing/ledger/ledger.py:_copy": "part of the transaction that records",
    "billing/ledger/rollups.py:apply": "a savepoint of the transaction that corrects",
    "billing/recording/bulk_import.py:record_batch": "a dry run",
    "billing/recording/metering.py:_store": "part of _attempt",
    "billing/verification/rollup_check.py:database_snapshot": "reads only",
    "billing/alerts/alerts.py:_store_new": "part of _check_account",
    "monitoring/request_rows.py:store": "the recorder stores the same batch again",
    "monitoring/request_rows.py:store_drops": "the recorder counts the same drops again",
}


def functions_with_a_transaction(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """The functions that open a transaction without retry.atomic, and whether their module retries them by name."""
    repeated = {
        name.id
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("retry.on_deadlock", "on_deadlock")
        for name in ast.walk(call)
        if isinstance(name, ast.Name)
    }
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            text = ast.unparse(function)
            if "transaction.atomic" in text or "pipelined_transaction(" in text:
                yield function.name, function.name in repeated


def test_every_transaction_is_repeated_after_a_deadlock() -> None:
    open_transactions = {
        f"{path.relative_to(ROOT)}:{name}"
        for app in ("billing", "providers", "monitoring")
        for path in (ROOT / app).rglob("*.py")
        if "migrations" not in path.parts
        for name, repeated in functions_with_a_transaction(ast.parse(path.read_text()))
        if not repeated
    }
    assert open_transactions == set(REPEATED_ELSEWHERE)
