"""The admin's pages of subscriptions and statements with real content: records, confirmations, and the print view."""

from __future__ import annotations

from datetime import datetime

import pytest

from billing.accounts import accounts
from billing.models import Statement
from billing.plans import subscriptions
from billing.statements import statements
from tests.billing.subscribers import create_soft_plan, set_billing_anchor
from tests.billing.usage import record
from tests.browser.conftest import Visitor
from tests.browser.test_accessibility import page_problems
from tests.frozen_clock import utc

pytestmark = pytest.mark.browser


@pytest.fixture
def paths(operator: Visitor, now: datetime) -> list[str]:
    """Pages of a subscription that ends soon, and of a statement with every kind of line."""
    account = accounts.build(external_id="acme-studios", at=now, name="Acme Studios")
    account.save(force_insert=True)
    set_billing_anchor(account, billed_from="2026-09-01")
    create_soft_plan("team", 1, monthly_usd=49)
    subscriptions.subscribe(account, plan="basic", cycle="monthly", actor="operator", at=utc("2026-09-10"))
    subscriptions.subscribe(account, plan="team", cycle="monthly", actor="operator", at=utc("2026-09-16"))
    events = [{"event_id": name, "provider": name, "cost_usd": "2.003333333"} for name in ("openai", "exa", "tavily")]
    record(account, utc("2026-09-20"), *events)
    statements.close_due(utc("2026-11-05"))
    subscriptions.cancel(account, actor="operator", at=utc("2026-11-06"), reason="Moves to another product.")
    statement = Statement.objects.order_by("period")[0]
    return [
        "/admin/billing/subscription/",
        "/admin/billing/subscription/begin/",
        f"/admin/billing/subscription/{account.pk}/change/",
        f"/admin/billing/subscription/{account.pk}/step/change-plan/",
        f"/admin/billing/subscription/{account.pk}/step/end-now/",
        "/admin/billing/statement/",
        f"/admin/billing/statement/{statement.pk}/change/",
        f"/admin/billing/statement/{statement.pk}/pay/",
        f"/admin/billing/statement/{statement.pk}/print/",
    ]


def test_the_pages_of_subscriptions_and_statements_have_no_problems(operator: Visitor, paths: list[str]) -> None:
    for path in paths:
        assert operator.open(path) == 200
        assert page_problems(operator.page) == []
    assert operator.console_errors == []
