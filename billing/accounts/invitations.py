"""Users come into an account: invited by e-mail, with a token that works once. The admin invites, the page accepts."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from smtplib import SMTPException

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Q, QuerySet
from django.template.loader import render_to_string

from billing.accounts import accounts
from billing.errors import Refused
from billing.models import Account, Invitation, Membership

MOST_OPEN = 50  # of one account
AGAIN = timedelta(minutes=1)  # one address gets no second letter within


def invite(account: Account, *, email: str, role: str, by: str, at: datetime) -> tuple[Invitation, str]:
    """The invitation, and the token that its letter carries; told only now. What was sent to the address before ends.

    Raises Refused.
    """
    email, token = email.strip().lower(), secrets.token_urlsafe(32)
    with transaction.atomic():
        accounts.lock(account.pk)
        _check(account, email, at)
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


def _check(account: Account, email: str, at: datetime) -> None:
    if not account.active:
        raise Refused("account_inactive", "This account is not active.", "email")
    if Membership.objects.filter(account=account, user__in=known_as(email)).exists():
        raise Refused("already_member", "A user with this address is in the account already.", "email")
    others = account.invitations.exclude(email=email)
    if others.filter(accepted_at=None, revoked_at=None, expires_at__gt=at).count() >= MOST_OPEN:
        raise Refused("too_many", f"{MOST_OPEN} invitations of this account are open: revoke some first.", "email")
    if account.invitations.filter(email=email, sent_at__gt=at - AGAIN).exists():
        raise Refused("too_soon", "A letter went to this address less than a minute ago.", "email")


def send(invitation: Invitation, link: str) -> bool:
    """Mail the link; False where the mail server did not take it. It is not tried again: only the link has the token."""
    told = {"invitation": invitation, "link": link}
    text = render_to_string("usage/mail/invitation.txt", told)
    subject = f"You are invited to {invitation.account.name or invitation.account.external_id} on Tollgate"
    try:
        EmailMessage(" ".join(subject.split()), text, to=[invitation.email]).send()
    except (OSError, SMTPException, ValueError):
        return False
    return True


def revoke(invitation: Invitation, *, at: datetime) -> bool:
    """Its link works no more; False where it was not open."""
    with transaction.atomic():
        stored = Invitation.objects.select_for_update().get(pk=invitation.pk)
        if stored.state(at) != "open":
            return False
        stored.revoked_at = at
        stored.save(update_fields=["revoked_at"])
    return True


def find(token: str) -> Invitation | None:
    """In whatever state it is."""
    return find_again(_hash(token))


def find_again(token_hash: str) -> Invitation | None:
    """The one that was found before, unless another letter went out since."""
    return Invitation.objects.select_related("account").filter(token_hash=token_hash).first()


def accept(invitation: Invitation, *, user: User, at: datetime) -> Membership:
    """The user is in the account from now on. Raises Refused, and changes nothing, where the invitation is not open."""
    with transaction.atomic():
        stored = Invitation.objects.select_for_update().get(pk=invitation.pk)
        if stored.token_hash != invitation.token_hash or stored.state(at) != "open":
            raise Refused("invitation_ended", "This invitation is not open any more.")
        if not Account.objects.filter(pk=stored.account_id, active=True).exists():
            raise Refused("account_inactive", "This account is not active.")
        if not is_for(stored, user):
            raise Refused("another_address", "This invitation was sent to another address.")
        stored.accepted_at, stored.accepted_by = at, user
        stored.save(update_fields=["accepted_at", "accepted_by"])
        membership, _ = Membership.objects.get_or_create(
            account=stored.account, user=user, defaults={"role": stored.role}
        )
    return membership


def join(invitation: Invitation, *, password: str, at: datetime) -> User:
    """A new user under the invited address, in the account. Raises Refused, and makes nobody, where that can't be."""
    with transaction.atomic():
        Invitation.objects.select_for_update().get(pk=invitation.pk)  # two forms of one letter make one user
        if known_as(invitation.email).exists():
            raise Refused("user_exists", "There is a user with this address: log in to accept.")
        user = User.objects.create_user(invitation.email, invitation.email, password)
        accept(invitation, user=user, at=at)
    return user


def is_for(invitation: Invitation, user: User) -> bool:
    return invitation.email in (user.get_username().lower(), user.email.lower())


def known_as(email: str) -> QuerySet[User]:
    return get_user_model().objects.filter(Q(username__iexact=email) | Q(email__iexact=email))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
