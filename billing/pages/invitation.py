"""The page of an invitation: a new user chooses a password, one who is there already logs in and accepts.

The link leads on to an address without the token at once, so that no further address, referrer or log has it.
"""

from __future__ import annotations

from django import forms
from django.contrib.auth import login, password_validation
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_GET, require_http_methods

from billing.accounts import invitations
from billing.accounts.access import CHOSEN
from billing.errors import Refused
from billing.models import Invitation

KEPT = "invitation"  # in the session: the hash of its token
BACKEND = "django.contrib.auth.backends.ModelBackend"


class PasswordForm(forms.Form):
    """Twice the same, and good enough for Django's validators."""

    password = forms.CharField(
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=password_validation.password_validators_help_text_html(),
    )
    again = forms.CharField(
        label="Password again", strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )

    def __init__(self, email: str, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.user = User(username=email, email=email)

    def clean_again(self) -> str:
        first, again = self.cleaned_data.get("password"), str(self.cleaned_data["again"])
        if first and first != again:
            raise ValidationError("The two passwords are not the same.")
        password_validation.validate_password(again, self.user)
        return again


@require_GET
@never_cache
@sensitive_variables("token")
def follow(request: HttpRequest, token: str) -> HttpResponse:
    """The link of the letter."""
    invitation = invitations.find(token)
    if invitation is None:
        return render(request, "usage/invitation_ended.html", {"state": "unknown"}, status=404)
    request.session[KEPT] = invitation.token_hash
    return redirect("usage:invitation")


@require_http_methods(["GET", "POST"])
@never_cache
@sensitive_post_parameters("password", "again")
def page(request: HttpRequest) -> HttpResponse:
    invitation, at = invitations.find_again(request.session.get(KEPT, "")), timezone.now()
    if invitation is None:
        return render(request, "usage/invitation_ended.html", {"state": "unknown"}, status=404)
    state = invitation.state(at)
    if state != "open" or not invitation.account.active:
        return render(request, "usage/invitation_ended.html", {"state": state, "invitation": invitation}, status=410)
    if isinstance(request.user, User):
        return _accept(request, invitation, request.user)
    if invitations.known_as(invitation.email).exists():
        return render(request, "usage/invitation_login.html", {"invitation": invitation})
    return _join(request, invitation)


def _accept(request: HttpRequest, invitation: Invitation, user: User) -> HttpResponse:
    """Somebody is logged in: whoever was invited, or another."""
    if not invitations.is_for(invitation, user):
        return render(request, "usage/invitation_other.html", {"invitation": invitation}, status=403)
    if request.method == "POST":
        try:
            invitations.accept(invitation, user=user, at=timezone.now())
        except Refused as refused:
            return _ended(request, refused)
        return _in(request, invitation)
    return render(request, "usage/invitation_accept.html", {"invitation": invitation})


def _join(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    form = PasswordForm(invitation.email, request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            user = invitations.join(invitation, password=form.cleaned_data["again"], at=timezone.now())
        except Refused as refused:
            return _ended(request, refused)
        login(request, user, backend=BACKEND)
        return _in(request, invitation)
    return render(request, "usage/invitation_join.html", {"invitation": invitation, "form": form})


def _in(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    request.session.pop(KEPT, None)
    request.session[CHOSEN] = invitation.account_id
    return redirect("usage:overview")


def _ended(request: HttpRequest, refused: Refused) -> HttpResponse:
    return render(request, "usage/invitation_ended.html", {"state": "refused", "reason": refused.detail}, status=410)
