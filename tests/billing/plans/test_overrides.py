"""Changes of account limits: what was in force stays on record, in the transaction that makes the change known."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.models import Account, EndedOverride, LimitOverride, Meter
from billing.plans import overrides, plans
from lib.money import NANO
from tests.frozen_clock import utc

pytestmark = pytest.mark.django_db
FIRST, SECOND, THIRD = utc("2026-11-03"), utc("2026-11-05"), utc("2026-11-07")
BILLING = Path(__file__).resolve().parents[3] / "billing"


@pytest.fixture
def override(account: Account) -> LimitOverride:
    meter = Meter.objects.get(slug="monthly_cost")
    override = LimitOverride(account=account, meter=meter, amount=7 * NANO, hard=False, reason="a trial")
    overrides.change(account, saved=[override], at=FIRST)
    return override


def config_version(account: Account) -> int:
    return Account.objects.values_list("config_version", flat=True).get(pk=account.pk)


def test_a_new_override_counts_from_now_on(account: Account, override: LimitOverride) -> None:
    assert LimitOverride.objects.values_list("since", "amount").get() == (FIRST, 7 * NANO)
    assert (EndedOverride.objects.count(), config_version(account)) == (0, 2)


@pytest.mark.parametrize(
    ("column", "value"),
    [("amount", None), ("hard", True), ("per", "day"), ("expires_on", date(2026, 11, 30)), ("meter", "video_calls")],
)
def test_an_edit_of_any_term_ends_what_was_in_force(
    account: Account, override: LimitOverride, column: str, value: object
) -> None:
    setattr(override, column, Meter.objects.get(slug=value) if column == "meter" else value)
    overrides.change(account, saved=[override], at=SECOND)

    stored, ended = LimitOverride.objects.get(), EndedOverride.objects.get()
    assert (stored.since, getattr(stored, column)) == (SECOND, getattr(override, column))
    assert (ended.since, ended.until, ended.amount, ended.hard, ended.per) == (FIRST, SECOND, 7 * NANO, False, "period")
    assert (ended.meter.slug, ended.expires_on, ended.reason) == ("monthly_cost", None, "a trial")
    assert (ended.account_id, config_version(account)) == (account.pk, 3)


def test_an_edit_of_the_reason_changes_no_terms(account: Account, override: LimitOverride) -> None:
    override.reason = "a longer trial"
    overrides.change(account, saved=[override], at=SECOND)

    assert LimitOverride.objects.values_list("since", "reason").get() == (FIRST, "a longer trial")
    assert EndedOverride.objects.count() == 0


def test_a_deleted_override_stays_on_record(account: Account, override: LimitOverride) -> None:
    overrides.change(account, deleted=[override], at=THIRD)

    assert LimitOverride.objects.count() == 0
    assert EndedOverride.objects.values_list("since", "until", "amount").get() == (FIRST, THIRD, 7 * NANO)
    assert config_version(account) == 3


def test_an_override_without_a_start_keeps_none_on_record(account: Account, override: LimitOverride) -> None:
    LimitOverride.objects.update(since=None)
    overrides.change(account, deleted=[override], at=THIRD)
    assert EndedOverride.objects.values_list("since", "until").get() == (None, THIRD)


def test_the_stored_row_is_ended_and_not_the_one_in_memory(account: Account, override: LimitOverride) -> None:
    """Another process may have changed it since it was read."""
    LimitOverride.objects.update(amount=9 * NANO, since=SECOND)
    override.amount = 8 * NANO
    overrides.change(account, saved=[override], at=THIRD)

    assert EndedOverride.objects.values_list("since", "amount").get() == (SECOND, 9 * NANO)
    assert LimitOverride.objects.values_list("since", "amount").get() == (THIRD, 8 * NANO)


def test_a_change_locks_the_account_before_it_reads(account: Account, override: LimitOverride) -> None:
    override.amount = 8 * NANO
    with CaptureQueriesContext(connection) as queries:
        overrides.change(account, saved=[override], at=SECOND)

    statements = [query["sql"] for query in queries if not re.match(r"BEGIN|SAVEPOINT|RELEASE", query["sql"])]
    assert "accounts" in statements[0]
    assert "FOR " in statements[0] or connection.vendor == "sqlite"  # SQLite's transactions lock all


def test_a_failed_change_changes_nothing(
    account: Account, override: LimitOverride, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise ValueError("not now")

    monkeypatch.setattr(plans, "bump_config_version", fail)
    override.amount = 8 * NANO
    with pytest.raises(ValueError, match="not now"):
        overrides.change(account, saved=[override], at=SECOND)

    assert LimitOverride.objects.values_list("since", "amount").get() == (FIRST, 7 * NANO)
    assert EndedOverride.objects.count() == 0


def test_an_override_of_plain_django_code_counts_from_now_on(account: Account, override: LimitOverride) -> None:
    meter = Meter.objects.get(slug="video_calls")
    row = LimitOverride.objects.create(account=account, meter=meter, amount=1, reason="by hand")
    assert row.since is not None
    assert row.since - row.account.created_at == timedelta(0)


def test_no_other_module_writes_overrides() -> None:
    writes = re.compile(
        r"(LimitOverride|limit_overrides)\S*\.(create|update|delete|bulk_\w+|get_or_create|update_or_create)\("
    )
    modules = [path for path in BILLING.rglob("*.py") if "migrations" not in path.parts]
    assert [str(path) for path in modules if writes.search(path.read_text())] == []
