"""The segments of a statement in the API, on its pages and in print; a statement with a single one looks as before."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from billing.models import Account, Statement
from billing.plans import subscriptions
from billing.statements import statements
from tests.billing.members import logged_in_client
from tests.billing.subscribers import create_soft_plan, set_billing_anchor
from tests.billing.usage import record
from tests.conftest import Api
from tests.frozen_clock import utc

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at("2026-11-22T12:00")]
HEADING = "Included usage</h2>"


def close_october(account: Account, *changes: tuple[str, str]) -> Statement:
    """A closed October with $12 used on the 10th and $60 on the 20th, and these plans from these times on."""
    set_billing_anchor(account, billed_from="2026-10-01")
    create_soft_plan("small", 5)
    create_soft_plan("wide", 50, monthly_usd=20)
    for plan, when in changes:
        subscriptions.subscribe(account, plan=plan, cycle="monthly", actor="", at=utc(when))
    record(account, utc("2026-10-10"), {"event_id": "first", "cost_usd": "12"})
    record(account, utc("2026-10-20"), {"event_id": "second", "cost_usd": "60.000000001"})
    statements.close_due(utc("2026-11-04T01:00"))
    return Statement.objects.get()


CHANGES = (("small", "2026-10-01"), ("wide", "2026-10-15T10:30:45"))


def pages(statement: Statement, operator: Client, member: Client) -> list[str]:
    """The statement for operators, in print, for customers, and in print for them."""
    admin, own = f"/admin/billing/statement/{statement.pk}", f"/usage/statements/{statement.pk}"
    responses = [
        *(operator.get(f"{admin}/{name}/") for name in ("change", "print")),
        *(member.get(path) for path in (f"{own}/", f"{own}/print/")),
    ]
    assert [response.status_code for response in responses] == [200] * 4
    return [response.content.decode() for response in responses]


def table_rows(page: str) -> list[list[str]]:
    (table,) = re.findall(r'aria-label="Included usage">(.*?)</table>', page, re.DOTALL)
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)[1:]
    return [re.findall(r"<t[hd][^>]*>([^<]*)<", row) for row in rows]


def test_the_api_lists_the_segments(bound: Api, account: Account) -> None:
    close_october(account, *CHANGES)
    (statement,) = bound.get("accounts/acct_42/statements/").json()["results"]

    plans: list[Any] = [part.pop("plan") for part in statement["segments"]]
    assert [(plan["slug"], plan["name"], plan["version"]) for plan in plans] == [
        ("small", "Small", 1),
        ("wide", "Wide", 1),
    ]
    assert (statement["rules"], statement["included_usd"], statement["overage_usd"]) == (2, "50", "29.000000001")
    assert statement["segments"] == [
        {
            "starts_at": "2026-10-01T00:00:00Z",
            "ends_at": "2026-10-15T10:30:45Z",
            "included_usd": "5",
            "used_usd": "12",
            "overage_usd": "7",
        },
        {
            "starts_at": "2026-10-15T10:30:45Z",
            "ends_at": "2026-11-01T00:00:00Z",
            "included_usd": "50",
            "used_usd": "60.000000001",
            "overage_usd": "22.000000001",
        },
    ]


def test_the_api_shows_a_statement_of_the_first_rules_as_one_segment(bound: Api, account: Account) -> None:
    close_october(account, ("small", "2026-10-01"))
    Statement.objects.update(rules=1, segments=None)
    (statement,) = bound.get("accounts/acct_42/statements/").json()["results"]

    (part,) = statement["segments"]
    assert statement["rules"] == 1
    assert (part["plan"]["slug"], part["starts_at"], part["ends_at"]) == (
        "small",
        "2026-10-01T00:00:00Z",
        "2026-11-01T00:00:00Z",
    )
    assert (part["included_usd"], part["used_usd"], part["overage_usd"]) == ("5", "72.000000001", "67.000000001")


def test_a_default_plan_that_does_not_exist_is_null_in_the_api(bound: Api, account: Account, settings: Any) -> None:
    settings.DEFAULT_PLAN = "nothing"
    close_october(account)
    (statement,) = bound.get("accounts/acct_42/statements/").json()["results"]
    assert [(part["plan"], part["included_usd"]) for part in statement["segments"]] == [(None, None)]


def test_pages_show_the_segments(operator: Client, account: Account) -> None:
    statement = close_october(account, *CHANGES)
    for page in pages(statement, operator, logged_in_client(account)):
        assert table_rows(page) == [
            ["Small", "2026-10-01 00:00", "2026-10-15 10:30", "5", "12", "7"],
            ["Wide", "2026-10-15 10:30", "2026-11-01 00:00", "50", "60.000000001", "22.000000001"],
        ]
        assert "The plan includes" not in page
        assert (
            "Wide, 2026-10-15 10:30 to 2026-11-01 00:00 UTC: usage of $60.00, of which the plan includes $38.00" in page
        )


def test_pages_of_a_period_with_one_allowance_show_no_segments(operator: Client, account: Account) -> None:
    statement = close_october(account, ("small", "2026-10-01"))
    for page in pages(statement, operator, logged_in_client(account)):
        assert HEADING not in page
        assert "The plan includes" in page


def test_pages_of_a_period_in_which_all_usage_was_included_show_no_segments(operator: Client, account: Account) -> None:
    statement = close_october(account, ("basic", "2026-10-15"))
    assert len(statement.segments or []) == 2
    for page in pages(statement, operator, logged_in_client(account)):
        assert HEADING not in page
        assert "Included in the plan." in page


def test_a_segment_without_an_allowance_says_that_it_includes_all_usage(operator: Client, account: Account) -> None:
    statement = close_october(account, ("small", "2026-10-15"))
    for page in pages(statement, operator, logged_in_client(account)):
        assert table_rows(page)[0] == ["Free", "2026-10-01 00:00", "2026-10-15 00:00", "all usage", "12", "0"]
