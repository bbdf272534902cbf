"""`manage.py seed_demo`: labelled, rated and corrected data, created once, with content on every page at any date."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core import mail
from django.core.management import call_command
from django.db.models import Count, Q, Sum
from django.utils import timezone

from billing import demo
from billing.accounts import usage_periods
from billing.dashboards import needs_attention
from billing.demo import calls
from billing.limits import limits, reservations
from billing.models import (
    Account,
    CorrectionBatch,
    Delivery,
    Invitation,
    LimitOverride,
    Statement,
    Subscription,
    UnreadField,
    UsageAdjustment,
    UsageAlert,
    UsageLog,
    UsageReservation,
    Webhook,
)
from billing.reports import provider_health, reports, unpriced
from lib import money
from providers.models import Price, PriceProposal
from tests.billing import ledger_rows

pytestmark = pytest.mark.django_db

MID_NOVEMBER = datetime(2026, 11, 15, 10, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Expected:
    """The platform's months (calls, cost in cents) and the statements (account, month, state, cents)."""

    previous: tuple[int, int]
    current: tuple[int, int]
    statements: list[tuple[str, str, str, int]]


def two_months_of_statements(
    first: str, previous: str, acme: int, orbit: int, state: str
) -> list[tuple[str, str, str, int]]:
    return [
        *first_month_of_statements(first, acme, orbit),
        ("demo-acme", previous, state, 8044),
        ("demo-orbit", previous, "nothing_due", 0),
        ("demo-solo", previous, "nothing_due", 0),
    ]


def first_month_of_statements(first: str, acme: int, orbit: int) -> list[tuple[str, str, str, int]]:
    return [
        ("demo-acme", first, "paid", acme),
        ("demo-orbit", first, "paid", orbit),
        ("demo-solo", first, "nothing_due", 0),
    ]


DATES = {
    "the middle of a month": (
        MID_NOVEMBER,
        Expected((481, 1013), (234, 770), two_months_of_statements("2026-09", "2026-10", 7607, 28841, "open")),
    ),
    "the first instant of a year": (
        datetime(2027, 1, 1, tzinfo=UTC),
        Expected((482, 1014), (63, 360), first_month_of_statements("2026-11", 7607, 28841)),
    ),
    "two minutes after a month began": (
        datetime(2026, 12, 1, 0, 2, tzinfo=UTC),
        Expected((482, 1014), (63, 304), first_month_of_statements("2026-10", 7624, 28841)),
    ),
    "the 3rd": (
        datetime(2026, 12, 3, 18, 0, tzinfo=UTC),
        Expected((481, 1013), (64, 305), first_month_of_statements("2026-10", 7624, 28841)),
    ),
    "the last minute of a month": (
        datetime(2026, 10, 31, 23, 59, tzinfo=UTC),
        Expected((481, 1013), (483, 1419), two_months_of_statements("2026-08", "2026-09", 7624, 28841, "paid")),
    ),
    "a leap day": (
        datetime(2028, 2, 29, 12, 0, tzinfo=UTC),
        Expected((481, 1013), (475, 1262), two_months_of_statements("2027-12", "2028-01", 7624, 28842, "paid")),
    ),
    "the day on which summer time ends": (
        datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
        Expected((481, 1013), (376, 1134), two_months_of_statements("2026-08", "2026-09", 7624, 28841, "paid")),
    ),
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise AssertionError("the demo sends nothing")

    monkeypatch.setattr(socket, "create_connection", refuse)


def run() -> str:
    out = StringIO()
    call_command("seed_demo", stdout=out)
    return out.getvalue()


@pytest.mark.parametrize(("at", "expected"), DATES.values(), ids=DATES.keys())
def test_pages_have_content_on_any_date(at: datetime, expected: Expected) -> None:
    demo.seed(at)

    assert [month_of(at, back) for back in (1, 0)] == [expected.previous, expected.current]
    assert nothing_is_in_the_future(at)
    assert statements() == expected.statements
    assert_accounts_are_near_their_budgets(at)
    assert_states(at)
    ledger_rows.assert_ledger_consistent()


def month_of(at: datetime, back: int) -> tuple[int, int]:
    """Calls and cost in cents of the platform, in the month `back` months before that of `at`."""
    summary = reports.summary(None, reports.list_periods(None, at)[back], at)
    return summary.calls, money.divide_half_even(summary.cost_nano, money.CENT)


def nothing_is_in_the_future(at: datetime) -> bool:
    logs = UsageLog.objects.filter(Q(timestamp__gt=at) | Q(received_at__gt=at) | Q(late_for__isnull=False))
    others = [UsageAlert.objects.filter(raised_at__gt=at), UsageReservation.objects.filter(created_at__gt=at)]
    others += [
        Statement.objects.filter(Q(closed_at__gt=at) | Q(paid_at__gt=at)),
        Delivery.objects.filter(ended_at__gt=at),
    ]
    return not any(rows.exists() for rows in (logs, *others))


def statements() -> list[tuple[str, str, str, int]]:
    rows = Statement.objects.select_related("account").order_by("period", "account__external_id")
    return [(row.account.external_id, str(row), row.state, row.total_cents) for row in rows]


def assert_accounts_are_near_their_budgets(at: datetime) -> None:
    orbit = Account.objects.get(external_id="demo-orbit")
    budget = reports.summary(orbit, usage_periods.current_period(orbit, at), at).budget
    assert budget.percent is not None
    assert budget.percent > 80
    assert budget.status in ("warning", "critical")
    assert "demo-orbit" in [row.account.external_id for row in needs_attention.near_limit(at)]
    unread = UsageAlert.objects.filter(account=orbit, meter="monthly_cost", read_at=None, raised_at=at)
    assert {50, 80} <= set(unread.values_list("threshold", flat=True))


def assert_states(at: datetime) -> None:
    states = {row.reservation_id: reservations.state_at(row, at) for row in UsageReservation.objects.all()}
    prefix = "demo-reservation-"
    assert states == {prefix + state: state for state in ("held", "expired", "settled", "released")} | {
        "demo-reservation-aborted": "settled"
    }
    reservation = UsageReservation.objects.get(state="held")
    assert (reservation.created_at, reservation.expires_at) == (at, at + timedelta(days=1))
    assert limits.budget(limits.statuses(reservation.account, at))[1] > 0

    [failed] = Delivery.objects.filter(state="failed")
    assert (failed.attempts, failed.error) == (
        1,
        "192.0.2.10 is a private or special address (WEBHOOK_ALLOW_PRIVATE).",
    )
    assert mail.outbox == []
    assert {("azure", "gpt-4o"), ("openai", "demo-preview-1")} <= {row.key for row in unpriced.list_models()}
    assert [invitation.state(at) for invitation in Invitation.objects.all()] == ["open"]
    assert sum(provider.calls for provider in provider_health.measure(at).providers) == 16


def test_the_demo_is_labelled_and_created_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: MID_NOVEMBER)
    assert run() == "1097 demo calls created for demo-acme, demo-orbit, demo-solo.\n"
    created = counts()
    assert run() == "The demo data already exists: demo-acme, demo-orbit, demo-solo.\n"

    assert counts() == created
    assert UsageLog.objects.count() == 1097
    assert all(log.metadata == {"demo": True} for log in UsageLog.objects.only("metadata"))
    assert all(account.name.startswith("Demo: ") for account in Account.objects.all())
    assert all(batch.reason.startswith("Demo: ") for batch in CorrectionBatch.objects.all())
    assert all(limit.reason.startswith("Demo: ") for limit in LimitOverride.objects.all())
    assert all(
        statement.payment_note.startswith("Demo: ")
        for statement in Statement.objects.filter(state=Statement.State.PAID)
    )
    assert Price.objects.get(shipped=False).source == "demonstration, not a real price"
    assert {proposal.edition for proposal in PriceProposal.objects.all()} == {"demonstration, not a real price"}


def counts() -> list[int]:
    tables = (Account, UsageLog, UsageAdjustment, Price, Statement, UsageAlert, Delivery, UsageReservation, Invitation)
    return [table._default_manager.count() for table in tables]


def test_nothing_is_created_when_other_accounts_exist(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: MID_NOVEMBER)
    before = counts()
    assert run() == "There are accounts already: no demo data was created.\n"
    assert counts() == before


def test_the_same_date_gives_the_same_calls() -> None:
    def events() -> list[dict[str, Any]]:
        caller = calls.Caller()
        return list(caller.events(caller.moments(MID_NOVEMBER - timedelta(days=9), MID_NOVEMBER, 100)))

    first = events()
    assert first == events()
    assert [event["event_id"] for event in first] == [f"demo-{number:04d}" for number in range(1, 101)]


def test_two_accounts_are_subscribed() -> None:
    demo.seed(MID_NOVEMBER)
    rows = Subscription.objects.order_by("account__external_id")
    assert list(rows.values_list("account__external_id", "plan__slug", "cycle", "status", "period_start")) == [
        ("demo-acme", "pro", "monthly", "active", datetime(2026, 11, 1, tzinfo=UTC).date()),
        ("demo-orbit", "basic", "yearly", "active", datetime(2026, 9, 1, tzinfo=UTC).date()),
    ]


def test_it_has_every_category_and_cost_source() -> None:
    demo.seed(MID_NOVEMBER)
    assert set(UsageLog.objects.values_list("category", flat=True)) == {
        *("text", "video", "audio", "image", "image_edit", "search", "crawl")
    }
    by_source = UsageLog.objects.order_by("cost_source").values_list("cost_source")
    assert list(by_source.annotate(Count("id"), Sum("cost_total"))) == [
        ("caller", 13, 6_110_000_000),
        ("estimate", 2, 16_000_000),
        ("free", 33, 0),
        ("price_book", 1011, 22_620_190_850),
        ("unpriced", 38, 0),
    ]
    assert UsageLog.objects.filter(is_priced=False).count() == 33
    assert UsageLog.objects.filter(tokens_cached__gt=0).count() == 128
    assert UsageLog.objects.filter(status_code=503, error_message="demo: upstream unavailable").count() == 33
    tiered = UsageLog.objects.filter(model_used="gemini-2.5-pro", status_code=200).order_by("tokens_input")
    assert {tokens > 200_000 for tokens in tiered.values_list("tokens_input", flat=True)} == {False, True}


def test_some_calls_are_not_completely_known() -> None:
    demo.seed(MID_NOVEMBER)
    calls_by_state = UsageLog.objects.exclude(usage_state="complete").order_by("event_id")
    assert [
        (log.event_id, log.usage_state, log.is_estimated, log.effective_nano, log.unpriced_reason)
        for log in calls_by_state
    ] == [
        ("demo-aborted", "unknown", False, 0, "usage_unknown"),
        ("demo-estimated", "unknown", True, 10_000_000, None),
        ("demo-unread", "incomplete", True, 6_000_000, None),
    ]
    field = UnreadField.objects.get()
    assert (field.path, field.state, field.total_calls, field.example_value) == ("usage.demo_units", "open", 1, "42")
    summary = reports.summary(None, reports.list_periods(None, MID_NOVEMBER)[0], MID_NOVEMBER)
    assert summary.estimated_calls == 2


def test_some_calls_are_corrected() -> None:
    demo.seed(MID_NOVEMBER)
    by_kind = UsageAdjustment.objects.order_by("kind").values_list("kind")
    assert list(by_kind.annotate(Count("id"), Sum("delta_nano"))) == [
        ("reprice", 5, 86_977_200),
        ("revert", 1, 250_000_000),
        ("void", 3, -750_000_000),
    ]
    assert UsageAdjustment.objects.filter(late_at=MID_NOVEMBER).count() == 1  # of a closed month
    assert UsageLog.objects.exclude(voided_at=None).count() == 2
    (total_nano,) = UsageLog.objects.aggregate(Sum("effective_nano")).values()
    assert total_nano == 6_110_000_000 + 22_620_190_850 + 16_000_000 + 86_977_200 - 500_000_000


def test_a_statement_charges_usage_above_the_included_amount() -> None:
    demo.seed(MID_NOVEMBER)
    statement = Statement.objects.get(account__external_id="demo-acme", period="2026-10-01")
    assert [(line["kind"], line["text"], line["cents"]) for line in statement.lines] == [
        ("fee", "Pro, monthly, 2026-10-01 to 2026-10-31", 7900),
        ("overage", "Usage of $7.44, of which the plan includes $6.00", 144),
    ]


@pytest.mark.parametrize("name", ["e-mail", "private addresses", "another webhook"])
def test_the_demo_sends_nothing_even_when_delivery_is_possible(name: str, settings: Any) -> None:
    if name == "e-mail":
        settings.ALERT_EMAILS = ["operator@example.com"]
    elif name == "private addresses":
        settings.WEBHOOK_ALLOW_PRIVATE = True
    else:
        Webhook.objects.create(account=None, url="https://example.com/", created_at=MID_NOVEMBER)
    demo.seed(MID_NOVEMBER)
    assert set(Delivery.objects.values_list("state", "attempts")) == {("pending", 0)}
    assert mail.outbox == []
