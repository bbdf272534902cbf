"""The operators' list of models without a price, and the way from one to a price; config's admin site wires the addresses."""

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

from billing.reports import reports, unpriced
from billing.reports.unpriced import Row, Seen
from lib import csv_stream
from providers import rulebook
from providers.models import Provider

PER_PAGE = 50
UNKNOWN = "unknown"  # the provider of an address that no rule names: no price list is its own
CSV_COLUMNS = ("provider", "model", "unpriced_calls", "calls", "tokens", "accounts", "first_period", "last_period")


@dataclass(frozen=True, slots=True)
class Line:
    """A row as the page shows it; the links are empty where there is nothing to lead to."""

    row: Row
    label: str
    first: str
    last: str
    logs_url: str
    price_url: str
    provider_url: str


def urls(site: admin.AdminSite) -> list[Any]:
    return [
        path("billing/unpriced/", site.admin_view(_page), name="billing_unpriced"),
        path("billing/unpriced/export/", site.admin_view(_export), name="billing_unpriced_export"),
        path("billing/unpriced/price/", site.admin_view(_price), name="billing_unpriced_price"),
    ]


@permission_required("billing.view_usagelog", raise_exception=True)
def _page(request: HttpRequest) -> HttpResponse:
    asked = _asked(request)
    found = unpriced.rows(**asked)
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    labels = rulebook.current().labels
    context = admin.site.each_context(request) | {
        "title": "Unpriced models",
        "asked": asked,
        "page": page,
        "lines": _lines(request, list(page), labels),
        "more": len(found) == unpriced.MOST_ROWS,
        "providers": [(slug, reports.label_of(slug, labels)) for slug in unpriced.providers()],
        "query": urlencode({"provider": asked["provider"], "q": asked["text"]}),
    }
    return TemplateResponse(request, "admin/billing/unpriced/list.html", context)


@permission_required("billing.view_usagelog", raise_exception=True)
def _export(request: HttpRequest) -> HttpResponseBase:
    """What the page lists; first and last by the start of the usage period."""
    return csv_stream.response("unpriced.csv", CSV_COLUMNS, _cells(unpriced.rows(**_asked(request))))


@permission_required("providers.add_price", raise_exception=True)
def _price(request: HttpRequest) -> HttpResponseBase:
    """The price form, filled in for one model; from there the way leads to re-pricing its calls."""
    provider, model = _text(request, "provider"), _text(request, "model")
    maker = Provider.objects.filter(slug=provider).first()
    row = unpriced.one(provider, model) if model and maker else None
    if row is None or maker is None:
        raise Http404
    needed = unpriced.needed(row)
    begun = {
        "provider": maker.pk,
        "pattern": model,
        "category": needed.category,
        "valid_from": needed.valid_from,
        "units": ",".join(needed.units),
        "next": f"{reverse('admin:billing_correctionbatch_reprice')}?{_of(row, unpriced='on')}",
    }
    return HttpResponseRedirect(f"{reverse('admin:providers_price_add')}?{urlencode(begun)}")


def _asked(request: HttpRequest) -> dict[str, str]:
    return {"provider": _text(request, "provider"), "text": _text(request, "q")}


def _text(request: HttpRequest, name: str) -> str:
    """Without NUL, which PostgreSQL refuses: no stored text has one."""
    return request.GET.get(name, "").replace("\0", "")[:200]


def _of(row: Row, **more: str) -> str:
    return urlencode({**more, "provider": row.provider, "model": row.model})


def _lines(request: HttpRequest, rows: list[Row], labels: Any) -> list[Line]:  # noqa: ANN401 - a mapping of labels
    times = unpriced.seen(rows)
    may_price = request.user.has_perm("providers.add_price")
    may_name = request.user.has_perm("providers.add_provider")
    now = timezone.now()
    lines = []
    for row in rows:
        seen = times.get(row.key)
        known = row.provider in labels and row.provider != UNKNOWN
        logs = {"priced": "no", "actual_provider": row.provider, "model": row.model, "days": _days(row, seen, now)}
        lines.append(
            Line(
                row=row,
                label=reports.label_of(row.provider, labels),
                first=_moment(seen.first) if seen else f"{row.first_period:%Y-%m}",
                last=_moment(seen.last) if seen else f"{row.last_period:%Y-%m}",
                logs_url=f"{reverse('admin:billing_usagelog_changelist')}?{urlencode(logs)}",
                price_url=f"{reverse('admin:billing_unpriced_price')}?{_of(row)}" if known and may_price else "",
                provider_url=_provider_url(row.provider) if not known and may_name else "",
            )
        )
    return lines


def _provider_url(slug: str) -> str:
    """Where a provider gets its name, or, for what no rule knows, where a rule is made."""
    if slug == UNKNOWN:
        return reverse("admin:providers_detectionrule_add")
    return f"{reverse('admin:providers_provider_add')}?{urlencode({'slug': slug, 'name': slug})}"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


def _days(row: Row, seen: Seen | None, now: datetime) -> str:
    """The time filter of the log list that shows the newest of the calls, which is no longer than a month."""
    last = seen.last.astimezone(UTC).date() if seen else row.last_period
    return "31" if last >= now.date() - timedelta(days=30) else f"{last:%Y-%m}"


def _cells(rows: list[Row]) -> Iterator[tuple[object, ...]]:
    for row in rows:
        counts = (row.unpriced, row.calls, row.tokens, row.accounts)
        yield (row.provider, row.model, *counts, row.first_period, row.last_period)
