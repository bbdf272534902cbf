"""A customer's alerts, statements and plan pages, and the number of queries that each page takes."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from billing.models import Account, Statement, UsageAlert, UsageLog
from billing.plans import subscriptions
from billing.statements import statements
from tests.billing import alert_rows, members
from tests.billing.subscribers import create_soft_plan, set_billing_anchor
from tests.billing.usage import record
from tests.frozen_clock import utc

pytestmark = pytest.mark.django_db


@pytest.fixture
def member(account: Account) -> Client:
    return members.logged_in_client(account)


@pytest.fixture
def statement(account: Account) -> Statement:
    set_billing_anchor(account, billed_from="2026-09-01")
    create_soft_plan("team", 1, monthly_usd=49)
    subscriptions.subscribe(account, plan="team", cycle="monthly", actor="secret-operator", at=utc("2026-09-10"))
    record(account, utc("2026-09-20"), {"provider": "exa", "cost_usd": "2.003333333"})
    statements.close_due(utc("2026-10-06"))
    return Statement.objects.get()


def test_unread_alerts_come_first_and_are_marked_individually(member: Client, account: Account, now: datetime) -> None:
    old, new = alert_rows.create_alert(account, 50), alert_rows.create_alert(account, 80)
    UsageAlert.objects.filter(pk=old.pk).update(read_at=now)
    page = member.get("/usage/alerts/")
    assert [[row.alert.pk for row in page.context[name]] for name in ("unread", "read")] == [[new.pk], [old.pk]]
    assert (
        "Monthly cost: 80 % of the limit reached. $20.00 of $25.00 used (80.00 %) in the usage period starting 2026-11-01."
        in page.content.decode()
    )

    assert member.post(f"/usage/alerts/{new.pk}/read/")["Location"] == "/usage/alerts/"
    assert member.get("/usage/alerts/").context["unread"] == []
    assert UsageAlert.objects.get(pk=new.pk).read_at == now


def test_marking_all_as_read_skips_alerts_raised_since_the_page_was_loaded(
    member: Client, account: Account, now: datetime
) -> None:
    alerts = [alert_rows.create_alert(account, 50), alert_rows.create_alert(account, 80)]
    later = alert_rows.create_alert(account, 95)
    other_account_alert = alert_rows.create_alert(members.create_account("theirs"), 50)
    assert member.post("/usage/alerts/read/", {"newest": alerts[1].pk}).status_code == 302
    assert set(UsageAlert.objects.filter(read_at=None)) == {later, other_account_alert}
    assert member.post("/usage/alerts/read/", {"newest": "junk"}).status_code == 404


def test_older_alerts_are_on_the_next_page(member: Client, account: Account) -> None:
    for cap in range(60):
        alert_rows.create_alert(account, cap=10**9 + cap, read_at=alert_rows.NOON)
    first = member.get("/usage/alerts/")
    second = member.get("/usage/alerts/", {"before": first.context["older"]})
    assert [len(page.context["read"]) for page in (first, second)] == [50, 10]
    assert second.context["older"] is None


def test_marking_needs_a_post_and_a_csrf_token(account: Account) -> None:
    alert = alert_rows.create_alert(account)
    client = Client(enforce_csrf_checks=True)
    client.force_login(members.create_user(account))
    assert client.get(f"/usage/alerts/{alert.pk}/read/").status_code == 405
    assert client.post(f"/usage/alerts/{alert.pk}/read/").status_code == 403
    assert client.post("/usage/alerts/read/", {"newest": alert.pk}).status_code == 403
    assert UsageAlert.objects.get().read_at is None


def test_a_statement_on_the_list_its_page_its_print_view_and_in_csv(member: Client, statement: Statement) -> None:
    Statement.objects.update(state="paid", paid_at=utc("2026-10-07"), paid_by="secret-operator", payment_note="secret")
    list_page = member.get("/usage/statements/").content.decode()
    page = member.get(f"/usage/statements/{statement.pk}/").content.decode()
    print_view = member.get(f"/usage/statements/{statement.pk}/print/").content.decode()
    csv = b"".join(member.get(f"/usage/statements/{statement.pk}/csv/").streaming_content).decode()  # type: ignore[attr-defined]

    due = f"${statement.total_cents / 100:.2f}"
    assert "2026-09-01 to 2026-09-30" in list_page
    for text in (list_page, page, print_view):
        assert due in text
        assert "secret" not in text
    assert "Paid on 2026-10-07." in page
    assert f"acct_42,2026-09,total,,2026-09,,,{statement.total_nano / 10**9:.9f}".rstrip("0") in csv


def test_the_plan_page_shows_the_plan_its_limits_and_its_history(member: Client, statement: Statement) -> None:
    page = member.get("/usage/plan/").content.decode()
    assert '<p class="figure">Team</p>' in page
    assert "$1, soft" in page
    assert "unlimited" in page
    assert "Subscribed" in page
    assert "secret-operator" not in page


def test_the_subscription_history_is_exported_as_csv(member: Client, statement: Statement) -> None:
    response = member.get("/usage/plan/csv/")
    assert response["Content-Disposition"] == 'attachment; filename="subscription.csv"'
    header, *lines = b"".join(response.streaming_content).decode().splitlines()  # type: ignore[attr-defined]  # a streaming response
    assert header == "took_effect,step,plan,cycle,next_plan,fee_usd,fee_of,calls_by_then,cost_by_then_usd"
    fee = "Team, monthly, 2026-09-10 to 2026-09-30, 21 of 30 days of $49.00: 34.3"
    assert lines == [
        '2026-10-01T00:00:00+00:00,renewed,team,monthly,,49,"Team, monthly, 2026-10-01 to 2026-10-31: 49",1,2.003333333',
        f'2026-09-10T00:00:00+00:00,subscribed,team,monthly,,34.3,"{fee}",0,0',
    ]


def test_empty_pages_say_what_will_appear(member: Client) -> None:
    assert "When you approach or reach a limit of your" in member.get("/usage/alerts/").content.decode()
    assert (
        "A statement is issued a few days after each usage period ends."
        in member.get("/usage/statements/").content.decode()
    )
    assert "You are on the default plan." in member.get("/usage/plan/").content.decode()


SHELL_QUERIES = 3  # session, user, accounts
PAGE_QUERIES = {
    "/usage/logs/": SHELL_QUERIES + 4,  # version of the rules, providers in use, periods, logs
    "/usage/logs/{log}/": SHELL_QUERIES + 3,  # log, adjustments, catalog versions
    "/usage/alerts/": SHELL_QUERIES + 2,
    "/usage/statements/": SHELL_QUERIES + 1,
    "/usage/statements/{statement}/": SHELL_QUERIES + 2,
    "/usage/plan/": SHELL_QUERIES + 4,  # version of the plans, subscription, limit usage, history
}


@pytest.mark.parametrize("rows", [1, 40])
@pytest.mark.parametrize(("path", "queries"), PAGE_QUERIES.items())
def test_each_page_takes_the_same_number_of_queries_for_one_row_and_for_many(
    member: Client, account: Account, statement: Statement, now: datetime,
    django_assert_num_queries: DjangoAssertNumQueries, rows: int, path: str, queries: int,
) -> None:  # fmt: skip
    record(account, now - timedelta(hours=1), *({"event_id": f"q{n}", "model": f"m{n}"} for n in range(rows)))
    for number in range(rows):
        alert_rows.create_alert(account, cap=10**9 + number)
    address = path.format(log=UsageLog.objects.order_by("-timestamp")[0].pk, statement=statement.pk)
    member.get(address)
    with django_assert_num_queries(queries):
        assert member.get(address).status_code == 200
