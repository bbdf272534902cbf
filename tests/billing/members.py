"""Customers for tests: accounts, users who are their members, and logged-in clients."""

from __future__ import annotations

from datetime import UTC, datetime

from django.contrib.auth.models import User
from django.test import Client

from billing.accounts import accounts
from billing.models import Account, Membership

CREATED_AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def create_account(external_id: str, **fields: str) -> Account:
    account = accounts.build(external_id=external_id, at=CREATED_AT, **fields)  # type: ignore[arg-type]  # texts only
    account.save(force_insert=True)
    return account


def create_user(*member_of: Account, name: str = "customer@example.com") -> User:
    user = User.objects.create_user(name, name, "a-long-password")
    for account in member_of:
        Membership.objects.create(user=user, account=account)
    return user


def logged_in_client(*member_of: Account, name: str = "customer@example.com") -> Client:
    client = Client()
    client.force_login(create_user(*member_of, name=name))
    return client
