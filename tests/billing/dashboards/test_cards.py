"""Cards: charts that add up for any number of providers, limit rings, and tables for CSV."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from billing.accounts import usage_periods
from billing.dashboards import cards
from billing.limits import limits
from billing.models import Account
from billing.reports import reports, trends
from lib import money
from lib.money import NANO
from tests.billing.alert_rows import NOON
from tests.billing.plan_limits import set_limits
from tests.billing.usage import record

pytestmark = pytest.mark.django_db
LABELS: dict[str, str] = {"p0": "The first"}


def trend(account: Account, providers: int) -> trends.Trend:
    """Records two days on which provider `pN` costs N+1 nano-USD, and returns their trend."""
    days = (NOON, NOON - timedelta(days=1))
    record(
        account,
        NOON,
        *(
            {
                "event_id": f"{number} {day}",
                "provider": "other",
                "served_by": f"p{number}",
                "category": "text",
                "cost_usd": money.exact_usd(number + 1),
                "occurred_at": day.isoformat(),
            }
            for number in range(providers)
            for day in days
        ),
    )
    return trends.by_day(account, 2, NOON, LABELS)


@pytest.mark.parametrize("providers", [1, 8, 9, 40])
def test_a_chart_has_at_most_eight_series_that_add_up_to_the_total(account: Account, providers: int) -> None:
    chart = cards.cost_chart(trend(account, providers))

    assert len(chart.labels) == min(providers, 8)
    assert chart.labels[-1] == ("The first" if providers <= 8 else f"{providers - 7} others")
    assert [(row.name, sum(row.costs), row.total) for row in chart.rows] == [
        (day, total, total) for day in ("2026-11-21", "2026-11-22") for total in [providers * (providers + 1) // 2]
    ]


def test_a_chart_without_usage_is_empty(account: Account) -> None:
    chart = cards.cost_chart(trends.by_month(account, 6, NOON, LABELS))
    assert (chart.empty, chart.labels, chart.rows) == (True, (), ())


def test_the_table_of_a_chart_is_exact(account: Account) -> None:
    table = cards.chart_table(cards.cost_chart(trend(account, 2)))

    assert table.columns == ("day", "p1", "The first", "total_usd")
    assert table.rows == [
        ("2026-11-21", "0.000000002", "0.000000001", "0.000000003"),
        ("2026-11-22", "0.000000002", "0.000000001", "0.000000003"),
    ]


def test_rings_are_sorted_by_percent_used_and_mark_unlimited_and_disallowed_meters(account: Account) -> None:
    set_limits({"monthly_cost": 2 * NANO, "openai_calls": 4, "video_calls": 0, "gemini_tokens": 1_000_000})
    record(account, NOON, *({"event_id": f"{n}", "cost_usd": "0.4", "usage": {"input_tokens": 5}} for n in range(4)))
    rings = {ring.label: ring for ring in cards.limit_rings(limits.statuses(account, NOON))}

    assert list(rings)[:3] == ["OpenAI calls", "Monthly cost", "Gemini tokens"]
    assert rings["OpenAI calls"] == cards.Ring("OpenAI calls", "4 of 4", Decimal("100.00"), 100, "critical")
    assert rings["Monthly cost"] == cards.Ring("Monthly cost", "$1.60 of $2.00", Decimal("80.00"), 80, "warning")
    assert rings["Gemini tokens"] == cards.Ring("Gemini tokens", "0 of 1,000,000", Decimal("0.00"), 0, "")
    assert rings["Text generation calls"] == cards.Ring("Text generation calls", "4 used, unlimited", None, 0, "")
    assert rings["Video calls"] == cards.Ring("Video calls", "not in your plan", None, 0, "")
    assert list(rings)[-1] == "Video calls"


def test_all_but_the_most_expensive_models_are_one_row_and_rows_add_up(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "MAX_MODELS", 3)
    record(account, NOON, *({"event_id": f"{n}", "model": f"m{n}", "cost_usd": f"0.{n}"} for n in range(1, 6)))
    period = usage_periods.current_period(account, NOON)
    summary = reports.summary(account, period, NOON)
    models = reports.model_usage(summary, LABELS)

    assert [(model.label, model.model, money.exact_usd(model.cost_nano), model.calls) for model in models] == [
        ("openai", "m5", "0.5", 1),
        ("openai", "m4", "0.4", 1),
        ("Others", "all other models", "0.6", 3),
    ]
    assert sum(model.cost_nano for model in models) == summary.cost_nano
    assert [model.percent for model in models] == [Decimal("33.33"), Decimal("26.67"), Decimal("40.00")]


def test_the_listed_periods_reach_from_the_first_usage_to_the_current_period(account: Account) -> None:
    assert [period.name for period in reports.list_periods(account, NOON)] == ["2026-11"]
    Account.objects.update(anchor_day=31, billed_from=date(2027, 1, 1))
    account.refresh_from_db()
    record(account, NOON, {"occurred_at": "2026-03-30T00:00:00Z"})

    names = [period.name for period in reports.list_periods(account, NOON)]
    assert names == ["2026-10", "2026-09", "2026-08", "2026-07", "2026-06", "2026-05", "2026-04", "2026-03", "2026-02"]
