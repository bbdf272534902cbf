"""The rows of the table, and where each is measured. A row runs in a process of its own, with a database of its own."""

from __future__ import annotations

from typing import NamedTuple

from bench.scratch import Vendor


class Row(NamedTuple):
    """`where` is module:function below bench; the function takes Sizes and returns Outcomes.

    One that is `kept` runs on the data sets of bench/stored_databases.py: the large one, beside the small one.
    """

    name: str
    where: str
    vendor: Vendor = "postgresql"
    kept: bool = False


class Sizes(NamedTuple):
    """How much is measured: enough to tell a slope in minutes; `FULL` is what targets are stated for."""

    rounds: int
    batches: int  # of 1,000 events, a round
    logs: int  # rows of the large log
    requests: int  # rows of the large request log


MODERATE = Sizes(rounds=3, batches=16, logs=200_000, requests=200_000)
FULL = Sizes(rounds=5, batches=64, logs=10_000_000, requests=10_000_000)

ROWS = (
    Row("ingest-mixed", "rows_ingest:mixed"),
    Row("ingest-one", "rows_ingest:one"),
    Row("record-mixed", "rows_record:mixed"),
    Row("record-one", "rows_record:one"),
    Row("portable-sqlite", "rows_portable:measure", "sqlite"),
    Row("portable-mariadb", "rows_portable:measure", "mysql"),
    Row("single", "rows_single:measure"),
    Row("pages", "rows_pages:pages", kept=True),
    Row("pages-sqlite", "rows_pages:pages", "sqlite", kept=True),
    Row("health", "rows_pages:health"),
    Row("request-log", "rows_middleware:measure"),
    Row("request-log-sqlite", "rows_middleware:measure", "sqlite"),
    Row("backfill", "rows_backfill:measure"),
    Row("csv", "rows_csv:measure"),
    Row("preflight", "rows_limits:preflight"),
    Row("reserve-settle", "rows_limits:reserve_and_settle"),
    Row("detection", "rows_pure:detection"),
    Row("costing", "rows_pure:costing_rows"),
)
