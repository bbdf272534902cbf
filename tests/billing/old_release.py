"""A database of an early release: usage logs without detected providers and without rollups.

`python -m tests.billing.old_release fill 2000` creates it in DATABASE_URL; `dump` prints its rows as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import django
from django.apps.registry import Apps

from lib import ids

EARLY_MIGRATION = "0002_actual_provider_name"
ACCOUNT_COUNT = 120
START = datetime(2026, 1, 1, tzinfo=UTC)
SAMPLE_CALLS = (  # declared provider, model, endpoint, actual provider
    ("gemini", "gemini-2.5-pro", "/generate", "google"),
    ("OpenAI", "gpt-4o", "https://api.openai.com/v1/chat/completions", "openai"),
    ("openai", "GPT-4o ", "https://acme.openai.azure.com/openai/x", "azure"),
    ("video", "wan-2.5", "/video-generation/wavespeed", "wavespeed"),
    ("mistral", "openai/gpt-oss-120b:groq", "agent_action", "huggingface"),
    ("Image", "É-Model", "/x", "unknown"),
    ("tavily", "", "/search/tavily", "tavily"),
)


def fill(apps: Apps, count: int) -> None:
    """Creates `count` logs of 120 accounts: every ninth failed, every eleventh late, every thirteenth voided."""
    accounts = apps.get_model("billing", "Account")
    rows = [
        accounts(
            external_id=f"a{n}", external_key=ids.lookup_key(f"a{n}"), billed_from=date(2026, 1, 1), created_at=START
        )
        for n in range(1, ACCOUNT_COUNT + 1)
    ]
    accounts.objects.bulk_create(rows)
    account_ids = list(accounts.objects.order_by("pk").values_list("pk", flat=True))
    log_model, adjustment = apps.get_model("billing", "UsageLog"), apps.get_model("billing", "UsageAdjustment")
    logs = [_log(log_model, n, account_ids[n % ACCOUNT_COUNT]) for n in range(1, count + 1)]
    log_model.objects.bulk_create(logs, batch_size=500)
    adjustment.objects.bulk_create(_void(adjustment, log) for log in logs if log.voided_at)


def _log(model: Any, n: int, account_id: int) -> Any:
    declared, name, endpoint, _ = SAMPLE_CALLS[n % len(SAMPLE_CALLS)]
    at = START + timedelta(hours=8 * n % 5000)
    cost_nano = n * 1000 if n % 5 else 0
    received = at + timedelta(days=90 if n % 11 == 0 else 0)
    return model(
        id=UUID(f"01990000-0000-7000-8000-{n:012x}"),
        account_id=account_id,
        event_id=f"e{n}",
        event_key=ids.lookup_key(f"e{n}"),
        digest=UUID(int=n),
        provider=declared,
        category="text",
        model_used=name,
        endpoint=endpoint,
        tokens_input=n,
        tokens_output=2,
        tokens_total=n + 2,
        cost_other=cost_nano,
        cost_total=cost_nano,
        effective_nano=cost_nano if n % 13 else 0,
        cost_source="caller" if n % 5 else "unpriced",
        is_priced=bool(n % 5),
        is_billable=bool(n % 9),
        status_code=200 if n % 9 else 500,
        response_time_ms=n % 700,
        timestamp=at,
        received_at=received,
        usage_day=received.date(),
        usage_period=received.date().replace(day=1),
        late_for=at.date().replace(day=1) if n % 11 == 0 else None,
        voided_at=received if n % 13 == 0 else None,
    )


def _void(model: Any, log: Any) -> Any:
    period = log.usage_period
    return model(
        account_id=log.account_id,
        log_id=log.id,
        kind="void",
        delta_nano=-log.cost_total,
        period=period,
        corrects_period=period,
        created_at=log.voided_at,
    )


def dump() -> dict[str, list[list[str]]]:
    """Detected providers and rollups by table, sorted so that the order does not depend on the database."""
    from django.db import connection

    columns = {
        "api_usage_logs": "id, actual_provider_name, confidence, detection_rule, evidence",
        "usage_days": "*",
        "usage_models": "*",
        "platform_days": "*",
    }
    rows = {}
    with connection.cursor() as cursor:
        for table in set(columns) & set(connection.introspection.table_names(cursor)):
            cursor.execute(f"SELECT {columns[table]} FROM {table}")
            rows[table] = sorted([str(cell) for cell in row] for row in cursor.fetchall())
    return rows


def main(task: str, *arguments: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    if task == "dump":
        sys.stdout.write(json.dumps(dump()))
        return
    from django.core.management import call_command
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    call_command("migrate", "billing", EARLY_MIGRATION, verbosity=0)
    state = MigrationExecutor(connection).loader.project_state([("billing", EARLY_MIGRATION)])
    fill(state.apps, int(arguments[0]))


if __name__ == "__main__":
    main(*sys.argv[1:])
