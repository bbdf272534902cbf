"""Subscriptions and statements in the admin: looked at by viewers, moved by confirmed steps of operators only."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.contrib.auth.models import User
from django.test import Client

from billing.models import Account, Statement, Subscription, SubscriptionEvent
from billing.plans import subscriptions
from billing.statements import statements
from tests.billing.subscribers import at, on, soft_plan
from tests.billing.usage import record

pytestmark = pytest.mark.django_db
SUBSCRIPTIONS, STATEMENTS = "/admin/billing/subscription/", "/admin/billing/statement/"


@pytest.fixture
def subscribed(account: Account) -> Account:
    subscriptions.subscribe(account, plan="pro", cycle="monthly", actor="test", at=at("2026-11-01"))
    return account


@pytest.fixture
def statement(account: Account) -> Statement:
    on(account, billed_from="2026-10-01")
    soft_plan("team", 1)
    subscriptions.subscribe(account, plan="team", cycle="monthly", actor="=evil()", at=at("2026-10-01"))
    record(account, at("2026-10-05"), {"cost_usd": "1.333333333"})
    statements.close_due(at("2026-11-04T01:00"))
    return Statement.objects.get()


def events() -> list[tuple[str, str]]:
    return list(SubscriptionEvent.objects.order_by("id").values_list("kind", "actor"))


def text(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def test_an_account_is_subscribed(operator: Client, account: Account) -> None:
    form = {"account": "acct_42", "plan": "basic", "cycle": "monthly"}
    assert "days that are left" in text(operator, f"{SUBSCRIPTIONS}begin/")
    answer = operator.post(f"{SUBSCRIPTIONS}begin/", form, follow=True)

    assert [str(one) for one in answer.context["messages"]] == ["acct_42 is subscribed; $8.70 for this cycle."]
    assert events() == [("subscribed", "operator")]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"account": "nobody"}, "account"), ({"plan": "never"}, "plan"), ({"cycle": "weekly"}, "cycle")],
)
def test_what_cannot_be_is_refused_with_the_field(
    operator: Client, account: Account, wrong: dict[str, str], field: str
) -> None:
    form = {"account": "acct_42", "plan": "basic", "cycle": "monthly", **wrong}
    answer = operator.post(f"{SUBSCRIPTIONS}begin/", form)

    assert list(answer.context["form"].errors) == [field]
    assert not Subscription.objects.exists()


def test_the_list_and_the_page_tell_the_plan_and_its_history(viewer: Client, subscribed: Account) -> None:
    page = text(viewer, SUBSCRIPTIONS)
    assert "Pro (version 1)" in page
    assert "2026-11-01 to 2026-11-30" in page
    page = text(viewer, f"{SUBSCRIPTIONS}{subscribed.pk}/change/")
    assert "Pro, monthly, 2026-11-01 to 2026-11-30" in page
    assert "Change plan" not in page


STEPS = {
    "change-plan": ({"plan": "enterprise", "cycle": "monthly"}, "upgraded"),
    "cancel": ({"reason": "moves away"}, "cancel_planned"),
    "end-now": ({"reason": "asked for it"}, "cancelled"),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_taken_when_it_is_confirmed(operator: Client, subscribed: Account, name: str) -> None:
    form, kind = STEPS[name]
    assert f"step/{name}/" in text(operator, f"{SUBSCRIPTIONS}{subscribed.pk}/change/")
    text(operator, f"{SUBSCRIPTIONS}{subscribed.pk}/step/{name}/")
    assert events() == [("subscribed", "test")]
    operator.post(f"{SUBSCRIPTIONS}{subscribed.pk}/step/{name}/", form)

    assert events() == [("subscribed", "test"), (kind, "operator")]
    assert SubscriptionEvent.objects.latest("id").reason == form.get("reason", "")


def test_a_planned_change_is_taken_back(operator: Client, subscribed: Account) -> None:
    operator.post(f"{SUBSCRIPTIONS}{subscribed.pk}/step/change-plan/", {"plan": "basic", "cycle": "monthly"})
    assert "changes to Basic, monthly" in text(operator, f"{SUBSCRIPTIONS}{subscribed.pk}/change/")
    operator.post(f"{SUBSCRIPTIONS}{subscribed.pk}/step/resume/", {})

    assert [kind for kind, _ in events()] == ["subscribed", "planned", "resumed"]


def test_a_refusal_stands_on_the_page(operator: Client, subscribed: Account) -> None:
    operator.post(f"{SUBSCRIPTIONS}{subscribed.pk}/step/end-now/", {"reason": ""})
    answer = operator.post(f"{SUBSCRIPTIONS}{subscribed.pk}/step/cancel/", {"reason": ""})

    assert "There is no subscription." in answer.content.decode()
    assert len(events()) == 2


@pytest.mark.parametrize("path", ["begin/", "{pk}/step/cancel/", "{pk}/step/end-now/", "{pk}/step/change-plan/"])
def test_a_viewer_moves_nothing(viewer: Client, subscribed: Account, path: str) -> None:
    address = SUBSCRIPTIONS + path.format(pk=subscribed.pk)
    assert viewer.get(address).status_code == 403
    assert viewer.post(address, {"plan": "basic", "cycle": "monthly", "account": "acct_42"}).status_code == 403
    assert events() == [("subscribed", "test")]


@pytest.mark.parametrize("path", ["999/step/cancel/", "{pk}/step/explode/"])
def test_an_unknown_subscription_or_step_is_404(operator: Client, subscribed: Account, path: str) -> None:
    assert operator.get(SUBSCRIPTIONS + path.format(pk=subscribed.pk)).status_code == 404


@pytest.mark.parametrize("path", ["add/", "{pk}/delete/"])
def test_nothing_is_added_or_deleted_behind_the_steps(admin_client: Client, subscribed: Account, path: str) -> None:
    assert admin_client.post(SUBSCRIPTIONS + path.format(pk=subscribed.pk), {"post": "yes"}).status_code == 403
    assert Subscription.objects.count() == 1


# Statements


def test_a_statement_is_shown_exactly_and_in_cents(viewer: Client, statement: Statement) -> None:
    assert "2026-10" in text(viewer, STATEMENTS)
    for path in (f"{statement.pk}/change/", f"{statement.pk}/print/"):
        page = text(viewer, STATEMENTS + path)
        for figure in ("10.333333333", "$10.33", "0.333333333", "$0.33", "Team, monthly, 2026-10-01 to 2026-10-31"):
            assert figure in page
    assert "Mark as paid" not in text(viewer, f"{STATEMENTS}{statement.pk}/change/")


def test_a_statement_as_csv(viewer: Client, statement: Statement) -> None:
    answer = viewer.get(f"{STATEMENTS}{statement.pk}/csv/")

    assert answer.getvalue().decode().splitlines() == [
        "account,period,part,for,about,calls,tokens,exact_usd,usd",
        'acct_42,2026-10,fee,"Team, monthly, 2026-10-01 to 2026-10-31",2026-10,,,10,10',
        'acct_42,2026-10,overage,"Usage of $1.33, of which the plan includes $1.00",2026-10,,,0.333333333,0.33',
        "acct_42,2026-10,total,,2026-10,,,10.333333333,10.33",
        "acct_42,2026-10,usage,OpenAI,2026-10,1,0,1.333333333,1.33",
    ]


def test_a_payment_is_noted_once(operator: Client, statement: Statement, now: datetime) -> None:
    assert "$10.33 of acct_42 for 2026-10" in text(operator, f"{STATEMENTS}{statement.pk}/pay/")
    for note in ("transfer 7", "again"):
        operator.post(f"{STATEMENTS}{statement.pk}/pay/", {"note": note})

    statement.refresh_from_db()
    assert (statement.state, statement.paid_by, statement.payment_note, statement.paid_at) == (
        "paid",
        "operator",
        "transfer 7",
        now,
    )
    assert "transfer 7" in text(operator, f"{STATEMENTS}{statement.pk}/change/")


def test_a_viewer_notes_no_payment(viewer: Client, statement: Statement) -> None:
    assert viewer.get(f"{STATEMENTS}{statement.pk}/pay/").status_code == 403
    assert viewer.post(f"{STATEMENTS}{statement.pk}/pay/", {"note": ""}).status_code == 403
    statement.refresh_from_db()
    assert statement.state == "open"


def test_who_may_see_no_statements_sees_none(account: Account, statement: Statement) -> None:
    client = Client()
    client.force_login(User.objects.create_user("nobody", is_staff=True))
    for path in ("change", "print", "csv", "pay"):
        assert client.get(f"{STATEMENTS}{statement.pk}/{path}/").status_code == 403


def test_a_statement_is_not_edited_or_deleted(admin_client: Client, statement: Statement) -> None:
    assert admin_client.post(f"{STATEMENTS}{statement.pk}/change/", {"total_cents": "1"}).status_code == 403
    assert admin_client.post(f"{STATEMENTS}{statement.pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.get(f"{STATEMENTS}?account={statement.account_id}").status_code == 200
