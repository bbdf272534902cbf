"""Invitation pages: a new user chooses a password; an existing user logs in and accepts.

The emailed link redirects at once to an address without the token, to keep it out of referrers and logs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms
from django.contrib.auth import get_user_model, login, password_validation
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_GET, require_http_methods

from billing.accounts import invitations
from billing.accounts.access import SESSION_ACCOUNT_KEY
from billing.errors import Refused
from billing.models import Invitation

if TYPE_CHECKING:
    from django.contrib.auth.models import User

SESSION_KEY = "invitation"  # session key of the invitation's token hash
BACKEND = "django.contrib.auth.backends.ModelBackend"


class PasswordForm(forms.Form):
    """A new password, entered twice and checked by Django's validators."""

    password = forms.CharField(
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=password_validation.password_validators_help_text_html(),
    )
    again = forms.CharField(
        label="Confirm password", strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )

    def __init__(self, email: str, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.user = get_user_model()(username=email, email=email)

    def clean_again(self) -> str:
        first, again = self.cleaned_data.get("password"), str(self.cleaned_data["again"])
        if first and first != again:
            raise ValidationError("The passwords do not match. Enter the same password twice.")
        password_validation.validate_password(again, self.user)
        return again


@require_GET
@never_cache
@sensitive_variables("token")
def follow(request: HttpRequest, token: str) -> HttpResponse:
    """Target of the emailed link."""
    invitation = invitations.find(token)
    if invitation is None:
        return render(request, "usage/invitation_ended.html", {"state": "unknown"}, status=404)
    request.session[SESSION_KEY] = invitation.token_hash
    return redirect("usage:invitation")


@require_http_methods(["GET", "POST"])
@never_cache
@sensitive_post_parameters("password", "again")
def invitation_page(request: HttpRequest) -> HttpResponse:
    invitation, at = invitations.find_by_hash(request.session.get(SESSION_KEY, "")), timezone.now()
    if invitation is None:
        return render(request, "usage/invitation_ended.html", {"state": "unknown"}, status=404)
    state = invitation.state(at)
    if state != "open" or not invitation.account.active:
        return render(request, "usage/invitation_ended.html", {"state": state, "invitation": invitation}, status=410)
    if request.user.is_authenticated:
        return _accept(request, invitation, request.user)
    if invitations.users_with_email(invitation.email).exists():
        return render(request, "usage/invitation_login.html", {"invitation": invitation})
    return _join(request, invitation)


def _accept(request: HttpRequest, invitation: Invitation, user: User) -> HttpResponse:
    """For a logged-in user, who may not be the person invited."""
    if not invitations.is_for(invitation, user):
        return render(request, "usage/invitation_other.html", {"invitation": invitation}, status=403)
    if request.method == "POST":
        try:
            invitations.accept(invitation, user=user, at=timezone.now())
        except Refused as refused:
            return _refuse(request, refused)
        return _enter_account(request, invitation)
    return render(request, "usage/invitation_accept.html", {"invitation": invitation})


def _join(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    form = PasswordForm(invitation.email, request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            user = invitations.join(invitation, password=form.cleaned_data["again"], at=timezone.now())
        except Refused as refused:
            return _refuse(request, refused)
        login(request, user, backend=BACKEND)
        return _enter_account(request, invitation)
    return render(request, "usage/invitation_join.html", {"invitation": invitation, "form": form})


def _enter_account(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    request.session.pop(SESSION_KEY, None)
    request.session[SESSION_ACCOUNT_KEY] = invitation.account_id
    return redirect("usage:overview")


def _refuse(request: HttpRequest, refused: Refused) -> HttpResponse:
    return render(request, "usage/invitation_ended.html", {"state": "refused", "reason": refused.detail}, status=410)
