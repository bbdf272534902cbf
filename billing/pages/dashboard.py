"""The first page of a customer: where the account stands this period."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render

from billing.pages.base import MemberRequest, member


@member
def overview(request: MemberRequest) -> HttpResponse:
    """`request.account` is the account; the shell shows its name."""
    return render(request, "usage/dashboard.html", {"account": request.account, "section": "overview"})
