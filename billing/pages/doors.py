"""Logging in and out, and passwords: Django's own views with the customers' templates. axes watches the log-in."""

from __future__ import annotations

from django.contrib.auth import views
from django.urls import reverse_lazy


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
    """Says the same whether there is such a user or not."""

    template_name = "usage/reset.html"
    email_template_name = "usage/mail/reset.txt"
    subject_template_name = "usage/mail/reset_subject.txt"
    success_url = reverse_lazy("usage:reset-sent")


class ResetSentView(views.PasswordResetDoneView):
    template_name = "usage/reset_sent.html"


class ResetConfirmView(views.PasswordResetConfirmView):
    template_name = "usage/reset_confirm.html"
    success_url = reverse_lazy("usage:reset-done")


class ResetDoneView(views.PasswordResetCompleteView):
    template_name = "usage/reset_done.html"
