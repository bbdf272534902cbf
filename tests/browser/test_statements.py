"""The pages of subscriptions and statements with real content, by axe: records, steps that are confirmed, and paper."""

from __future__ import annotations

from datetime import datetime

import pytest

from billing.accounts import accounts
from billing.models import Statement
from billing.plans import subscriptions
from billing.statements import statements
from tests.billing.subscribers import at, on, soft_plan
from tests.billing.usage import record
from tests.browser.conftest import Visitor
from tests.browser.test_accessibility import faults

pytestmark = pytest.mark.browser


@pytest.fixture
def paths(operator: Visitor, now: datetime) -> list[str]:
    """Of a subscription with a planned end, and of a statement with every sort of line."""
    account = accounts.new(external_id="acme-studios", at=now, name="Acme Studios")
    account.save(force_insert=True)
    on(account, billed_from="2026-09-01")
    soft_plan("team", 1, monthly_usd=49)
    subscriptions.subscribe(account, plan="basic", cycle="monthly", actor="operator", at=at("2026-09-10"))
    subscriptions.subscribe(account, plan="team", cycle="monthly", actor="operator", at=at("2026-09-16"))
    events = [{"event_id": name, "provider": name, "cost_usd": "2.003333333"} for name in ("openai", "exa", "tavily")]
    record(account, at("2026-09-20"), *events)
    statements.close_due(at("2026-11-05"))
    subscriptions.cancel(account, actor="operator", at=at("2026-11-06"), reason="Moves to another product.")
    one = Statement.objects.order_by("period")[0]
    return [
        "/admin/billing/subscription/",
        "/admin/billing/subscription/begin/",
        f"/admin/billing/subscription/{account.pk}/change/",
        f"/admin/billing/subscription/{account.pk}/step/change-plan/",
        f"/admin/billing/subscription/{account.pk}/step/end-now/",
        "/admin/billing/statement/",
        f"/admin/billing/statement/{one.pk}/change/",
        f"/admin/billing/statement/{one.pk}/pay/",
        f"/admin/billing/statement/{one.pk}/print/",
    ]


def test_pages_of_subscriptions_and_statements(operator: Visitor, paths: list[str]) -> None:
    for path in paths:
        assert operator.open(path) == 200
        assert faults(operator.page) == []
    assert operator.complaints == []
