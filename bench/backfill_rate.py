"""Rate of the backfill of actual providers, by migration and by command, against one raw `UPDATE … CASE`."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any

from django.apps import apps
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from bench import large_data_set, timing, workloads
from bench.benchmarks import Sizes
from bench.measurement import Measurement, compare_rates, format_number
from billing.verification import rollup_check
from providers import rulebook
from providers.detection import Call

TARGET, MAX_STATEMENT_SECONDS = 0.8, 0.5
COUNT_WITHOUT_PROVIDER = "SELECT count(*) FROM api_usage_logs WHERE actual_provider_name IS NULL"


def measure(sizes: Sizes) -> list[Measurement]:
    """Measure with a tenth of the large log: the target is stated for 1 of 10 million logs."""
    rows = sizes.logs // 10
    large_data_set.create_accounts(timezone.now())
    large_data_set.create_logs(rows, at=timezone.now(), with_provider=False)
    list(rollup_check.rebuild())
    peer, statements = rows / timing.elapsed_seconds(_update_by_one_statement), _LongestStatement()
    results = []
    for name, backfill in (("migration", _backfill_by_migration), ("command", _backfill_by_command)):
        _reset_providers()
        with connection.execute_wrapper(statements):
            ours = rows / timing.elapsed_seconds(backfill)
        results.append(
            compare_rates(
                f"backfill by {name}, {rows:,} logs", [(ours, peer)], unit="/s", peer="raw UPDATE", target=TARGET
            )
        )
    longest = f"{format_number(statements.seconds * 1000)} ms"
    limit = Measurement(
        "backfill, longest statement",
        longest,
        "limit: 500 ms",
        statements.seconds / MAX_STATEMENT_SECONDS,
        1.0,
        at_most=True,
    )
    return [*results, limit]


def _update_by_one_statement() -> None:
    """The same result by one hand-written statement, with the detected provider of each kind of call."""
    book = rulebook.current()
    cases, values = [], []
    for kind in workloads.CALL_KINDS:
        cases.append("WHEN provider = %s AND model_used = %s AND endpoint = %s THEN %s")
        detected = book.detect(Call(kind.provider, kind.model, kind.endpoint))
        values += [kind.provider, kind.model, kind.endpoint, detected.actual_provider]
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE api_usage_logs SET actual_provider_name = CASE {' '.join(cases)} END", values)


def _backfill_by_migration() -> None:
    module = importlib.import_module("billing.migrations.0003_backfill_actual_provider_name")
    with connection.schema_editor(atomic=False) as editor, redirect_stdout(io.StringIO()):
        module.forwards(apps, editor)
    _check_complete()


def _backfill_by_command() -> None:
    call_command("backfill_actual_providers", stdout=io.StringIO(), stderr=io.StringIO())
    _check_complete()


def _check_complete() -> None:
    with connection.cursor() as cursor:
        cursor.execute(COUNT_WITHOUT_PROVIDER)
        if missing := cursor.fetchone()[0]:
            raise RuntimeError(f"{missing} logs have no actual provider yet")


def _reset_providers() -> None:
    """Clear the actual providers, and remove the dead rows of the previous run."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE api_usage_logs SET actual_provider_name = NULL, confidence = '', detection_rule = '', evidence = ''"
        )
        cursor.execute("VACUUM FULL ANALYZE api_usage_logs")
    list(rollup_check.rebuild())


class _LongestStatement:
    """Wraps every statement and keeps the longest duration."""

    seconds = 0.0

    def __call__(self, execute: Callable[..., Any], *call: Any) -> Any:  # noqa: ANN401 - Django's own arguments
        results = []
        self.seconds = max(self.seconds, timing.elapsed_seconds(lambda: results.append(execute(*call))))
        return results[0]
