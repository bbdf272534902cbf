"""Statements of closed periods: to look at, to print, as CSV, and marked as paid. Their figures never change."""

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
MAY_PAY = "billing.change_statement"


class PaymentForm(forms.Form):
    note = forms.CharField(
        max_length=500,
        required=False,
        help_text="How it was paid, such as a number of the bank.",
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )


@admin.register(Statement)
class StatementAdmin(changelist.ReadOnlyAdmin):
    empty_state = "A statement is made when a usage period is closed, a few days after its end."
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
        one = self.get_object(request, object_id)
        may_pay = one is not None and one.state == State.OPEN and request.user.has_perm(MAY_PAY)
        extra = _page(one) | {"may_pay": may_pay} if one else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **extra})

    def printable(self, request: HttpRequest, id: Any) -> HttpResponse:  # noqa: A002, ANN401 - a UUID, of the address
        return render(request, "admin/billing/statement/print.html", _page(self._seen(request, id)))

    def csv(self, request: HttpRequest, id: Any) -> HttpResponseBase:  # noqa: A002, ANN401
        one = self._seen(request, id)
        return csv_stream.response(f"statement-{one}.csv", statement_page.COLUMNS, statement_page.rows(one))

    def pay(self, request: HttpRequest, id: Any) -> HttpResponse:  # noqa: A002, ANN401
        if not request.user.has_perm(MAY_PAY):
            raise PermissionDenied
        one = self._seen(request, id)

        def work(values: dict[str, Any]) -> str:
            paid = statements.mark_paid(one, actor=request.user.get_username(), note=values["note"], at=timezone.now())
            return "Marked as paid." if paid else "Nothing was open on this statement."

        return confirm.confirm(
            request,
            title="Mark as paid",
            sentences=(f"{_due(one)} of {one.account} for {one}. What was suspended for it runs again.",),
            form=PaymentForm,
            work=work,
            about=f"Statement of {one}",
            back=reverse("admin:billing_statement_change", args=[one.pk]),
        )

    def _seen(self, request: HttpRequest, id: Any) -> Statement:  # noqa: A002, ANN401
        if not self.has_view_permission(request):
            raise PermissionDenied
        one = Statement.objects.select_related("account", "plan").filter(pk=id).first()
        if one is None:
            raise Http404
        return one

    @admin.display(description="Period", ordering="-period")
    def name(self, one: Statement) -> str:
        return str(one)

    @admin.display(description="Usage at cost")
    def used(self, one: Statement) -> str:
        return format_html('<span class="num">{}</span>', money.format_usd(one.usage_nano))

    @admin.display(description="Amount due")
    def due(self, one: Statement) -> str:
        return format_html('<span class="num">{}</span>', _due(one))

    @admin.display(description="Status")
    def status(self, one: Statement) -> str:
        return format_html(
            '<span class="badge {}">{}</span>', statement_page.BADGES[State(one.state)], one.get_state_display()
        )

    @admin.display(description="Due by")
    def due_by(self, one: Statement) -> str:
        return f"{one.due_at:%Y-%m-%d}" if one.due_at else "-"


def _due(one: Statement) -> str:
    return money.format_usd(one.total_cents * money.CENT)


def _page(one: Statement) -> dict[str, Any]:
    """Who noted a payment is the operators' affair."""
    return {**statement_page.shown(one), "with_payment": True, "title": "Statement"}
