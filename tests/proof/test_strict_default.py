"""A void that waits for a closing sees the period as closed, also where the server's default is REPEATABLE READ."""

from __future__ import annotations

import os
import threading

import pytest
from django.db import connection, transaction

from billing.corrections import corrections
from billing.ledger import closed_periods
from billing.models import Account, UsageAdjustment, UsageDay, UsageLog
from tests.billing.ledger_rows import NOON, assert_ledger_consistent, record
from tests.proof.strict_default import strict_default

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("postgres" not in os.environ.get("DATABASE_URL", ""), reason="only on PostgreSQL"),
]

WAITING_SQL = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def test_a_void_that_waited_for_a_closing_leaves_the_closed_totals_as_they_are() -> None:
    record({})
    log, account = UsageLog.objects.get(), Account.objects.get()
    errors: list[BaseException] = []

    def void() -> None:
        try:
            corrections.void(log, reason="x", actor="ann", at=NOON)
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    with strict_default():
        thread = threading.Thread(target=void)
        with transaction.atomic():
            closed_periods.close(account, log.usage_period, NOON)
            thread.start()
            while not _somebody_waits():
                pass
        thread.join()

    assert errors == []
    assert UsageAdjustment.objects.get().late_at == NOON
    assert UsageDay.objects.get().cost_nano == log.cost_total
    assert_ledger_consistent(without=("closed_periods", "statements"))  # closed early, without its statement


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(WAITING_SQL)
        return bool(cursor.fetchone()[0])
