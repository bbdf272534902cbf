"""Login, logout and passwords: Django's views with the customers' templates. django-axes locks out repeated failures."""

from __future__ import annotations

from math import ceil
from typing import Any

from django.contrib.auth import views
from django.contrib.auth.forms import PasswordResetForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse_lazy

from lib import client_address, rate_limit

RESETS_PER_CLIENT = "20/hour"  # requests from one IP address, per process
RESETS_PER_ADDRESS = "3/hour"  # e-mails to one address, per process


class LoginView(views.LoginView):
    template_name = "usage/login.html"


class LogoutView(views.LogoutView):
    """POST only."""

    next_page = "usage:login"


class PasswordChangeView(views.PasswordChangeView):
    template_name = "usage/password.html"
    success_url = reverse_lazy("usage:password-done")


class PasswordDoneView(views.PasswordChangeDoneView):
    template_name = "usage/password_done.html"


class ResetView(views.PasswordResetView):
    """Responds the same whether or not the user exists and the e-mail is sent, to reveal nothing about users."""

    template_name = "usage/reset.html"
    email_template_name = "usage/mail/reset.txt"
    subject_template_name = "usage/mail/reset_subject.txt"
    success_url = reverse_lazy("usage:reset-sent")

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # noqa: ANN401 - Django's own types
        if rate_limit.allow(f"resets from {client_address.network_of(request)}", RESETS_PER_CLIENT):
            return super().post(request, *args, **kwargs)
        form = self.get_form()
        form.add_error(None, "Too many password resets were requested from your network. Try again in an hour.")
        response = self.render_to_response(self.get_context_data(form=form), status=429)
        response["Retry-After"] = str(ceil(rate_limit.seconds_until_reset(RESETS_PER_CLIENT)))
        return response

    def form_valid(self, form: PasswordResetForm) -> HttpResponse:
        if rate_limit.allow(f"resets to {form.cleaned_data['email'].lower()}", RESETS_PER_ADDRESS):
            return super().form_valid(form)
        return redirect(str(self.success_url))


class ResetSentView(views.PasswordResetDoneView):
    template_name = "usage/reset_sent.html"


class ResetConfirmView(views.PasswordResetConfirmView):
    template_name = "usage/reset_confirm.html"
    success_url = reverse_lazy("usage:reset-done")


class ResetDoneView(views.PasswordResetCompleteView):
    template_name = "usage/reset_done.html"
