"""Real traffic is priced later: from the list of unpriced models to a total that an independent sum confirms.

The re-pricing is killed halfway; then a corrected price is applied to a time range and reverted.
"""

from __future__ import annotations

import csv
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from fractions import Fraction
from html import unescape
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db.models import Sum
from django.test import Client

from billing.models import CorrectionBatch, PlatformDay, UsageLog
from providers.models import Price
from tests.proof import children
from tests.providers.test_prices_admin import price_form, rate_forms

pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.django_db(transaction=True),
    pytest.mark.real_clock(reason="starts a command and kills it"),
]

CALL_COUNT = 8_819
SINCE, UNTIL = datetime(2023, 11, 16, 18, 30, tzinfo=UTC), datetime(2023, 11, 16, 18, 45, tzinfo=UTC)
IMPORT_OPTIONS = (
    *("--timezone", "UTC", "--set", "provider=openai", "--set", "model=gpt-4o"),
    *("--set", "endpoint=https://acme.openai.azure.com/openai/deployments/gpt/chat/completions"),
    *("--map", "TIMESTAMP=occurred_at", "--map", "ContextTokens=usage.input_tokens"),
    *("--map", "GeneratedTokens=usage.output_tokens"),
)


def test_a_price_added_from_the_unpriced_list_gives_the_exact_total(shared_data: Path, admin_client: Client) -> None:
    trace = shared_data / "azure_llm_2023_code.csv"
    call_command("import_usage", str(trace), "--account", "azure-trace", *IMPORT_OPTIONS, stderr=StringIO())
    _add_the_price_from_the_list(admin_client)

    _kill_reprice_halfway()
    call_command("reprice", "--unpriced", stdout=StringIO(), stderr=StringIO())
    _verify_ledger()
    total = sum(nano for _, nano in _expected_costs(trace, Fraction(5, 2), Fraction(10)))
    assert _totals() == (total, total, 0)
    assert (CorrectionBatch.objects.get().logs, UsageLog.objects.filter(is_priced=True).count()) == (
        CALL_COUNT,
        CALL_COUNT,
    )

    _correct_the_price(admin_client)
    call_command(
        *("reprice", "--provider", "azure", "--since", SINCE.isoformat(), "--until", UNTIL.isoformat()),
        *("--reason", "the price list was misread"),
        stdout=StringIO(),
        stderr=StringIO(),
    )
    _verify_ledger()
    corrected = dict(enumerate(_expected_costs(trace, Fraction(3), Fraction(12))))
    original = dict(enumerate(_expected_costs(trace, Fraction(5, 2), Fraction(10))))
    mixed = sum(corrected[number][1] if SINCE <= at < UNTIL else nano for number, (at, nano) in original.items())
    assert mixed > total
    assert _totals() == (mixed, mixed, 0)

    call_command(
        "reprice", "--revert", str(CorrectionBatch.objects.latest("id").id), stdout=StringIO(), stderr=StringIO()
    )
    _verify_ledger()
    assert _totals() == (total, total, 0)


def _expected_costs(trace: Path, input_usd: Fraction, output_usd: Fraction) -> Iterator[tuple[datetime, int]]:
    """The time of each call and its cost in nano-USD, computed with fractions; rates are USD per million tokens."""
    with trace.open(newline="") as lines:
        for line in csv.DictReader(lines):
            exact = int(line["ContextTokens"]) * input_usd * 1000 + int(line["GeneratedTokens"]) * output_usd * 1000
            yield datetime.fromisoformat(line["TIMESTAMP"][:26]).replace(tzinfo=UTC), round(exact)


def _add_the_price_from_the_list(admin: Client) -> None:
    page = admin.get("/admin/billing/unpriced/").content.decode()
    assert f"{CALL_COUNT:,}" in page
    link = unescape(re.findall(r'href="([^"]*unpriced/price/[^"]*)"', page)[0])
    form = admin.get(link, follow=True)
    initial = form.context["adminform"].form.initial
    assert (initial["pattern"], str(initial["valid_from"])) == ("gpt-4o", "2023-11-16")
    fields = price_form(
        provider=initial["provider"], pattern=initial["pattern"], valid_from="2023-11-01", source="price list of azure"
    ) | rate_forms(
        {"unit": "input_tokens", "usd_per_million": "2.50"}, {"unit": "output_tokens", "usd_per_million": "10"}
    )
    assert admin.post(form.request["PATH_INFO"], fields).status_code == 302
    assert Price.objects.filter(provider__slug="azure", pattern="gpt-4o").count() == 1


def _correct_the_price(admin: Client) -> None:
    stored = Price.objects.get(provider__slug="azure", pattern="gpt-4o")
    old = [(rate.pk, rate.unit) for rate in stored.rates.order_by("pk")]
    new_rates = {"input_tokens": "3", "output_tokens": "12"}
    fields = price_form(valid_from="2023-11-01", source="price list of azure, read again") | rate_forms(
        *({"id": pk, "unit": unit, "usd_per_million": new_rates[unit]} for pk, unit in old), stored=2
    )
    assert admin.post(f"/admin/providers/price/{stored.pk}/change/", fields).status_code == 302
    assert [price.revision for price in Price.objects.filter(pattern="gpt-4o", provider__slug="azure")] == [2, 1]


def _kill_reprice_halfway() -> None:
    command = [sys.executable, "manage.py", "reprice", "--unpriced", "--batch-size", "200"]
    with subprocess.Popen(
        command, env=children.environment(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as child:
        assert child.stderr is not None
        for _ in range(random.randint(1, 10)):
            child.stderr.readline()
        delay = random.uniform(0, 0.2)
        time.sleep(delay)
        child.kill()
        child.stderr.close()
    unpriced = UsageLog.objects.filter(is_priced=False).count()
    children.report(f"SIGKILL {delay:.3f} s after a batch: {CALL_COUNT - unpriced} of {CALL_COUNT} calls were priced")
    assert 0 < unpriced < CALL_COUNT
    _verify_ledger()


def _verify_ledger() -> None:
    call_command("verify_ledger", stdout=StringIO(), stderr=StringIO())  # exits with status 1 on a difference


def _totals() -> tuple[int, int, int]:
    """Nano-USD in the log, nano-USD in the platform rollup, and the number of calls without a price."""
    days = PlatformDay.objects.aggregate(cost=Sum("cost_nano"), unpriced=Sum("unpriced_calls"))
    return UsageLog.objects.aggregate(cost=Sum("effective_nano"))["cost"], days["cost"], days["unpriced"]
