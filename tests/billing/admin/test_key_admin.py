"""API keys in the admin: shown once, stored as a hash, revoked immediately."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from billing.models import ApiKey
from tests.conftest import Api

pytestmark = pytest.mark.django_db
KEYS = "/admin/billing/apikey/"


def test_a_new_key_is_shown_once_and_works(admin_client: Client) -> None:
    page = admin_client.post(f"{KEYS}add/", {"name": "app", "scopes": ["read"]}, follow=True).content.decode()

    (token,) = re.findall(r"tg_[0-9a-f]{8}_[\w-]{43}", page)
    key = ApiKey.objects.get()
    assert (key.name, key.scopes, key.account) == ("app", ["read"], None)
    assert token.split("_", 2)[2] not in (key.secret_hash, key.prefix)
    assert token not in admin_client.get(f"{KEYS}{key.pk}/change/").content.decode()
    assert Client(headers={"authorization": f"Bearer {token}"}).get("/api/v1/usage/summary/").status_code == 200


def test_a_revoked_key_is_refused_by_the_next_request(admin_client: Client, service: Api) -> None:
    assert service.get("usage/summary/").status_code == 200

    admin_client.post(KEYS, {"action": "revoke", "_selected_action": [service.key.pk]})
    assert service.get("usage/summary/").status_code == 401


def test_the_scopes_of_a_key_cannot_be_changed(admin_client: Client, service: Api) -> None:
    admin_client.post(f"{KEYS}{service.key.pk}/change/", {"name": "renamed", "scopes": ["manage"], "account": ""})

    service.key.refresh_from_db()
    assert (service.key.name, service.key.scopes) == ("renamed", ["ingest", "limits", "manage", "read"])


def test_a_key_cannot_be_deleted(admin_client: Client, service: Api) -> None:
    assert admin_client.post(f"{KEYS}{service.key.pk}/delete/", {"post": "yes"}).status_code == 403
    assert ApiKey.objects.count() == 1
