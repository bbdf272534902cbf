"""Accounts in the admin: created, deactivated, never deleted; a new anchor or time zone applies from the next period."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.test import Client

from billing.models import Account
from lib import ids
from tests.conftest import Api

pytestmark = pytest.mark.django_db
ACCOUNTS = "/admin/billing/account/"
EMPTY_INLINES = {
    f"{inline}-{form}_FORMS": "0" for inline in ("memberships", "limit_overrides") for form in ("TOTAL", "INITIAL")
}


def test_an_account_is_created_with_its_key_and_first_period(admin_client: Client) -> None:
    form = {"external_id": "acme", "timezone": "Europe/Berlin", "anchor_day": "31", "active": "on", **EMPTY_INLINES}
    admin_client.post(f"{ACCOUNTS}add/", form)

    account = Account.objects.get()
    assert (account.external_id, account.external_key, account.anchor_day) == ("acme", ids.lookup_key("acme"), 31)
    assert account.billed_from <= account.created_at.date()


@pytest.mark.parametrize("invalid", [{"timezone": "Mars/Olympus"}, {"anchor_day": "32"}, {"external_id": "a/b"}])
def test_an_invalid_value_is_refused_with_an_error_on_its_field(admin_client: Client, invalid: dict[str, str]) -> None:
    form = {"external_id": "acme", "timezone": "UTC", "anchor_day": "1", **EMPTY_INLINES, **invalid}
    response = admin_client.post(f"{ACCOUNTS}add/", form)

    assert list(response.context["adminform"].form.errors) == list(invalid)
    assert not Account.objects.exists()


def test_a_second_account_with_the_same_id_is_refused(admin_client: Client, account: Account) -> None:
    form = {"external_id": account.external_id, "timezone": "UTC", "anchor_day": "1", **EMPTY_INLINES}
    response = admin_client.post(f"{ACCOUNTS}add/", form)

    assert list(response.context["adminform"].form.errors) == ["external_id"]
    assert Account.objects.count() == 1


def test_the_key_of_a_deactivated_account_is_refused(admin_client: Client, account: Account, bound: Api) -> None:
    form = {"name": "Acme", "unpriced_policy": "", "timezone": "UTC", "anchor_day": "1", **EMPTY_INLINES}
    admin_client.post(f"{ACCOUNTS}{account.pk}/change/", form)

    account.refresh_from_db()
    assert (account.active, account.name, account.config_version) == (False, "Acme", 2)
    assert bound.get("usage/summary/").status_code == 401


def test_an_account_cannot_be_deleted(admin_client: Client, account: Account) -> None:
    assert admin_client.post(f"{ACCOUNTS}{account.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Account.objects.exists()


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_a_new_anchor_and_time_zone_apply_from_the_next_period(
    admin_client: Client, account: Account, now: datetime
) -> None:
    form = {"unpriced_policy": "", "timezone": "Asia/Tokyo", "anchor_day": "20", "active": "on", **EMPTY_INLINES}
    response = admin_client.post(f"{ACCOUNTS}{account.pk}/change/", form, follow=True)

    account.refresh_from_db()
    assert (account.anchor_day, account.timezone, account.config_version) == (20, "Asia/Tokyo", 2)
    assert account.earlier_schedules == '[[1, "UTC", "2026-11-01", "2026-12-20"]]'
    assert "follow the new anchor and time zone from 2026-12-20 on" in response.content.decode()
