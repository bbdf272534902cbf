"""Statements of closed periods: view, print, export as CSV, mark as paid. Their figures never change."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html

from billing.admin import confirm
from billing.models import Statement
from billing.statements import statement_page, statements
from lib import changelist, csv_stream, money

State = Statement.State
PAY_PERMISSION = "billing.change_statement"


class PaymentForm(forms.Form):
    note = forms.CharField(
        max_length=500,
        required=False,
        help_text="How it was paid, for example the bank's reference number.",
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )


@admin.register(Statement)
class StatementAdmin(changelist.ReadOnlyAdmin):
    empty_state = "No statements yet. A statement is created when a usage period closes, a few days after it ends."
    list_display = ("name", "account", "plan", "used", "due", "status", "due_by")
    list_filter = ("state",)
    list_select_related = ("account", "plan")
    ordering = ("-period", "-id")
    search_fields = ("account__external_id__startswith",)
    change_form_template = "admin/billing/statement/change_form.html"

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("<uuid:id>/print/", view(self.printable), name="billing_statement_print"),
            path("<uuid:id>/csv/", view(self.csv), name="billing_statement_csv"),
            path("<uuid:id>/pay/", view(self.pay), name="billing_statement_pay"),
            *super().get_urls(),
        ]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup == "account" or super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        statement = self.get_object(request, object_id)
        may_pay = statement is not None and statement.state == State.OPEN and request.user.has_perm(PAY_PERMISSION)
        extra = _context(statement) | {"may_pay": may_pay} if statement else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **extra})

    def printable(self, request: HttpRequest, id: Any) -> HttpResponse:  # noqa: A002, ANN401 - a UUID from the URL
        return render(request, "admin/billing/statement/print.html", _context(self._get_statement(request, id)))

    def csv(self, request: HttpRequest, id: Any) -> HttpResponseBase:  # noqa: A002, ANN401
        statement = self._get_statement(request, id)
        return csv_stream.response(
            f"statement-{statement}.csv", statement_page.CSV_COLUMNS, statement_page.csv_rows(statement)
        )

    def pay(self, request: HttpRequest, id: Any) -> HttpResponse:  # noqa: A002, ANN401
        if not request.user.has_perm(PAY_PERMISSION):
            raise PermissionDenied
        statement = self._get_statement(request, id)

        def mark_paid(values: dict[str, Any]) -> str:
            paid = statements.mark_paid(
                statement, actor=request.user.get_username(), note=values["note"], at=timezone.now()
            )
            return "Marked as paid." if paid else "Nothing changed: this statement was not open."

        return confirm.confirm(
            request,
            title="Mark as paid",
            sentences=(
                f"Records that {statement.account} has paid {_due(statement)} for {statement}.",
                "If no other statement is overdue, a past-due or suspended subscription becomes active again.",
            ),
            form_class=PaymentForm,
            action=mark_paid,
            parent_title=f"Statement for {statement}",
            back_url=reverse("admin:billing_statement_change", args=[statement.pk]),
        )

    def _get_statement(self, request: HttpRequest, id: Any) -> Statement:  # noqa: A002, ANN401
        if not self.has_view_permission(request):
            raise PermissionDenied
        statement = Statement.objects.select_related("account", "plan").filter(pk=id).first()
        if statement is None:
            raise Http404
        return statement

    @admin.display(description="Period", ordering="-period")
    def name(self, statement: Statement) -> str:
        return str(statement)

    @admin.display(description="Usage at cost")
    def used(self, statement: Statement) -> str:
        return format_html('<span class="num">{}</span>', money.format_usd(statement.usage_nano))

    @admin.display(description="Amount due")
    def due(self, statement: Statement) -> str:
        return format_html('<span class="num">{}</span>', _due(statement))

    @admin.display(description="Status")
    def status(self, statement: Statement) -> str:
        return format_html(
            '<span class="badge {}">{}</span>',
            statement_page.BADGES[State(statement.state)],
            statement.get_state_display(),
        )

    @admin.display(description="Due by")
    def due_by(self, statement: Statement) -> str:
        return f"{statement.due_at:%Y-%m-%d}" if statement.due_at else "-"


def _due(statement: Statement) -> str:
    return money.format_usd(statement.total_cents * money.CENT)


def _context(statement: Statement) -> dict[str, Any]:
    """The template context; `with_payment` shows who recorded the payment, to operators only."""
    return {**statement_page.as_context(statement), "with_payment": True, "title": "Statement"}
