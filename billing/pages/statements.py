"""A customer's statements: the list, one of them, on paper and as CSV."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET

from billing.models import Statement
from billing.pages.base import MemberRequest, member
from billing.statements import statement_page
from lib import csv_stream, money

MOST = 500  # as in the API: forty years of months


@require_GET
@member
def page(request: MemberRequest) -> HttpResponse:
    found = Statement.objects.filter(account_id=request.account.pk).select_related("plan").order_by("-period")[:MOST]
    rows = [{**statement_page.shown(one), "used": money.format_usd(one.usage_nano)} for one in found]
    return render(request, "usage/statements.html", {"statements": rows, "section": "statements"})


@require_GET
@member
def one(request: MemberRequest, id: UUID) -> HttpResponse:  # noqa: A002 - as in the API
    return render(request, "usage/statement.html", {**_shown(request, id), "section": "statements"})


@require_GET
@member
def printable(request: MemberRequest, id: UUID) -> HttpResponse:  # noqa: A002
    return render(request, "admin/billing/statement/print.html", _shown(request, id))


@require_GET
@member
def csv(request: MemberRequest, id: UUID) -> HttpResponseBase:  # noqa: A002
    found = _own(request, id)
    return csv_stream.response(f"statement-{found}.csv", statement_page.COLUMNS, statement_page.rows(found))


def _shown(request: MemberRequest, id: UUID) -> dict[str, Any]:  # noqa: A002
    return statement_page.shown(_own(request, id))


def _own(request: MemberRequest, id: UUID) -> Statement:  # noqa: A002
    found = Statement.objects.filter(account_id=request.account.pk, pk=id).select_related("account", "plan").first()
    if found is None:
        raise Http404
    return found
