"""Invitations of users into accounts: sent, sent again and revoked by confirmed steps; the list shows which are open."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html

from billing.accounts import invitations
from billing.admin import confirm
from billing.admin.filters import AccountFilter
from billing.models import Account, Invitation, Membership
from lib import changelist

MAY_INVITE, MAY_CHANGE = "billing.add_invitation", "billing.change_invitation"
BADGES = {"open": "warning", "accepted": "ok", "revoked": "unknown", "expired": "unknown"}


class InviteForm(forms.Form):
    email = forms.EmailField(label="E-mail address", max_length=150, widget=forms.EmailInput({"class": "vTextField"}))
    role = forms.ChoiceField(
        choices=Membership.Role.choices,
        initial=Membership.Role.MEMBER,
        help_text="Owners are told of the account's alerts by e-mail; what they see is the same.",
    )


@admin.register(Invitation)
class InvitationAdmin(changelist.ReadOnlyAdmin):
    empty_state = "Nobody is invited. An account's page has a button that invites a user."
    list_display = ("email", "account", "role", "state_badge", "sent", "expires", "invited_by")
    list_filter = (AccountFilter,)
    list_select_related = ("account",)
    ordering = ("-sent_at", "-id")
    search_fields = ("email__startswith", "account__external_id__startswith")
    fields = ("email", "account", "role", "state_badge", "sent", "expires", "invited_by", "accepted_at", "accepted_by")
    readonly_fields = fields
    change_form_template = "admin/billing/invitation/change_form.html"

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("invite/<int:account_id>/", view(self.invite), name="billing_invitation_invite"),
            path("<int:pk>/again/", view(self.again), name="billing_invitation_again"),
            path("<int:pk>/revoke/", view(self.revoke), name="billing_invitation_revoke"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        one = self.get_object(request, object_id)
        state = one.state(timezone.now()) if one else ""
        may = {
            "may_revoke": state == "open" and request.user.has_perm(MAY_CHANGE),
            "may_send": state in ("open", "expired", "revoked") and request.user.has_perm(MAY_INVITE),
            "title": "Invitation",
        }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **may})

    def invite(self, request: HttpRequest, account_id: int) -> HttpResponse:
        _check(request, MAY_INVITE)
        account = Account.objects.filter(pk=account_id).first()
        if account is None:
            raise Http404
        return confirm.confirm(
            request,
            title="Invite a user",
            sentences=(
                f"A letter with a link goes to this address. Whoever opens it may see the account {account} then.",
                "The link works once, and only for a user of this address.",
            ),
            form=InviteForm,
            work=lambda values: _invited(request, account, values),
            about=str(account),
            back=reverse("admin:billing_account_change", args=[account.pk]),
        )

    def again(self, request: HttpRequest, pk: int) -> HttpResponse:
        _check(request, MAY_INVITE)
        one = _found(pk)
        return confirm.confirm(
            request,
            title="Send again",
            sentences=(f"A new letter goes to {one.email}; the link of the last one works no more.",),
            form=forms.Form,
            work=lambda _: _invited(request, one.account, {"email": one.email, "role": one.role}),
            about=str(one),
            back=reverse("admin:billing_invitation_change", args=[one.pk]),
        )

    def revoke(self, request: HttpRequest, pk: int) -> HttpResponse:
        _check(request, MAY_CHANGE)
        one = _found(pk)

        def work(_values: dict[str, Any]) -> str:
            done = invitations.revoke(one, at=timezone.now())
            return "Revoked: the link works no more." if done else "It was not open: nothing was changed."

        return confirm.confirm(
            request,
            title="Revoke",
            sentences=(f"The link that went to {one.email} works no more.",),
            form=forms.Form,
            work=work,
            about=str(one),
            back=reverse("admin:billing_invitation_change", args=[one.pk]),
        )

    @admin.display(description="State")
    def state_badge(self, one: Invitation) -> str:
        state = one.state(timezone.now())
        return format_html('<span class="badge {}">{}</span>', BADGES[state], state)

    @admin.display(description="Sent (UTC)")
    def sent(self, one: Invitation) -> str:
        return f"{one.sent_at:%Y-%m-%d %H:%M}"

    @admin.display(description="Expires (UTC)")
    def expires(self, one: Invitation) -> str:
        return f"{one.expires_at:%Y-%m-%d %H:%M}"


def _check(request: HttpRequest, permission: str) -> None:
    if not request.user.has_perm(permission):
        raise PermissionDenied


def _found(pk: int) -> Invitation:
    one = Invitation.objects.select_related("account").filter(pk=pk).first()
    if one is None:
        raise Http404
    return one


def _invited(request: HttpRequest, account: Account, values: dict[str, Any]) -> str:
    """What came of it. A letter that did not go out leaves an invitation that can be sent again."""
    by = request.user.get_username()
    one, token = invitations.invite(account, **values, by=by, at=timezone.now())
    link = request.build_absolute_uri(reverse("usage:invitation-follow", args=[token]))
    if not invitations.send(one, link):
        messages.error(request, "The mail server did not take the letter. Send it again in a minute.")
        return f"The invitation of {one.email} is open, but nobody was told."
    return f"The invitation of {one.email} is open until {one.expires_at:%Y-%m-%d %H:%M} UTC."
