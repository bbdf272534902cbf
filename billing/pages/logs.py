"""A customer's usage logs: list with the API's filters, CSV export, and the page of one log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from billing.api import logs as log_api
from billing.api.logs import LogParameters
from billing.archive import archived
from billing.dashboards import charge_page
from billing.errors import Refused
from billing.ledger import log_search
from billing.ledger.log_search import LogSearch
from billing.models import Account, Category, Confidence, UnpricedReason, UsageState
from billing.pages.base import MemberRequest, member_required
from billing.reports import reports
from lib import periods, query_string
from lib.keyset import Page, PageCursor
from lib.query_string import BadParameter
from providers import rulebook

PAGE_SIZE = 50
DEFAULT_DAYS = 31  # bounds the search of every filter
PROVIDERS_WITHIN = timedelta(days=366)  # the filter offers providers used within this time
ANY = ("", "Any")
YES_NO = (("true", "Yes"), ("false", "No"))


class FilterForm(forms.Form):
    """The API's filters by their API names; `since` and `until` are inclusive days in the account's time zone."""

    period = forms.ChoiceField(required=False)
    since = forms.DateField(label="From", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label="To", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    actual_provider = forms.ChoiceField(label="Provider", required=False)
    provider = forms.CharField(label="Declared provider", required=False, max_length=50)
    category = forms.ChoiceField(required=False, choices=[ANY, *Category.choices])
    model = forms.CharField(required=False, max_length=200)
    status = forms.ChoiceField(required=False, choices=[ANY, ("success", "Success"), ("failed", "Failed")])
    status_code = forms.IntegerField(required=False, min_value=100, max_value=599)
    priced = forms.ChoiceField(required=False, choices=[ANY, *YES_NO])
    estimated = forms.ChoiceField(required=False, choices=[ANY, *YES_NO])
    usage_state = forms.ChoiceField(label="Usage", required=False, choices=[ANY, *UsageState.choices])
    unpriced_reason = forms.ChoiceField(
        label="Reason without a price", required=False, choices=[ANY, *UnpricedReason.choices]
    )
    confidence = forms.ChoiceField(required=False, choices=[ANY, *Confidence.choices])
    voided = forms.ChoiceField(required=False, choices=[ANY, *YES_NO])
    q = forms.CharField(
        label="Search",
        required=False,
        max_length=256,
        widget=forms.TextInput(attrs={"placeholder": "Event ID, log ID or start of a model name"}),
    )

    def __init__(self, data: Mapping[str, str], account: Account, labels: Mapping[str, str], at: datetime) -> None:
        super().__init__(data, auto_id="filter-%s")
        fields: Any = self.fields
        selected = data.get("actual_provider", "")
        known = sorted(
            {*reports.providers_since(account, (at - PROVIDERS_WITHIN).date()), *([selected] if selected else [])}
        )
        fields["actual_provider"].choices = [ANY, *((slug, rulebook.provider_label(slug, labels)) for slug in known)]
        months = [
            (period.name, f"Starting {period.start.day} {period.start:%B %Y}")
            for period in reports.list_periods(account, at)
        ]
        fields["period"].choices = [("", f"Last {DEFAULT_DAYS} days"), *months, ("all", "All time")]


@require_GET
@member_required
def log_list(request: MemberRequest) -> HttpResponse:
    account, at = request.account, timezone.now()
    query, labels = _query(request), rulebook.current().labels
    form = FilterForm(query, account, labels, at)
    search = _search(form, account, at)
    page = (
        log_search.fetch_page(search.logs, size=PAGE_SIZE, cursor=_cursor(request)) if search else Page([], None, None)
    )
    context = {
        "form": form,
        "logs": [(log, rulebook.provider_label(log.display_provider, labels)) for log in page.rows],
        "newer": _page_link(query, page.previous),
        "older": _page_link(query, page.next),
        "csv": f"{reverse('usage:logs-csv')}?{urlencode(query)}",
        "filtered": bool(query),
        "archived": archived.note(account),
        "api_url": request.build_absolute_uri("/api/v1/usage/"),
        "section": "logs",
    }
    return render(request, "usage/logs.html", context, status=200 if search else 400)


@require_GET
@member_required
def log_csv(request: MemberRequest) -> HttpResponseBase:
    """The logs that match the page's filters, in the API's CSV format."""
    account, at = request.account, timezone.now()
    search = _search(FilterForm(_query(request), account, rulebook.current().labels, at), account, at)
    return (
        log_api.csv_response(search.logs)
        if search
        else HttpResponse("The filter is not valid. Correct it on the usage logs page.", status=400)
    )


@require_GET
@member_required
def log_detail(request: MemberRequest, id: UUID) -> HttpResponse:  # noqa: A002 - the URL parameter
    context = charge_page.context_for(log_api.get_log(request.account, id))
    return render(request, "usage/log.html", {**context, "section": "logs"})


def _query(request: MemberRequest) -> dict[str, str]:
    """The form's fields in the query string, without empty and unknown ones."""
    return {name: value for name in FilterForm.base_fields if (value := request.GET.get(name, ""))}


def _search(form: FilterForm, account: Account, at: datetime) -> LogSearch | None:
    """The API search for the form's filters; None with form errors if they are not valid."""
    if not form.is_valid():
        return None
    values = dict(form.cleaned_data)
    since, until, period = values.pop("since"), values.pop("until"), values.pop("period")
    texts = {name: str(value) for name, value in values.items() if value not in (None, "")}
    if since or until:
        texts |= _time_range(account, since, until)
    elif period not in ("", "all"):
        texts["period"] = period
    elif not period:
        texts["from"] = (at - timedelta(days=DEFAULT_DAYS)).isoformat()
    try:
        return log_api.search_for(query_string.parse(texts, LogParameters), account, at)
    except (Refused, BadParameter) as refused:
        form.add_error(refused.attr if refused.attr in form.fields else None, refused.detail)
        return None


def _time_range(account: Account, since: date | None, until: date | None) -> dict[str, str]:
    """The API's half-open `from` and `to` for inclusive days in the account's time zone."""
    bounds = {"from": since, "to": until + periods.DAY if until and until < date.max else until}
    return {name: periods.first_instant(account.schedule, day).isoformat() for name, day in bounds.items() if day}


def _cursor(request: MemberRequest) -> PageCursor | None:
    """The position of the page; None (newest first) without a valid cursor."""
    try:
        return PageCursor.parse(request.GET["cursor"]) if request.GET.get("cursor") else None
    except ValueError:
        return None


def _page_link(query: dict[str, str], cursor: PageCursor | None) -> str:
    return f"?{urlencode({**query, 'cursor': cursor})}" if cursor else ""
