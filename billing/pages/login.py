"""Logging in and out, and passwords: Django's own views with the customers' templates. axes watches the log-in."""

from __future__ import annotations

from math import ceil
from typing import Any

from django.contrib.auth import views
from django.contrib.auth.forms import PasswordResetForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse_lazy

from lib import client_address, rate_limit

RESETS_FROM, RESETS_TO = "20/hour", "3/hour"  # of one client's address, to one e-mail address; per process


class LoginView(views.LoginView):
    template_name = "usage/login.html"


class LogoutView(views.LogoutView):
    """By POST only."""

    next_page = "usage:login"


class PasswordChangeView(views.PasswordChangeView):
    template_name = "usage/password.html"
    success_url = reverse_lazy("usage:password-done")


class PasswordDoneView(views.PasswordChangeDoneView):
    template_name = "usage/password_done.html"


class ResetView(views.PasswordResetView):
    """Says the same whether there is such a user or not, and whether a letter is one too many for its address or not."""

    template_name = "usage/reset.html"
    email_template_name = "usage/mail/reset.txt"
    subject_template_name = "usage/mail/reset_subject.txt"
    success_url = reverse_lazy("usage:reset-sent")

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # noqa: ANN401 - Django's own types
        if rate_limit.within(f"resets from {client_address.of_request(request)}", RESETS_FROM):
            return super().post(request, *args, **kwargs)
        form = self.get_form()
        form.add_error(None, "Too many letters were asked for from your network. Try again in an hour.")
        answer = self.render_to_response(self.get_context_data(form=form), status=429)
        answer["Retry-After"] = str(ceil(rate_limit.wait(RESETS_FROM)))
        return answer

    def form_valid(self, form: PasswordResetForm) -> HttpResponse:
        if rate_limit.within(f"resets to {form.cleaned_data['email'].lower()}", RESETS_TO):
            return super().form_valid(form)
        return redirect(str(self.success_url))


class ResetSentView(views.PasswordResetDoneView):
    template_name = "usage/reset_sent.html"


class ResetConfirmView(views.PasswordResetConfirmView):
    template_name = "usage/reset_confirm.html"
    success_url = reverse_lazy("usage:reset-done")


class ResetDoneView(views.PasswordResetCompleteView):
    template_name = "usage/reset_done.html"
