"""A customer's usage logs: every filter of the API as a form, older and newer pages, CSV, and a log with its explanation."""

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
from billing.archive import archived
from billing.dashboards import charge_page
from billing.errors import Refused
from billing.ledger import log_search
from billing.ledger.log_search import Search
from billing.models import Account, Category, Confidence
from billing.pages.base import MemberRequest, member
from billing.reports import reports
from lib import periods
from lib.keyset import Mark, Page
from providers import rulebook

SIZE = 50
RECENT = 31  # days, unless another time is chosen: no filter reads a whole log
OFFERED = timedelta(days=366)  # so long ago a provider may have served, to be one to choose
ANY = ("", "any")
YES_NO = (("true", "yes"), ("false", "no"))


class FilterForm(forms.Form):
    """The filters under their names in the API; `from` and `to` are days of the account, both of them included."""

    period = forms.ChoiceField(required=False)
    since = forms.DateField(label="From", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label="To", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    actual_provider = forms.ChoiceField(label="Provider", required=False)
    provider = forms.CharField(label="Declared provider", required=False, max_length=50)
    category = forms.ChoiceField(required=False, choices=[ANY, *Category.choices])
    model = forms.CharField(required=False, max_length=200)
    status = forms.ChoiceField(required=False, choices=[ANY, ("success", "success"), ("failed", "failed")])
    status_code = forms.IntegerField(required=False, min_value=100, max_value=599)
    priced = forms.ChoiceField(required=False, choices=[ANY, *YES_NO])
    confidence = forms.ChoiceField(required=False, choices=[ANY, *Confidence.choices])
    voided = forms.ChoiceField(required=False, choices=[ANY, *YES_NO])
    q = forms.CharField(
        label="Search",
        required=False,
        max_length=256,
        widget=forms.TextInput(attrs={"placeholder": "Event id, log id, or start of a model"}),
    )

    def __init__(self, data: Mapping[str, str], account: Account, labels: Mapping[str, str], at: datetime) -> None:
        super().__init__(data, auto_id="filter-%s")
        fields: Any = self.fields
        chosen = data.get("actual_provider", "")
        known = sorted({*reports.providers_since(account, (at - OFFERED).date()), *([chosen] if chosen else [])})
        fields["actual_provider"].choices = [ANY, *((slug, reports.label_of(slug, labels)) for slug in known)]
        months = [(one.name, f"from {one.start:%d %B %Y}") for one in reports.periods_of(account, at)]
        fields["period"].choices = [("", f"last {RECENT} days"), *months, ("all", "any time")]


@require_GET
@member
def page(request: MemberRequest) -> HttpResponse:
    account, at = request.account, timezone.now()
    query, labels = _query(request), rulebook.current().labels
    form = FilterForm(query, account, labels, at)
    search = _search(form, account, at)
    found = log_search.page(search.found, size=SIZE, mark=_mark(request)) if search else Page([], None, None)
    shown = {
        "form": form,
        "logs": [(one, reports.label_of(one.shown_provider, labels)) for one in found.rows],
        "newer": _link(query, found.previous),
        "older": _link(query, found.next),
        "csv": f"{reverse('usage:logs-csv')}?{urlencode(query)}",
        "filtered": bool(query),
        "archived": archived.told(account),
        "api_url": request.build_absolute_uri("/api/v1/usage/"),
        "section": "logs",
    }
    return render(request, "usage/logs.html", shown, status=200 if search else 400)


@require_GET
@member
def csv(request: MemberRequest) -> HttpResponseBase:
    """What the page's filters find, as the API's CSV."""
    account, at = request.account, timezone.now()
    search = _search(FilterForm(_query(request), account, rulebook.current().labels, at), account, at)
    return log_api.csv_of(search.found) if search else HttpResponse("No such filter.", status=400)


@require_GET
@member
def one(request: MemberRequest, id: UUID) -> HttpResponse:  # noqa: A002 - as in the API
    shown = charge_page.shown(log_api.log_of(request.account, id))
    return render(request, "usage/log.html", {**shown, "section": "logs"})


def _query(request: MemberRequest) -> dict[str, str]:
    """What was asked for, by the form's names; whatever else stands in the address is not ours."""
    return {name: value for name in FilterForm.base_fields if (value := request.GET.get(name, ""))}


def _search(form: FilterForm, account: Account, at: datetime) -> Search | None:
    """The search of the API that the form means; None where it means none, and the form says why."""
    if not form.is_valid():
        return None
    values = dict(form.cleaned_data)
    since, until, period = values.pop("since"), values.pop("until"), values.pop("period")
    asked = {name: str(value) for name, value in values.items() if value not in (None, "")}
    if since or until:
        asked |= _days(account, since, until)
    elif period not in ("", "all"):
        asked["period"] = period
    elif not period:
        asked["from"] = (at - timedelta(days=RECENT)).isoformat()
    try:
        return log_api.search_of(asked, account, at)
    except Refused as refused:
        form.add_error(refused.attr if refused.attr in form.fields else None, refused.detail)
        return None


def _days(account: Account, since: date | None, until: date | None) -> dict[str, str]:
    """From the first instant of a day to the last one of another, by the account's clock."""
    ends = {"from": since, "to": until + periods.DAY if until and until < date.max else until}
    return {name: periods.starts_at(account.schedule, day).isoformat() for name, day in ends.items() if day}


def _mark(request: MemberRequest) -> Mark | None:
    """A cursor that is none begins at the newest."""
    try:
        return Mark.parse(request.GET["cursor"]) if request.GET.get("cursor") else None
    except ValueError:
        return None


def _link(query: dict[str, str], mark: Mark | None) -> str:
    return f"?{urlencode({**query, 'cursor': mark})}" if mark else ""
