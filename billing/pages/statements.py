"""A customer's statements: list, page, printable page and CSV."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET

from billing.models import Statement
from billing.pages.base import MemberRequest, member_required
from billing.statements import statement_page
from lib import csv_stream

MAX_STATEMENTS = 500  # 40 years of months; same as the API


@require_GET
@member_required
def statement_list(request: MemberRequest) -> HttpResponse:
    newest = Statement.objects.filter(account_id=request.account.pk).select_related("plan").order_by("-period")
    rows = [statement_page.row_context(statement) for statement in newest[:MAX_STATEMENTS]]
    return render(request, "usage/statements.html", {"statements": rows, "section": "statements"})


@require_GET
@member_required
def statement_detail(request: MemberRequest, id: UUID) -> HttpResponse:  # noqa: A002 - the URL parameter
    return render(request, "usage/statement.html", {**_context(request, id), "section": "statements"})


@require_GET
@member_required
def statement_print(request: MemberRequest, id: UUID) -> HttpResponse:  # noqa: A002
    return render(request, "admin/billing/statement/print.html", _context(request, id))


@require_GET
@member_required
def statement_csv(request: MemberRequest, id: UUID) -> HttpResponseBase:  # noqa: A002
    statement = _own_statement(request, id)
    rows = statement_page.csv_rows(statement)
    return csv_stream.response(f"statement-{statement}.csv", statement_page.CSV_COLUMNS, rows)


def _context(request: MemberRequest, statement_id: UUID) -> dict[str, Any]:
    return statement_page.as_context(_own_statement(request, statement_id))


def _own_statement(request: MemberRequest, statement_id: UUID) -> Statement:
    own = Statement.objects.filter(account_id=request.account.pk, pk=statement_id).select_related("account", "plan")
    statement = own.first()
    if statement is None:
        raise Http404
    return statement
