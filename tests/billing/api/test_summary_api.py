"""`GET usage/summary/`: the figures of a period; both breakdowns add up to its total to the nano-dollar."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.models import Account, UsageDay, UsageLog
from tests.billing.ledger_rows import NOON, record
from tests.conftest import Api

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(NOON)]


def summary(api: Api, **query: str) -> dict[str, Any]:
    response = api.get("usage/summary/", **query)
    assert response.status_code == 200, response.content
    body: dict[str, Any] = response.json()
    return body


def test_every_figure(service: Api) -> None:
    record(
        {"provider": "video", "model": "wan-2.5", "endpoint": "/video-generation/wavespeed", "response_time_ms": 8000},
        {"usage": {"input_tokens": 1000, "output_tokens": 500}, "response_time_ms": 501, "cost_usd": "0.333333333"},
        {"provider": "openai", "model": "nobody-knows", "cost_usd": None, "usage": {"input_tokens": 7}},
        {"status_code": 500, "cost_usd": None},
    )
    openai = {"calls": 3, "tokens": 1507, "cost_usd": "0.333333333"}
    wavespeed = {"calls": 1, "tokens": 0, "cost_usd": "1"}

    assert summary(service, account="a") == {
        "account": "a",
        "period": "2026-11",
        "starts_at": "2026-11-01T00:00:00Z",
        "ends_at": "2026-12-01T00:00:00Z",
        "total_cost_usd": "1.333333333",
        "total_calls": 4,
        "total_tokens": 1507,
        "errors": 1,
        "error_rate": 25.0,
        "avg_response_time_ms": 2125,
        "unpriced_calls": 1,
        "estimated_calls": 0,
        "fallback_calls": 1,
        "prior_adjustments_usd": "0",
        "budget": {
            "limit_usd": "2",
            "used_usd": "1.333333333",
            "reserved_usd": "0",
            "remaining_usd": "0.666666667",
            "percent": 66.67,
            "status": "notice",
        },
        "provider_breakdown": [
            {
                "provider": "wavespeed",
                "label": "WaveSpeed",
                **wavespeed,
                "percent": 75.0,
                "errors": 0,
                "unpriced_calls": 0,
                "estimated_calls": 0,
                "categories": [{"category": "video", **wavespeed}],
            },
            {
                "provider": "openai",
                "label": "OpenAI",
                **openai,
                "percent": 25.0,
                "errors": 1,
                "unpriced_calls": 1,
                "estimated_calls": 0,
                "categories": [{"category": "text", **openai}],
            },
        ],
        "category_breakdown": [
            {
                "category": "video",
                "label": "Video",
                **wavespeed,
                "percent": 75.0,
                "providers": [{"provider": "wavespeed", "label": "WaveSpeed", **wavespeed}],
            },
            {
                "category": "text",
                "label": "Text",
                **openai,
                "percent": 25.0,
                "providers": [{"provider": "openai", "label": "OpenAI", **openai}],
            },
        ],
        "top_providers": [
            {"provider": "wavespeed", "label": "WaveSpeed", "cost_usd": "1", "display": "WaveSpeed: $1.00"},
            {"provider": "openai", "label": "OpenAI", "cost_usd": "0.333333333", "display": "OpenAI: $0.33"},
        ],
    }


def test_without_usage_rates_and_averages_are_null(service: Api, account: Account) -> None:
    body = summary(service, account="acct_42")

    assert {name: body[name] for name in ("total_cost_usd", "total_calls", "error_rate", "avg_response_time_ms")} == {
        "total_cost_usd": "0",
        "total_calls": 0,
        "error_rate": None,
        "avg_response_time_ms": None,
    }
    assert (body["provider_breakdown"], body["category_breakdown"], body["top_providers"]) == ([], [], [])


def test_unpriced_calls_alone_have_no_percentage(service: Api) -> None:
    record({"model": "nobody-knows", "cost_usd": None, "usage": {"input_tokens": 7}})
    (line,) = summary(service, account="a")["provider_breakdown"]

    assert (line["cost_usd"], line["percent"], line["unpriced_calls"], line["calls"]) == ("0", None, 1, 1)


PROVIDERS = [
    "openai",
    "anthropic",
    "gemini",
    "video",
    "image",
    "image_edit",
    "audio",
    "tavily",
    "serper",
    "exa",
    "nobody",
]
CATEGORIES = [None, "text", "embedding", "image", "image_edit", "video", "audio", "search", "crawl", "other"]


@pytest.fixture
def many_logs(db: None) -> None:
    record(
        *(
            {
                "account": f"a{n % 3}",
                "provider": PROVIDERS[n % len(PROVIDERS)],
                "category": CATEGORIES[n % len(CATEGORIES)],
                "model": "" if n % 7 == 3 else "gpt-4o",
                "served_by": ["wavespeed", None, "new company", None, None][n % 5],
                "cost_usd": f"{Decimal(n * n * 7 + 1).scaleb(-9):f}" if n % 4 else None,
                "usage": {"input_tokens": n},
                "status_code": 500 if n % 13 == 0 else 200,
                "occurred_at": (NOON - timedelta(days=n % 40)).isoformat(),
            }
            for n in range(330)
        )
    )


@pytest.mark.usefixtures("many_logs")
@pytest.mark.parametrize("account", ["a0", "a1", "a2", None])
@pytest.mark.parametrize("period", ["2026-10", "2026-11"])
def test_both_breakdowns_add_up_to_the_total_and_to_the_log(service: Api, account: str | None, period: str) -> None:
    body = summary(service, period=period, **({"account": account} if account else {}))
    logs = UsageLog.objects.filter(
        usage_day__startswith=period, **({"account__external_id": account} if account else {})
    )
    total = sum(logs.values_list("effective_nano", flat=True))

    assert Decimal(body["total_cost_usd"]) == Decimal(total).scaleb(-9) > 0
    assert body["total_calls"] == logs.count()
    assert body["unpriced_calls"] == logs.filter(is_priced=False).count()
    assert body["fallback_calls"] == logs.filter(confidence="fallback").count()
    assert body["errors"] == logs.filter(status_code=500).count()
    for outer, inner in (("provider_breakdown", "categories"), ("category_breakdown", "providers")):
        lines = body[outer]
        assert sum(Decimal(line["cost_usd"]) for line in lines) == Decimal(body["total_cost_usd"])
        assert [Decimal(line["cost_usd"]) for line in lines] == sorted(
            (Decimal(line["cost_usd"]) for line in lines), reverse=True
        )
        for name in ("calls", "tokens"):
            assert sum(line[name] for line in lines) == body[f"total_{name}"]
        for line in lines:
            assert sum(Decimal(inner_line["cost_usd"]) for inner_line in line[inner]) == Decimal(line["cost_usd"])
            assert sum(inner_line["calls"] for inner_line in line[inner]) == line["calls"]
    assert sum(line["unpriced_calls"] for line in body["provider_breakdown"]) == body["unpriced_calls"]
    assert [provider["provider"] for provider in body["top_providers"]] == [
        line["provider"] for line in body["provider_breakdown"][:5]
    ]


@pytest.mark.usefixtures("many_logs")
def test_the_platform_is_the_sum_of_its_accounts(service: Api) -> None:
    platform = summary(service)
    summaries = [summary(service, account=name) for name in ("a0", "a1", "a2")]

    names = ("total_calls", "total_tokens", "errors", "unpriced_calls", "fallback_calls")
    totals: Counter[str] = Counter()
    for figures in summaries:
        totals.update({name: figures[name] for name in names})
    assert {name: platform[name] for name in names} == dict(totals)
    assert Decimal(platform["total_cost_usd"]) == sum(Decimal(figures["total_cost_usd"]) for figures in summaries)
    assert (platform["account"], platform["starts_at"]) == (None, "2026-11-01T00:00:00Z")


def test_an_unreviewed_provider_is_labelled_with_its_slug(service: Api) -> None:
    record({"served_by": "New Company"})
    (line,) = summary(service, account="a")["provider_breakdown"]
    assert (line["provider"], line["label"]) == ("new-company", "new-company")


@pytest.mark.parametrize(
    ("zone", "anchor", "period", "starts_at", "ends_at"),
    [
        ("UTC", 31, "2026-10", "2026-10-31T00:00:00Z", "2026-11-30T00:00:00Z"),
        ("Europe/Berlin", 15, "2026-11", "2026-11-14T23:00:00Z", "2026-12-14T23:00:00Z"),
        ("Asia/Tokyo", 23, "2026-10", "2026-10-22T15:00:00Z", "2026-11-22T15:00:00Z"),
        ("America/New_York", 1, "2026-11", "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z"),
    ],
)
def test_the_current_period_follows_the_accounts_own_schedule(
    service: Api, zone: str, anchor: int, period: str, starts_at: str, ends_at: str
) -> None:
    service.post("accounts/", {"external_id": "a", "timezone": zone, "anchor_day": anchor})
    body = summary(service, account="a")

    assert (body["period"], body["starts_at"], body["ends_at"]) == (period, starts_at, ends_at)
    assert summary(service, account="a", period=period) == body


@pytest.mark.parametrize(
    "period",
    ["2026", "2026-13", "2026-1", "0000-01", "9999-12", "1999-12", "2026-11-01", "x" * 7, "2026-1\x00"],
)
@pytest.mark.parametrize("account", ["", "acct_42"])
def test_an_invalid_period_is_422(service: Api, account: str, period: str) -> None:
    service.post("accounts/", {"external_id": "acct_42"})
    response = service.get("usage/summary/", period=period, account=account)

    assert response.status_code == 422
    assert [(error["code"], error["attr"]) for error in response.json()["errors"]] == [("invalid", "period")]


@pytest.mark.parametrize("account", ["nobody", "ACCT_42", "acct_42 ", "a/b", "\x00", "x" * 500])
def test_an_unknown_account_is_404(service: Api, account: str) -> None:
    service.post("accounts/", {"external_id": "acct_42"})
    response = service.get("usage/summary/", account=account)

    assert (response.status_code, response.json()["errors"][0]["code"]) == (404, "not_found")
    assert Account.objects.count() == 1


def test_a_total_beyond_64_bits_is_refused(service: Api) -> None:
    record({"account": "a"})
    UsageDay.objects.update(cost_nano=9 * 10**18 - 10**9)
    event = {"account": "a", "provider": "openai", "model": "gpt-4o"}
    responses = [service.post("usage/", {**event, "event_id": f"big{n}", "cost_usd": str(n)}) for n in (1, 2)]

    assert [response.status_code for response in responses] == [201, 422]
    assert responses[1].json()["errors"][0]["code"] == "max_value"
    assert (UsageLog.objects.count(), UsageDay.objects.get().cost_nano) == (2, 9 * 10**18)
