"""Naming the actual provider of a whole log, as migration and as command, against one raw `UPDATE … CASE`."""

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

from bench import large, load, rounds
from bench.outcome import Outcome, compared, shown
from bench.rows import Sizes
from billing.verification import rollup_check
from providers import rulebook
from providers.detection import Call

TARGET, LONGEST = 0.8, 0.5
UNNAMED = "SELECT count(*) FROM api_usage_logs WHERE actual_provider_name IS NULL"


def measure(sizes: Sizes) -> list[Outcome]:
    """On a tenth of the large log, as the targets are stated for a million of ten."""
    rows = sizes.logs // 10
    large.accounts(timezone.now())
    large.logs(rows, at=timezone.now(), named=False)
    list(rollup_check.rebuild())
    peer, statements = rows / rounds.seconds(_raw_update), _Longest()
    outcomes = []
    for name, backfill in (("migration", _migration), ("command", _command)):
        _forget()
        with connection.execute_wrapper(statements):
            ours = rows / rounds.seconds(backfill)
        outcomes.append(
            compared(f"backfill by {name}, {rows:,} logs", [(ours, peer)], unit="/s", peer="raw UPDATE", target=TARGET)
        )
    longest = f"{shown(statements.seconds * 1000)} ms"
    limit = Outcome(
        "backfill, longest statement", longest, "limit: 500 ms", statements.seconds / LONGEST, 1.0, at_most=True
    )
    return [*outcomes, limit]


def _raw_update() -> None:
    """What detection says of each kind of call, as one statement that somebody could have written by hand."""
    book = rulebook.current()
    cases, values = [], []
    for kind in load.KINDS:
        cases.append("WHEN provider = %s AND model_used = %s AND endpoint = %s THEN %s")
        found = book.detect(Call(kind.provider, kind.model, kind.endpoint))
        values += [kind.provider, kind.model, kind.endpoint, found.actual_provider]
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE api_usage_logs SET actual_provider_name = CASE {' '.join(cases)} END", values)


def _migration() -> None:
    module = importlib.import_module("billing.migrations.0003_backfill_actual_provider_name")
    with connection.schema_editor(atomic=False) as editor, redirect_stdout(io.StringIO()):
        module.forwards(apps, editor)
    _all_named()


def _command() -> None:
    call_command("backfill_actual_providers", stdout=io.StringIO(), stderr=io.StringIO())
    _all_named()


def _all_named() -> None:
    with connection.cursor() as cursor:
        cursor.execute(UNNAMED)
        if left := cursor.fetchone()[0]:
            raise RuntimeError(f"{left} logs have no name yet")


def _forget() -> None:
    """The table as it was, without the dead rows that the last turn left."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE api_usage_logs SET actual_provider_name = NULL, confidence = '', detection_rule = '', evidence = ''"
        )
        cursor.execute("VACUUM FULL ANALYZE api_usage_logs")
    list(rollup_check.rebuild())


class _Longest:
    """Around every statement: how long the longest took."""

    seconds = 0.0

    def __call__(self, execute: Callable[..., Any], *call: Any) -> Any:  # noqa: ANN401 - Django's own arguments
        answers = []
        self.seconds = max(self.seconds, rounds.seconds(lambda: answers.append(execute(*call))))
        return answers[0]
