"""The JSON form of results and reports. Field names and formats are the API's contract."""

from __future__ import annotations

from typing import Any

from billing.models import Account
from billing.recording.metering import Result
from billing.reports.reports import BreakdownRow, Budget, Summary
from lib import ids, money


def result_as_json(result: Result) -> dict[str, Any]:
    return {
        "status": result.status,
        "id": result.log_id and ids.uuid_text(result.log_id),
        "actual_provider": result.actual_provider,
        "confidence": result.confidence,
        "cost_usd": money.exact_usd_or_none(result.cost_nano),
        "priced": result.priced,
        "usage_state": result.usage_state,
        "unpriced_reason": result.unpriced_reason,
    }


def account_as_json(account: Account) -> dict[str, Any]:
    return {
        "external_id": account.external_id,
        "name": account.name,
        "timezone": account.timezone,
        "anchor_day": account.anchor_day,
        "active": account.active,
        "billed_from": account.billed_from,
        "created_at": account.created_at,
    }


def summary_as_json(summary: Summary) -> dict[str, Any]:
    return {
        "account": summary.account.external_id if summary.account else None,
        "period": summary.period.name,
        "starts_at": summary.period.starts_at,
        "ends_at": summary.period.ends_at,
        "total_cost_usd": money.exact_usd(summary.cost_nano),
        "total_calls": summary.calls,
        "total_tokens": summary.tokens,
        "errors": summary.errors,
        "error_rate": summary.error_rate,
        "avg_response_time_ms": summary.avg_response_time_ms,
        "unpriced_calls": summary.unpriced_calls,
        "estimated_calls": summary.estimated_calls,
        "fallback_calls": summary.fallback_calls,
        "prior_adjustments_usd": money.exact_usd(summary.prior_adjustments_nano),
        "budget": budget_as_json(summary.budget),
        "provider_breakdown": [_provider_row(row) for row in summary.providers],
        "category_breakdown": [_category_row(row) for row in summary.categories],
        "top_providers": [_provider_chip(row) for row in summary.top_providers],
    }


def budget_as_json(budget: Budget) -> dict[str, Any]:
    return {
        "limit_usd": money.exact_usd_or_none(budget.limit_nano),
        "used_usd": money.exact_usd(budget.used_nano),
        "reserved_usd": money.exact_usd(budget.reserved_nano),
        "remaining_usd": money.exact_usd_or_none(budget.remaining_nano),
        "percent": budget.percent,
        "status": budget.status,
    }


def _totals(row: BreakdownRow) -> dict[str, Any]:
    return {"calls": row.calls, "tokens": row.tokens, "cost_usd": money.exact_usd(row.cost_nano)}


def _provider_row(row: BreakdownRow) -> dict[str, Any]:
    return {
        "provider": row.key,
        "label": row.label,
        **_totals(row),
        "percent": row.percent,
        "errors": row.errors,
        "unpriced_calls": row.unpriced_calls,
        "estimated_calls": row.estimated_calls,
        "categories": [{"category": part.key, **_totals(part)} for part in row.parts],
    }


def _category_row(row: BreakdownRow) -> dict[str, Any]:
    return {
        "category": row.key,
        "label": row.label,
        **_totals(row),
        "percent": row.percent,
        "providers": [{"provider": part.key, "label": part.label, **_totals(part)} for part in row.parts],
    }


def _provider_chip(row: BreakdownRow) -> dict[str, Any]:
    return {
        "provider": row.key,
        "label": row.label,
        "cost_usd": money.exact_usd(row.cost_nano),
        "display": f"{row.label}: {money.format_usd(row.cost_nano)}",
    }
