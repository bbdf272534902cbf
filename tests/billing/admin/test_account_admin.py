"""Accounts in the admin: made, deactivated, never deleted; what decides where usage counts stays."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.test import Client

from billing.models import Account
from lib import ids
from tests.conftest import Api

pytestmark = pytest.mark.django_db
ACCOUNTS = "/admin/billing/account/"
NO_MEMBERS = {
    f"{inline}-{form}_FORMS": "0" for inline in ("memberships", "limit_overrides") for form in ("TOTAL", "INITIAL")
}


def test_an_account_is_made_with_its_key_and_first_period(admin_client: Client) -> None:
    form = {"external_id": "acme", "timezone": "Europe/Berlin", "anchor_day": "31", "active": "on", **NO_MEMBERS}
    admin_client.post(f"{ACCOUNTS}add/", form)

    account = Account.objects.get()
    assert (account.external_id, account.external_key, account.anchor_day) == ("acme", ids.key_of("acme"), 31)
    assert account.billed_from <= account.created_at.date()


@pytest.mark.parametrize("wrong", [{"timezone": "Mars/Olympus"}, {"anchor_day": "32"}, {"external_id": "a/b"}])
def test_what_cannot_be_is_refused_with_the_field(admin_client: Client, wrong: dict[str, str]) -> None:
    form = {"external_id": "acme", "timezone": "UTC", "anchor_day": "1", **NO_MEMBERS, **wrong}
    answer = admin_client.post(f"{ACCOUNTS}add/", form)

    assert list(answer.context["adminform"].form.errors) == list(wrong)
    assert not Account.objects.exists()


def test_a_second_account_of_the_same_id_is_refused(admin_client: Client, account: Account) -> None:
    form = {"external_id": account.external_id, "timezone": "UTC", "anchor_day": "1", **NO_MEMBERS}
    answer = admin_client.post(f"{ACCOUNTS}add/", form)

    assert list(answer.context["adminform"].form.errors) == ["external_id"]
    assert Account.objects.count() == 1


def test_a_deactivated_account_has_no_usable_key(admin_client: Client, account: Account, bound: Api) -> None:
    form = {"name": "Acme", "unpriced_policy": "", "timezone": "UTC", "anchor_day": "1", **NO_MEMBERS}
    admin_client.post(f"{ACCOUNTS}{account.pk}/change/", form)

    account.refresh_from_db()
    assert (account.active, account.name, account.config_version) == (False, "Acme", 2)
    assert bound.get("usage/summary/").status_code == 401


def test_an_account_cannot_be_deleted(admin_client: Client, account: Account) -> None:
    assert admin_client.post(f"{ACCOUNTS}{account.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Account.objects.exists()


def test_a_new_anchor_and_zone_count_from_the_next_period_on(
    admin_client: Client, account: Account, now: datetime
) -> None:
    form = {"unpriced_policy": "", "timezone": "Asia/Tokyo", "anchor_day": "20", "active": "on", **NO_MEMBERS}
    answer = admin_client.post(f"{ACCOUNTS}{account.pk}/change/", form, follow=True)

    account.refresh_from_db()
    assert (account.anchor_day, account.timezone, account.config_version) == (20, "Asia/Tokyo", 2)
    assert account.earlier_schedules == '[[1, "UTC", "2026-11-01", "2026-12-20"]]'
    assert "follow the new anchor and time zone from 2026-12-20 on" in answer.content.decode()
