"""Customers for tests: users who are members of accounts, and accounts beside the usual one."""

from __future__ import annotations

from datetime import UTC, datetime

from django.contrib.auth.models import User
from django.test import Client

from billing.accounts import accounts
from billing.models import Account, Membership

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def account(external_id: str, **other: str) -> Account:
    one = accounts.new(external_id=external_id, at=AT, **other)  # type: ignore[arg-type]  # texts only
    one.save(force_insert=True)
    return one


def user(*members: Account, name: str = "customer@example.com") -> User:
    made = User.objects.create_user(name, name, "a-long-password")
    for one in members:
        Membership.objects.create(user=made, account=one)
    return made


def client(*members: Account, name: str = "customer@example.com") -> Client:
    """Logged in."""
    one = Client()
    one.force_login(user(*members, name=name))
    return one
