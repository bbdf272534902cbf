"""The admin page of models with unpriced calls, its CSV, and a link that opens the price form filled in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.auth.decorators import permission_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone

from billing.reports import unpriced
from billing.reports.unpriced import CallTimes, UnpricedModel
from lib import csv_stream
from providers import rulebook
from providers.models import Provider

PER_PAGE = 50
UNKNOWN_PROVIDER = "unknown"  # the provider of hosts that no rule names; it cannot have prices
CSV_COLUMNS = ("provider", "model", "unpriced_calls", "calls", "tokens", "accounts", "first_period", "last_period")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the page. A URL is empty where its link does not apply."""

    totals: UnpricedModel
    label: str
    first: str
    last: str
    logs_url: str
    price_url: str
    provider_url: str


def urls(site: admin.AdminSite) -> list[Any]:
    return [
        path("billing/unpriced/", site.admin_view(_render_page), name="billing_unpriced"),
        path("billing/unpriced/export/", site.admin_view(_export), name="billing_unpriced_export"),
        path("billing/unpriced/price/", site.admin_view(_redirect_to_price_form), name="billing_unpriced_price"),
    ]


@permission_required("billing.view_usagelog", raise_exception=True)
def _render_page(request: HttpRequest) -> HttpResponse:
    search = _search(request)
    models = unpriced.list_models(**search)
    page = Paginator(models, PER_PAGE).get_page(request.GET.get("page"))
    labels = rulebook.current().labels
    context = admin.site.each_context(request) | {
        "title": "Unpriced models",
        "search": search,
        "page": page,
        "rows": _rows(request, list(page), labels),
        "more": len(models) == unpriced.MAX_ROWS,
        "providers": [(slug, rulebook.provider_label(slug, labels)) for slug in unpriced.providers()],
        "query": urlencode({"provider": search["provider"], "q": search["text"]}),
    }
    return TemplateResponse(request, "admin/billing/unpriced/list.html", context)


@permission_required("billing.view_usagelog", raise_exception=True)
def _export(request: HttpRequest) -> HttpResponseBase:
    """The listed models as CSV; first and last are the start days of usage periods."""
    return csv_stream.response("unpriced.csv", CSV_COLUMNS, _csv_rows(unpriced.list_models(**_search(request))))


@permission_required("providers.add_price", raise_exception=True)
def _redirect_to_price_form(request: HttpRequest) -> HttpResponseBase:
    """Redirect to the price form filled in for one model; saving it leads to re-pricing the model's calls."""
    provider, model = _text(request, "provider"), _text(request, "model")
    price_provider = Provider.objects.filter(slug=provider).first()
    totals = unpriced.get(provider, model) if model and price_provider else None
    if totals is None or price_provider is None:
        raise Http404
    requirements = unpriced.price_requirements(totals)
    initial = {
        "provider": price_provider.pk,
        "pattern": model,
        "category": requirements.category,
        "valid_from": requirements.valid_from,
        "units": ",".join(requirements.units),
        "next": f"{reverse('admin:billing_correctionbatch_reprice')}?{_model_query(totals, unpriced='on')}",
    }
    return HttpResponseRedirect(f"{reverse('admin:providers_price_add')}?{urlencode(initial)}")


def _search(request: HttpRequest) -> dict[str, str]:
    return {"provider": _text(request, "provider"), "text": _text(request, "q")}


def _text(request: HttpRequest, name: str) -> str:
    """The query parameter without NUL, which PostgreSQL rejects."""
    return request.GET.get(name, "").replace("\0", "")[:200]


def _model_query(totals: UnpricedModel, **extra: str) -> str:
    return urlencode({**extra, "provider": totals.provider, "model": totals.model})


def _rows(request: HttpRequest, models: list[UnpricedModel], labels: Any) -> list[Row]:  # noqa: ANN401 - a mapping
    times_by_key = unpriced.call_times(models)
    may_price = request.user.has_perm("providers.add_price")
    may_name = request.user.has_perm("providers.add_provider")
    now = timezone.now()
    rows = []
    for totals in models:
        provider, times = totals.provider, times_by_key.get(totals.key)
        known = provider in labels and provider != UNKNOWN_PROVIDER
        days = _days_filter(totals, times, now)
        logs = {"priced": "no", "actual_provider": provider, "model": totals.model, "days": days}
        rows.append(
            Row(
                totals=totals,
                label=rulebook.provider_label(provider, labels),
                first=_format_time(times.first) if times else f"{totals.first_period:%Y-%m}",
                last=_format_time(times.last) if times else f"{totals.last_period:%Y-%m}",
                logs_url=f"{reverse('admin:billing_usagelog_changelist')}?{urlencode(logs)}",
                price_url=f"{reverse('admin:billing_unpriced_price')}?{_model_query(totals)}"
                if known and may_price
                else "",
                provider_url=_provider_url(provider) if not known and may_name else "",
            )
        )
    return rows


def _provider_url(slug: str) -> str:
    """The form that adds the provider, or a detection rule where the provider is unknown."""
    if slug == UNKNOWN_PROVIDER:
        return reverse("admin:providers_detectionrule_add")
    return f"{reverse('admin:providers_provider_add')}?{urlencode({'slug': slug, 'name': slug})}"


def _format_time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


def _days_filter(totals: UnpricedModel, times: CallTimes | None, now: datetime) -> str:
    """The log list's time filter, at most a month long, that shows the latest unpriced calls."""
    last = times.last.astimezone(UTC).date() if times else totals.last_period
    return "31" if last >= now.date() - timedelta(days=30) else f"{last:%Y-%m}"


def _csv_rows(models: list[UnpricedModel]) -> Iterator[tuple[object, ...]]:
    for totals in models:
        counts = (totals.unpriced, totals.calls, totals.tokens, totals.accounts)
        yield (totals.provider, totals.model, *counts, totals.first_period, totals.last_period)
