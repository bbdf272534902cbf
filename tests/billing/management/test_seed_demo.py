"""`manage.py seed_demo`: labelled, rated, corrected, and made once."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command
from django.db.models import Count, Sum

from billing.models import Account, CorrectionBatch, Subscription, UsageAdjustment, UsageLog
from providers.models import Price
from tests.billing import ledger_rows

pytestmark = pytest.mark.django_db


def run() -> str:
    out = StringIO()
    call_command("seed_demo", stdout=out)
    return out.getvalue()


def test_the_demonstration_is_labelled_and_made_once() -> None:
    assert run() == "900 demonstration calls made for demo-acme, demo-orbit, demo-solo\n"
    made = (UsageLog.objects.count(), UsageAdjustment.objects.count(), Price.objects.count())
    assert run() == "demonstration data is there already: demo-acme, demo-orbit, demo-solo\n"

    assert (UsageLog.objects.count(), UsageAdjustment.objects.count(), Price.objects.count()) == made
    assert made[:2] == (900, 20)
    assert all(log.metadata == {"demo": True} for log in UsageLog.objects.only("metadata"))
    assert all(account.name.startswith("Demo: ") for account in Account.objects.all())
    assert all(batch.reason.startswith("Demo: ") for batch in CorrectionBatch.objects.all())
    assert Price.objects.get(shipped=False).source == "demonstration, no real price"


def test_two_accounts_are_subscribed() -> None:
    run()
    found = Subscription.objects.order_by("account__external_id")
    assert list(found.values_list("account__external_id", "plan__slug", "cycle", "status")) == [
        ("demo-acme", "pro", "monthly", "active"),
        ("demo-orbit", "basic", "yearly", "active"),
    ]


def test_it_shows_every_kind_of_call_and_state() -> None:
    run()
    assert set(UsageLog.objects.values_list("category", flat=True)) == {
        *("text", "video", "audio", "image", "image_edit", "search", "crawl")
    }
    by_source = UsageLog.objects.order_by("cost_source").values_list("cost_source")
    assert list(by_source.annotate(Count("id"), Sum("cost_total"))) == [
        ("caller", 12, 1_500_000_000),
        ("free", 20, 0),
        ("price_book", 813, 24_157_379_500),
        ("unpriced", 55, 0),
    ]
    assert UsageLog.objects.filter(is_priced=False).count() == 38
    assert UsageLog.objects.filter(tokens_cached__gt=0).count() == 148
    assert UsageLog.objects.filter(status_code=503, error_message="demo: upstream unavailable").count() == 20
    tiered = UsageLog.objects.filter(model_used="gemini-2.5-pro").order_by("tokens_input")
    assert [tokens > 200_000 for tokens in tiered.values_list("tokens_input", flat=True)] == [False] * 3 + [True] * 6


def test_some_of_it_is_corrected_and_the_ledger_holds() -> None:
    run()
    by_kind = UsageAdjustment.objects.order_by("kind").values_list("kind")
    assert list(by_kind.annotate(Count("id"), Sum("delta_nano"))) == [
        ("reprice", 17, 323_071_800),
        ("revert", 1, 1_000_000),
        ("void", 2, -18_317_500),
    ]
    assert list(UsageLog.objects.exclude(voided_at=None).values_list("event_id", flat=True)) == ["demo-0899"]
    (worth,) = UsageLog.objects.aggregate(Sum("effective_nano")).values()
    assert worth == 1_500_000_000 + 24_157_379_500 + 323_071_800 - 17_317_500
    assert ledger_rows.run("verify_ledger").status == 0
