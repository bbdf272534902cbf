"""Tables filled to a size by SQL (PostgreSQL): the data set of the targets, 10,000 accounts by Zipf over 24 months, seeded."""

from __future__ import annotations

from datetime import datetime

from django.db import connection

from bench import load
from monitoring import histogram

ACCOUNTS = 10_000
# A UUIDv7 of the row's time, and of its number where others take chance: the same rows in every run.
ID = """(lpad(to_hex((extract(epoch FROM {at}) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3)
        || 'a' || substr(md5(n::text), 4, 15))::uuid"""
LOGS = """
INSERT INTO api_usage_logs (id, account_id, event_id, event_key, digest, provider, category, model_used, endpoint, method,
  variant, tokens_input, tokens_output, tokens_total, tokens_cached, tokens_cache_write, units, cached_included, cost_input,
  cost_output, cost_other, cost_total, cost_source, response_time_ms, status_code, error_message, retry_count, user_agent,
  ip_address, timestamp, received_at, usage_day, usage_period, metadata, is_billable, effective_nano, is_priced, confidence,
  detection_rule, evidence, served_by, actual_provider_name)
SELECT {id}, account, 'event-' || n, md5('key' || n)::uuid, md5('digest' || n)::uuid, k.provider, 'text', k.model, k.endpoint,
  'POST', '{{}}', mod(n, 4000), mod(n, 900), mod(n, 4000) + mod(n, 900), 0, 0,
  '{{}}', true, mod(n, 4000), mod(n, 900), 0, mod(n, 4000) + mod(n, 900),
  'price_book', mod(n, 9000), CASE WHEN mod(n, 33) = 0 THEN 500 ELSE 200 END, '', 0, '', '', at, at, at::date,
  date_trunc('month', at)::date, '{{}}', true, mod(n, 4000) + mod(n, 900), true, {confidence}, '', '', '', {name}
FROM (SELECT n, %(at)s::timestamptz - (%(most)s - n) * (interval '730 days' / %(most)s) AS at,
  (exp(random() * ln({accounts})))::int AS account, 1 + mod(n, {kinds}) AS kind
  FROM generate_series(%(first)s, %(last)s) AS n) AS rows
JOIN unnest(%(providers)s::text[], %(models)s::text[], %(endpoints)s::text[]) WITH ORDINALITY
  AS k (provider, model, endpoint, kind) USING (kind)
"""


def accounts(at: datetime) -> None:
    _run(
        f"INSERT INTO accounts (id, external_id, external_key, name, timezone, anchor_day, earlier_schedules, billed_from,"
        f" unpriced_policy, may_state_cost, active, config_version, created_at) SELECT n, 'account-' || n,"
        f" md5(n::text)::uuid, '', 'UTC', 1, '', %(at)s::date - 800, '', false, true, 1, %(at)s"
        f" FROM generate_series(1, {ACCOUNTS}) AS n",
        at=at,
    )


def logs(first: int, last: int, *, most: int, at: datetime, named: bool = True) -> None:
    """Logs number `first` to `last` of `most`, which end `at`; without a provider's name where not `named`."""
    statement = LOGS.format(
        id=ID.format(at="at"),
        accounts=ACCOUNTS,
        kinds=len(load.KINDS),
        confidence="'exact'" if named else "''",
        name="k.provider" if named else "NULL",
    )
    columns = [list(column) for column in zip(*((k.provider, k.model, k.endpoint) for k in load.KINDS), strict=True)]
    providers, models, endpoints = columns
    _run("SELECT setseed(0.5)")
    _run(statement, at=at, most=most, first=first, last=last, providers=providers, models=models, endpoints=endpoints)
    _run("VACUUM ANALYZE api_usage_logs")


def requests(count: int, *, at: datetime, a_second: int = 1_000) -> None:
    """`count` answered requests up to `at`, and the minutes of the last hour with `a_second` requests in ten routes."""
    _run(
        f"INSERT INTO api_requests (id, at, route, method, status, duration_us, client_address, user_agent, poll)"
        f" SELECT {ID.format(at='at')}, at, '/api/v1/route/' || mod(n, 10), 'POST', 200, 5000, '', '', false FROM (SELECT n,"
        f" %(at)s::timestamptz - n * interval '1 second' / {a_second} AS at FROM generate_series(1, %(count)s) AS n) AS rows",
        at=at,
        count=count,
    )
    share = a_second * 60 // 20
    _run(
        f"INSERT INTO request_minutes (minute, route, status_class, requests, errors, duration_us,"
        f" {', '.join(histogram.COLUMNS)})"
        f" SELECT date_trunc('minute', %(at)s::timestamptz) - m * interval '1 minute', '/api/v1/route/' || r, c, {share}, 0,"
        f" {share * 5000}, {', '.join([str(share // 14)] * len(histogram.COLUMNS))} FROM generate_series(0, 60) AS m,"
        f" generate_series(1, 10) AS r, (VALUES (2), (4)) AS v (c)",
        at=at,
    )
    _run("VACUUM ANALYZE api_requests, request_minutes")


def _run(statement: str, **parameters: int | datetime | list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)
