"""How results and figures look in JSON: field names and forms are the API's contract. Formatting only."""

from __future__ import annotations

from typing import Any

from billing.models import Account
from billing.recording.metering import Result
from billing.reports.reports import Budget, Share, Summary
from lib import ids, money


def result(one: Result) -> dict[str, Any]:
    return {
        "status": one.status,
        "id": one.log_id and ids.text_of(one.log_id),
        "actual_provider": one.actual_provider,
        "confidence": one.confidence,
        "cost_usd": money.exact_usd_or_none(one.cost_nano),
        "priced": one.priced,
    }


def account(one: Account) -> dict[str, Any]:
    return {
        "external_id": one.external_id,
        "name": one.name,
        "timezone": one.timezone,
        "anchor_day": one.anchor_day,
        "active": one.active,
        "billed_from": one.billed_from,
        "created_at": one.created_at,
    }


def summary(one: Summary) -> dict[str, Any]:
    return {
        "account": one.account.external_id if one.account else None,
        "period": one.period.name,
        "starts_at": one.period.starts_at,
        "ends_at": one.period.ends_at,
        "total_cost_usd": money.exact_usd(one.cost_nano),
        "total_calls": one.calls,
        "total_tokens": one.tokens,
        "errors": one.errors,
        "error_rate": one.error_rate,
        "avg_response_time_ms": one.avg_response_time_ms,
        "unpriced_calls": one.unpriced_calls,
        "fallback_calls": one.fallback_calls,
        "prior_adjustments_usd": money.exact_usd(one.prior_adjustments_nano),
        "budget": budget(one.budget),
        "provider_breakdown": [_provider(share) for share in one.providers],
        "category_breakdown": [_category(share) for share in one.categories],
        "top_providers": [_chip(share) for share in one.top_providers],
    }


def budget(one: Budget) -> dict[str, Any]:
    return {
        "limit_usd": money.exact_usd_or_none(one.limit_nano),
        "used_usd": money.exact_usd(one.used_nano),
        "reserved_usd": money.exact_usd(one.reserved_nano),
        "remaining_usd": money.exact_usd_or_none(one.remaining_nano),
        "percent": one.percent,
        "status": one.status,
    }


def _figures(share: Share) -> dict[str, Any]:
    return {"calls": share.calls, "tokens": share.tokens, "cost_usd": money.exact_usd(share.cost_nano)}


def _provider(share: Share) -> dict[str, Any]:
    return {
        "provider": share.key,
        "label": share.label,
        **_figures(share),
        "percent": share.percent,
        "errors": share.errors,
        "unpriced_calls": share.unpriced_calls,
        "categories": [{"category": part.key, **_figures(part)} for part in share.parts],
    }


def _category(share: Share) -> dict[str, Any]:
    return {
        "category": share.key,
        "label": share.label,
        **_figures(share),
        "percent": share.percent,
        "providers": [{"provider": part.key, "label": part.label, **_figures(part)} for part in share.parts],
    }


def _chip(share: Share) -> dict[str, Any]:
    return {
        "provider": share.key,
        "label": share.label,
        "cost_usd": money.exact_usd(share.cost_nano),
        "display": f"{share.label}: {money.format_usd(share.cost_nano)}",
    }
