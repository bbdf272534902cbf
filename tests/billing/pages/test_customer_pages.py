"""Alerts, statements and the plan as a customer sees them, and how many queries each page takes."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from billing.models import Account, Statement, UsageAlert, UsageLog
from billing.plans import subscriptions
from billing.statements import statements
from tests.billing import alerted, members
from tests.billing.subscribers import at, on, soft_plan
from tests.billing.usage import record

pytestmark = pytest.mark.django_db


@pytest.fixture
def member(account: Account) -> Client:
    return members.client(account)


@pytest.fixture
def statement(account: Account) -> Statement:
    on(account, billed_from="2026-09-01")
    soft_plan("team", 1, monthly_usd=49)
    subscriptions.subscribe(account, plan="team", cycle="monthly", actor="secret-operator", at=at("2026-09-10"))
    record(account, at("2026-09-20"), {"provider": "exa", "cost_usd": "2.003333333"})
    statements.close_due(at("2026-10-06"))
    return Statement.objects.get()


def test_unread_alerts_stand_first_and_are_marked_one_by_one(member: Client, account: Account, now: datetime) -> None:
    old, new = alerted.alert(account, 50), alerted.alert(account, 80)
    UsageAlert.objects.filter(pk=old.pk).update(read_at=now)
    page = member.get("/usage/alerts/")
    assert [[one.alert.pk for one in page.context[name]] for name in ("unread", "read")] == [[new.pk], [old.pk]]
    assert "Monthly cost: $20.00 of $25.00 used (80.00 %) in the period from 2026-11-01." in page.content.decode()

    assert member.post(f"/usage/alerts/{new.pk}/read/")["Location"] == "/usage/alerts/"
    assert member.get("/usage/alerts/").context["unread"] == []
    assert UsageAlert.objects.get(pk=new.pk).read_at == now


def test_all_are_marked_but_those_that_came_since(member: Client, account: Account, now: datetime) -> None:
    shown = [alerted.alert(account, 50), alerted.alert(account, 80)]
    later = alerted.alert(account, 95)
    others = alerted.alert(members.account("theirs"), 50)
    assert member.post("/usage/alerts/read/", {"newest": shown[1].pk}).status_code == 302
    assert set(UsageAlert.objects.filter(read_at=None)) == {later, others}
    assert member.post("/usage/alerts/read/", {"newest": "junk"}).status_code == 404


def test_older_alerts_are_a_page_away(member: Client, account: Account) -> None:
    for cap in range(60):
        alerted.alert(account, cap=10**9 + cap, read_at=alerted.NOW)
    first = member.get("/usage/alerts/")
    second = member.get("/usage/alerts/", {"before": first.context["older"]})
    assert [len(page.context["read"]) for page in (first, second)] == [50, 10]
    assert second.context["older"] is None


def test_marking_needs_a_post_and_its_token(account: Account) -> None:
    alert = alerted.alert(account)
    client = Client(enforce_csrf_checks=True)
    client.force_login(members.user(account))
    assert client.get(f"/usage/alerts/{alert.pk}/read/").status_code == 405
    assert client.post(f"/usage/alerts/{alert.pk}/read/").status_code == 403
    assert client.post("/usage/alerts/read/", {"newest": alert.pk}).status_code == 403
    assert UsageAlert.objects.get().read_at is None


def test_a_statement_on_the_list_its_page_paper_and_csv(member: Client, statement: Statement) -> None:
    Statement.objects.update(state="paid", paid_at=at("2026-10-07"), paid_by="secret-operator", payment_note="secret")
    listed = member.get("/usage/statements/").content.decode()
    page = member.get(f"/usage/statements/{statement.pk}/").content.decode()
    paper = member.get(f"/usage/statements/{statement.pk}/print/").content.decode()
    csv = b"".join(member.get(f"/usage/statements/{statement.pk}/csv/").streaming_content).decode()  # type: ignore[attr-defined]

    due = f"${statement.total_cents / 100:.2f}"
    assert "2026-09-01 to 2026-09-30" in listed
    for text in (listed, page, paper):
        assert due in text
        assert "secret" not in text
    assert "Paid on 2026-10-07." in page
    assert f"acct_42,2026-09,total,,2026-09,,,{statement.total_nano / 10**9:.9f}".rstrip("0") in csv


def test_the_plan_its_limits_and_its_history(member: Client, statement: Statement) -> None:
    page = member.get("/usage/plan/").content.decode()
    assert '<p class="figure">Team</p>' in page
    assert "$1, soft" in page
    assert "unlimited" in page
    assert "Subscribed" in page
    assert "secret-operator" not in page


def test_the_history_as_csv(member: Client, statement: Statement) -> None:
    answer = member.get("/usage/plan/csv/")
    assert answer["Content-Disposition"] == 'attachment; filename="subscription.csv"'
    header, *lines = b"".join(answer.streaming_content).decode().splitlines()  # type: ignore[attr-defined]  # a stream
    assert header == "took_effect,step,plan,cycle,next_plan,fee_usd,fee_of,calls_by_then,cost_by_then_usd"
    fee = "Team, monthly, 2026-09-10 to 2026-09-30, 21 of 30 days of $49.00: 34.3"
    assert lines == [
        '2026-10-01T00:00:00+00:00,renewed,team,monthly,,49,"Team, monthly, 2026-10-01 to 2026-10-31: 49",1,2.003333333',
        f'2026-09-10T00:00:00+00:00,subscribed,team,monthly,,34.3,"{fee}",0,0',
    ]


def test_empty_pages_say_what_comes(member: Client) -> None:
    assert "when a limit of your" in member.get("/usage/alerts/").content.decode()
    assert "a few days after the end of each usage period" in member.get("/usage/statements/").content.decode()
    assert "You have subscribed to no plan" in member.get("/usage/plan/").content.decode()


SHELL = 3  # session, user, accounts
QUERIES = {
    "/usage/logs/": SHELL + 4,  # what was used, the periods, the labels' version, the logs
    "/usage/logs/{log}/": SHELL + 3,  # log, adjustments, books
    "/usage/alerts/": SHELL + 2,
    "/usage/statements/": SHELL + 1,
    "/usage/statements/{statement}/": SHELL + 1,
    "/usage/plan/": SHELL + 4,  # subscription, its plan, where it stands, history
}


@pytest.mark.parametrize("rows", [1, 40])
@pytest.mark.parametrize(("path", "queries"), QUERIES.items())
def test_each_page_takes_as_many_queries_for_many_rows_as_for_one(
    member: Client, account: Account, statement: Statement, now: datetime,
    django_assert_num_queries: DjangoAssertNumQueries, rows: int, path: str, queries: int,
) -> None:  # fmt: skip
    record(account, now - timedelta(hours=1), *({"event_id": f"q{n}", "model": f"m{n}"} for n in range(rows)))
    for number in range(rows):
        alerted.alert(account, cap=10**9 + number)
    address = path.format(log=UsageLog.objects.order_by("-timestamp")[0].pk, statement=statement.pk)
    member.get(address)
    with django_assert_num_queries(queries):
        assert member.get(address).status_code == 200
