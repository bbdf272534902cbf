"""Invitations of users to accounts: send, resend and revoke, each after a confirmation."""

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

INVITE_PERMISSION, CHANGE_PERMISSION = "billing.add_invitation", "billing.change_invitation"
BADGES = {"open": "warning", "accepted": "ok", "revoked": "unknown", "expired": "unknown"}


class InviteForm(forms.Form):
    email = forms.EmailField(label="E-mail address", max_length=150, widget=forms.EmailInput({"class": "vTextField"}))
    role = forms.ChoiceField(
        choices=Membership.Role.choices,
        initial=Membership.Role.MEMBER,
        help_text="Owners also receive the account's alerts by e-mail. Owners and members see the same pages.",
    )


@admin.register(Invitation)
class InvitationAdmin(changelist.ReadOnlyAdmin):
    empty_state = "No invitations yet. To invite a user, open an account and choose “Invite a user”."
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
            path("<int:pk>/again/", view(self.resend), name="billing_invitation_again"),
            path("<int:pk>/revoke/", view(self.revoke), name="billing_invitation_revoke"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        invitation = self.get_object(request, object_id)
        state = invitation.state(timezone.now()) if invitation else ""
        extra = {
            "may_revoke": state == "open" and request.user.has_perm(CHANGE_PERMISSION),
            "may_send": state in ("open", "expired", "revoked") and request.user.has_perm(INVITE_PERMISSION),
            "title": "Invitation",
        }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **extra})

    def invite(self, request: HttpRequest, account_id: int) -> HttpResponse:
        _check(request, INVITE_PERMISSION)
        account = Account.objects.filter(pk=account_id).first()
        if account is None:
            raise Http404
        return confirm.confirm(
            request,
            title="Invite a user",
            sentences=(
                f"An e-mail with a link is sent to this address. Accepting it gives access to account {account}.",
                "The link works once, and only for a user with this address.",
            ),
            form_class=InviteForm,
            action=lambda values: _send_invitation(request, account, values),
            parent_title=str(account),
            back_url=reverse("admin:billing_account_change", args=[account.pk]),
        )

    def resend(self, request: HttpRequest, pk: int) -> HttpResponse:
        _check(request, INVITE_PERMISSION)
        invitation = _get_invitation(pk)
        return confirm.confirm(
            request,
            title="Resend invitation",
            sentences=(f"A new e-mail is sent to {invitation.email}. The previous link stops working.",),
            form_class=forms.Form,
            action=lambda _: _send_invitation(
                request, invitation.account, {"email": invitation.email, "role": invitation.role}
            ),
            parent_title=str(invitation),
            back_url=reverse("admin:billing_invitation_change", args=[invitation.pk]),
        )

    def revoke(self, request: HttpRequest, pk: int) -> HttpResponse:
        _check(request, CHANGE_PERMISSION)
        invitation = _get_invitation(pk)

        def revoke(_values: dict[str, Any]) -> str:
            is_revoked = invitations.revoke(invitation, at=timezone.now())
            return (
                "Revoked. The link no longer works." if is_revoked else "Nothing changed: the invitation was not open."
            )

        return confirm.confirm(
            request,
            title="Revoke invitation",
            sentences=(f"The link sent to {invitation.email} stops working.",),
            form_class=forms.Form,
            action=revoke,
            parent_title=str(invitation),
            back_url=reverse("admin:billing_invitation_change", args=[invitation.pk]),
        )

    @admin.display(description="State")
    def state_badge(self, invitation: Invitation) -> str:
        state = invitation.state(timezone.now())
        return format_html('<span class="badge {}">{}</span>', BADGES[state], state)

    @admin.display(description="Sent (UTC)")
    def sent(self, invitation: Invitation) -> str:
        return f"{invitation.sent_at:%Y-%m-%d %H:%M}"

    @admin.display(description="Expires (UTC)")
    def expires(self, invitation: Invitation) -> str:
        return f"{invitation.expires_at:%Y-%m-%d %H:%M}"


def _check(request: HttpRequest, permission: str) -> None:
    if not request.user.has_perm(permission):
        raise PermissionDenied


def _get_invitation(pk: int) -> Invitation:
    invitation = Invitation.objects.select_related("account").filter(pk=pk).first()
    if invitation is None:
        raise Http404
    return invitation


def _send_invitation(request: HttpRequest, account: Account, values: dict[str, Any]) -> str:
    """Create and e-mail an invitation; returns a message. If the e-mail fails, the invitation stays and can be resent."""
    by = request.user.get_username()
    invitation, token = invitations.invite(account, **values, by=by, at=timezone.now())
    link = request.build_absolute_uri(reverse("usage:invitation-follow", args=[token]))
    if not invitations.send(invitation, link):
        messages.error(request, "The mail server did not accept the e-mail. Resend the invitation in a minute.")
        return f"The invitation for {invitation.email} was created, but no e-mail was sent."
    return f"Invitation sent to {invitation.email}. It expires on {invitation.expires_at:%Y-%m-%d %H:%M} UTC."
