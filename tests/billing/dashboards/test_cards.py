"""Cards: charts whose parts add up however many providers there are, rings that say what is unlimited, tables for CSV."""

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
from tests.billing.alerted import NOW
from tests.billing.caps import cap
from tests.billing.usage import record

pytestmark = pytest.mark.django_db
LABELS: dict[str, str] = {"p0": "The first"}


def trend(account: Account, providers: int) -> trends.Trend:
    """Provider `pN` costs N+1 nano-USD on each of two days; each is called by what it is called."""
    days = (NOW, NOW - timedelta(days=1))
    record(
        account,
        NOW,
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
    return trends.by_day(account, 2, NOW, LABELS)


@pytest.mark.parametrize("providers", [1, 8, 9, 40])
def test_a_chart_has_at_most_eight_parts_that_add_up_to_the_whole(account: Account, providers: int) -> None:
    chart = cards.chart(trend(account, providers))

    assert len(chart.labels) == min(providers, 8)
    assert chart.labels[-1] == ("The first" if providers <= 8 else f"{providers - 7} others")
    assert [(step.name, sum(step.parts), step.whole) for step in chart.steps] == [
        (day, whole, whole) for day in ("2026-11-21", "2026-11-22") for whole in [providers * (providers + 1) // 2]
    ]


def test_a_chart_without_usage_is_empty(account: Account) -> None:
    chart = cards.chart(trends.by_month(account, 6, NOW, LABELS))
    assert (chart.empty, chart.labels, chart.steps) == (True, (), ())


def test_the_table_of_a_chart_is_exact(account: Account) -> None:
    table = cards.steps(cards.chart(trend(account, 2)))

    assert table.columns == ("day", "p1", "The first", "total_usd")
    assert table.rows == [
        ("2026-11-21", "0.000000002", "0.000000001", "0.000000003"),
        ("2026-11-22", "0.000000002", "0.000000001", "0.000000003"),
    ]


def test_rings_are_the_fullest_first_and_say_what_is_unlimited_and_what_is_not_allowed(account: Account) -> None:
    cap({"monthly_cost": 2 * NANO, "openai_calls": 4, "video_calls": 0, "gemini_tokens": 1_000_000})
    record(account, NOW, *({"event_id": f"{n}", "cost_usd": "0.4", "usage": {"input_tokens": 5}} for n in range(4)))
    rings = {ring.label: ring for ring in cards.rings(limits.standing(account, NOW))}

    assert list(rings)[:3] == ["OpenAI calls", "Monthly cost", "Gemini tokens"]
    assert rings["OpenAI calls"] == cards.Ring("OpenAI calls", "4 of 4", Decimal("100.00"), 100, "critical")
    assert rings["Monthly cost"] == cards.Ring("Monthly cost", "$1.60 of $2.00", Decimal("80.00"), 80, "warning")
    assert rings["Gemini tokens"] == cards.Ring("Gemini tokens", "0 of 1,000,000", Decimal("0.00"), 0, "")
    assert rings["Text generation calls"] == cards.Ring("Text generation calls", "4 used, unlimited", None, 0, "")
    assert rings["Video calls"] == cards.Ring("Video calls", "not in your plan", None, 0, "")
    assert list(rings)[-1] == "Video calls"


def test_models_beyond_the_dearest_are_one_line_and_all_lines_add_up(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "MOST_MODELS", 3)
    record(account, NOW, *({"event_id": f"{n}", "model": f"m{n}", "cost_usd": f"0.{n}"} for n in range(1, 6)))
    period = usage_periods.current_period(account, NOW)
    summary = reports.summary(account, period, NOW)
    models = reports.by_model(summary, LABELS)

    assert [(one.label, one.model, money.exact_usd(one.cost_nano), one.calls) for one in models] == [
        ("openai", "m5", "0.5", 1),
        ("openai", "m4", "0.4", 1),
        ("Others", "all other models", "0.6", 3),
    ]
    assert sum(one.cost_nano for one in models) == summary.cost_nano
    assert [one.percent for one in models] == [Decimal("33.33"), Decimal("26.67"), Decimal("40.00")]


def test_the_periods_to_choose_from_are_those_with_usage_and_the_current_one(account: Account) -> None:
    assert [one.name for one in reports.periods_of(account, NOW)] == ["2026-11"]
    Account.objects.update(anchor_day=31, billed_from=date(2027, 1, 1))
    account.refresh_from_db()
    record(account, NOW, {"occurred_at": "2026-03-30T00:00:00Z"})

    names = [one.name for one in reports.periods_of(account, NOW)]
    assert names == ["2026-10", "2026-09", "2026-08", "2026-07", "2026-06", "2026-05", "2026-04", "2026-03", "2026-02"]
