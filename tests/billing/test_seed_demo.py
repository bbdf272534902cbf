"""`manage.py seed_demo`: labelled, rated, and made once."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command

from billing.models import Account, UsageLog

pytestmark = pytest.mark.django_db


def run() -> str:
    out = StringIO()
    call_command("seed_demo", stdout=out)
    return out.getvalue()


def test_the_demonstration_is_labelled_and_made_once() -> None:
    assert run() == "900 demonstration calls made for demo-acme, demo-orbit, demo-solo\n"
    assert run() == "demonstration data is there already: demo-acme, demo-orbit, demo-solo\n"

    assert UsageLog.objects.count() == 900
    assert all(log.metadata == {"demo": True} for log in UsageLog.objects.only("metadata"))
    assert all(account.name.startswith("Demo: ") for account in Account.objects.all())


def test_it_shows_every_kind_of_call_and_state() -> None:
    run()
    assert set(UsageLog.objects.values_list("category", flat=True)) == {
        *("text", "video", "audio", "image", "image_edit", "search", "crawl")
    }
    assert set(UsageLog.objects.values_list("cost_source", flat=True)) == {"price_book", "unpriced", "free"}
