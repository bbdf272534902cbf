"""Subscriptions and statements in the admin: viewers read them, and only operators change them, after a confirmation."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.contrib.auth.models import User
from django.test import Client

from billing.models import Account, Statement, Subscription, SubscriptionEvent
from billing.plans import subscriptions
from billing.statements import statements
from tests.billing.subscribers import create_soft_plan, set_billing_anchor
from tests.billing.usage import record
from tests.frozen_clock import utc

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at("2026-11-22T12:00")]
SUBSCRIPTIONS, STATEMENTS = "/admin/billing/subscription/", "/admin/billing/statement/"


@pytest.fixture
def subscriber(account: Account) -> Account:
    subscriptions.subscribe(account, plan="pro", cycle="monthly", actor="test", at=utc("2026-11-01"))
    return account


@pytest.fixture
def statement(account: Account) -> Statement:
    set_billing_anchor(account, billed_from="2026-10-01")
    create_soft_plan("team", 1)
    subscriptions.subscribe(account, plan="team", cycle="monthly", actor="=evil()", at=utc("2026-10-01"))
    record(account, utc("2026-10-05"), {"cost_usd": "1.333333333"})
    statements.close_due(utc("2026-11-04T01:00"))
    return Statement.objects.get()


def events() -> list[tuple[str, str]]:
    return list(SubscriptionEvent.objects.order_by("id").values_list("kind", "actor"))


def page_text(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


def test_an_account_is_subscribed(operator: Client, account: Account) -> None:
    form = {"account": "acct_42", "plan": "basic", "cycle": "monthly"}
    assert "covers the days left" in page_text(operator, f"{SUBSCRIPTIONS}begin/")
    response = operator.post(f"{SUBSCRIPTIONS}begin/", form, follow=True)

    assert [str(message) for message in response.context["messages"]] == [
        "acct_42 is subscribed. Fee for this cycle: $8.70."
    ]
    assert events() == [("subscribed", "operator")]


@pytest.mark.parametrize(
    ("invalid", "field"),
    [({"account": "nobody"}, "account"), ({"plan": "never"}, "plan"), ({"cycle": "weekly"}, "cycle")],
)
def test_an_invalid_value_is_refused_with_an_error_on_its_field(
    operator: Client, account: Account, invalid: dict[str, str], field: str
) -> None:
    form = {"account": "acct_42", "plan": "basic", "cycle": "monthly", **invalid}
    response = operator.post(f"{SUBSCRIPTIONS}begin/", form)

    assert list(response.context["form"].errors) == [field]
    assert not Subscription.objects.exists()


def test_the_list_and_the_page_show_the_plan_and_its_history(viewer: Client, subscriber: Account) -> None:
    page = page_text(viewer, SUBSCRIPTIONS)
    assert "Pro (version 1)" in page
    assert "2026-11-01 to 2026-11-30" in page
    page = page_text(viewer, f"{SUBSCRIPTIONS}{subscriber.pk}/change/")
    assert "Pro, monthly, 2026-11-01 to 2026-11-30" in page
    assert "Change plan" not in page


SUBSCRIPTION_STEPS = {
    "change-plan": ({"plan": "enterprise", "cycle": "monthly"}, "upgraded"),
    "cancel": ({"reason": "moves away"}, "cancel_planned"),
    "end-now": ({"reason": "asked for it"}, "cancelled"),
}


@pytest.mark.parametrize("name", SUBSCRIPTION_STEPS)
def test_a_step_takes_effect_only_when_confirmed(operator: Client, subscriber: Account, name: str) -> None:
    form, kind = SUBSCRIPTION_STEPS[name]
    assert f"step/{name}/" in page_text(operator, f"{SUBSCRIPTIONS}{subscriber.pk}/change/")
    page_text(operator, f"{SUBSCRIPTIONS}{subscriber.pk}/step/{name}/")
    assert events() == [("subscribed", "test")]
    operator.post(f"{SUBSCRIPTIONS}{subscriber.pk}/step/{name}/", form)

    assert events() == [("subscribed", "test"), (kind, "operator")]
    assert SubscriptionEvent.objects.latest("id").reason == form.get("reason", "")


def test_a_planned_change_is_undone_by_resuming(operator: Client, subscriber: Account) -> None:
    operator.post(f"{SUBSCRIPTIONS}{subscriber.pk}/step/change-plan/", {"plan": "basic", "cycle": "monthly"})
    assert "changes to Basic, monthly" in page_text(operator, f"{SUBSCRIPTIONS}{subscriber.pk}/change/")
    operator.post(f"{SUBSCRIPTIONS}{subscriber.pk}/step/resume/", {})

    assert [kind for kind, _ in events()] == ["subscribed", "planned", "resumed"]


def test_a_refused_step_shows_the_reason(operator: Client, subscriber: Account) -> None:
    operator.post(f"{SUBSCRIPTIONS}{subscriber.pk}/step/end-now/", {"reason": ""})
    response = operator.post(f"{SUBSCRIPTIONS}{subscriber.pk}/step/cancel/", {"reason": ""})

    assert "This account has no subscription." in response.content.decode()
    assert len(events()) == 2


@pytest.mark.parametrize("path", ["begin/", "{pk}/step/cancel/", "{pk}/step/end-now/", "{pk}/step/change-plan/"])
def test_a_viewer_cannot_change_a_subscription(viewer: Client, subscriber: Account, path: str) -> None:
    address = SUBSCRIPTIONS + path.format(pk=subscriber.pk)
    assert viewer.get(address).status_code == 403
    assert viewer.post(address, {"plan": "basic", "cycle": "monthly", "account": "acct_42"}).status_code == 403
    assert events() == [("subscribed", "test")]


@pytest.mark.parametrize("path", ["999/step/cancel/", "{pk}/step/explode/"])
def test_an_unknown_subscription_or_step_is_404(operator: Client, subscriber: Account, path: str) -> None:
    assert operator.get(SUBSCRIPTIONS + path.format(pk=subscriber.pk)).status_code == 404


@pytest.mark.parametrize("path", ["add/", "{pk}/delete/"])
def test_a_subscription_cannot_be_added_or_deleted_directly(
    admin_client: Client, subscriber: Account, path: str
) -> None:
    assert admin_client.post(SUBSCRIPTIONS + path.format(pk=subscriber.pk), {"post": "yes"}).status_code == 403
    assert Subscription.objects.count() == 1


# Statements


def test_a_statement_shows_exact_amounts_and_cents(viewer: Client, statement: Statement) -> None:
    assert "2026-10" in page_text(viewer, STATEMENTS)
    for path in (f"{statement.pk}/change/", f"{statement.pk}/print/"):
        page = page_text(viewer, STATEMENTS + path)
        for figure in ("10.333333333", "$10.33", "0.333333333", "$0.33", "Team, monthly, 2026-10-01 to 2026-10-31"):
            assert figure in page
    assert "Mark as paid" not in page_text(viewer, f"{STATEMENTS}{statement.pk}/change/")


def test_a_statement_is_exported_as_csv(viewer: Client, statement: Statement) -> None:
    response = viewer.get(f"{STATEMENTS}{statement.pk}/csv/")

    assert response.getvalue().decode().splitlines() == [
        "account,period,part,for,about,calls,tokens,exact_usd,usd",
        'acct_42,2026-10,fee,"Team, monthly, 2026-10-01 to 2026-10-31",2026-10,,,10,10',
        'acct_42,2026-10,overage,"Usage of $1.33, of which the plan includes $1.00",2026-10,,,0.333333333,0.33',
        "acct_42,2026-10,total,,2026-10,,,10.333333333,10.33",
        "acct_42,2026-10,usage,OpenAI,2026-10,1,0,1.333333333,1.33",
    ]


def test_a_payment_is_recorded_once(operator: Client, statement: Statement, now: datetime) -> None:
    assert "acct_42 has paid $10.33 for 2026-10" in page_text(operator, f"{STATEMENTS}{statement.pk}/pay/")
    for note in ("transfer 7", "again"):
        operator.post(f"{STATEMENTS}{statement.pk}/pay/", {"note": note})

    statement.refresh_from_db()
    assert (statement.state, statement.paid_by, statement.payment_note, statement.paid_at) == (
        "paid",
        "operator",
        "transfer 7",
        now,
    )
    assert "transfer 7" in page_text(operator, f"{STATEMENTS}{statement.pk}/change/")


def test_a_viewer_cannot_record_a_payment(viewer: Client, statement: Statement) -> None:
    assert viewer.get(f"{STATEMENTS}{statement.pk}/pay/").status_code == 403
    assert viewer.post(f"{STATEMENTS}{statement.pk}/pay/", {"note": ""}).status_code == 403
    statement.refresh_from_db()
    assert statement.state == "open"


def test_staff_without_the_permission_cannot_see_statements(account: Account, statement: Statement) -> None:
    client = Client()
    client.force_login(User.objects.create_user("nobody", is_staff=True))
    for path in ("change", "print", "csv", "pay"):
        assert client.get(f"{STATEMENTS}{statement.pk}/{path}/").status_code == 403


def test_a_statement_cannot_be_edited_or_deleted(admin_client: Client, statement: Statement) -> None:
    assert admin_client.post(f"{STATEMENTS}{statement.pk}/change/", {"total_cents": "1"}).status_code == 403
    assert admin_client.post(f"{STATEMENTS}{statement.pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.get(f"{STATEMENTS}?account={statement.account_id}").status_code == 200
