"""Invitations to an account by e-mail: send, revoke and accept them. A token works once; only its hash is stored."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from smtplib import SMTPException
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.mail import EmailMessage
from django.db.models import Q, QuerySet
from django.template.loader import render_to_string

from billing.accounts import accounts
from billing.errors import Refused
from billing.models import Account, Invitation, Membership
from lib import retry

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MAX_OPEN_INVITATIONS = 50  # per account
MAX_EMAIL_LENGTH = 150  # of the column
RESEND_INTERVAL = timedelta(minutes=1)  # between two e-mails to one address


@retry.atomic
def invite(account: Account, *, email: str, role: str, by: str, at: datetime) -> tuple[Invitation, str]:
    """Store an invitation; return it with its token, which can't be read again later. Replaces an earlier invitation.

    Raises Refused.
    """
    email, token = email.strip().lower(), secrets.token_urlsafe(32)
    if len(email) > MAX_EMAIL_LENGTH:  # in lower case, some letters become two
        raise Refused("max_length", f"Enter an address of at most {MAX_EMAIL_LENGTH} characters.", "email")
    accounts.lock(account.pk)
    _check_invitable(account, email, at)
    invitation, _ = Invitation.objects.update_or_create(
        account=account,
        email=email,
        defaults={
            "role": role,
            "token_hash": _hash(token),
            "invited_by": by,
            "sent_at": at,
            "expires_at": at + timedelta(days=settings.INVITATION_DAYS),
            "revoked_at": None,
            "accepted_at": None,
            "accepted_by": None,
        },
    )
    return invitation, token


def _check_invitable(account: Account, email: str, at: datetime) -> None:
    if not account.active:
        raise Refused("account_inactive", "This account is not active.", "email")
    if Membership.objects.filter(account=account, user__in=users_with_email(email)).exists():
        raise Refused("already_member", "A user with this address is already a member of this account.", "email")
    others = account.invitations.exclude(email=email)
    if others.filter(accepted_at=None, revoked_at=None, expires_at__gt=at).count() >= MAX_OPEN_INVITATIONS:
        detail = f"This account has {MAX_OPEN_INVITATIONS} open invitations. Revoke some first."
        raise Refused("too_many", detail, "email")
    if account.invitations.filter(email=email, sent_at__gt=at - RESEND_INTERVAL).exists():
        raise Refused("too_soon", "An invitation was just sent to this address. Try again in a minute.", "email")


def send(invitation: Invitation, link: str) -> bool:
    """E-mail the link; return False if the mail server refuses it. There is no retry: the token is not stored."""
    text = render_to_string("usage/mail/invitation.txt", {"invitation": invitation, "link": link})
    subject = f"You're invited to {invitation.account.name or invitation.account.external_id} on Tollgate"
    try:
        EmailMessage(" ".join(subject.split()), text, to=[invitation.email]).send()
    except (OSError, SMTPException, ValueError):
        return False
    return True


@retry.atomic
def revoke(invitation: Invitation, *, at: datetime) -> bool:
    """Revoke the invitation; return False if it was not open."""
    stored = Invitation.objects.select_for_update().get(pk=invitation.pk)
    if stored.state(at) != "open":
        return False
    stored.revoked_at = at
    stored.save(update_fields=["revoked_at"])
    return True


def find(token: str) -> Invitation | None:
    """The invitation with this token, in any state."""
    return find_by_hash(_hash(token))


def find_by_hash(token_hash: str) -> Invitation | None:
    """The invitation with this token hash; None once a newer token was sent."""
    return Invitation.objects.select_related("account").filter(token_hash=token_hash).first()


@retry.atomic
def accept(invitation: Invitation, *, user: User, at: datetime) -> Membership:
    """Make the user a member of the account. Raises Refused and changes nothing if the invitation is not open."""
    stored = Invitation.objects.select_for_update().get(pk=invitation.pk)
    if stored.token_hash != invitation.token_hash or stored.state(at) != "open":
        raise Refused("invitation_ended", "This invitation is no longer open. Ask for a new one.")
    if not Account.objects.filter(pk=stored.account_id, active=True).exists():
        raise Refused("account_inactive", "This account is not active.")
    if not is_for(stored, user):
        raise Refused("another_address", "This invitation was sent to a different e-mail address.")
    stored.accepted_at, stored.accepted_by = at, user
    stored.save(update_fields=["accepted_at", "accepted_by"])
    membership, _ = Membership.objects.get_or_create(account=stored.account, user=user, defaults={"role": stored.role})
    return membership


@retry.atomic
def join(invitation: Invitation, *, password: str, at: datetime) -> User:
    """Create a user for the invited address and accept. Raises Refused and creates nobody if that is not possible."""
    Invitation.objects.select_for_update().get(pk=invitation.pk)  # submitting twice creates one user
    if users_with_email(invitation.email).exists():
        raise Refused("user_exists", "A user with this address already exists. Log in to accept the invitation.")
    user = get_user_model().objects.create_user(invitation.email, invitation.email, password)
    accept(invitation, user=user, at=at)
    return user


def is_for(invitation: Invitation, user: User) -> bool:
    return invitation.email in (user.get_username().lower(), user.email.lower())


def users_with_email(email: str) -> QuerySet[User]:
    return get_user_model().objects.filter(Q(username__iexact=email) | Q(email__iexact=email))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
