"""The list of benchmarks. Each runs in its own process and on its own database."""

from __future__ import annotations

from typing import NamedTuple

from bench.scratch_databases import Vendor


class Benchmark(NamedTuple):
    """`function` is module:function below bench; it takes Sizes and returns Measurements.

    With `stored`, it runs on the data sets of bench/stored_databases.py: the large one, and the small one to compare with.
    """

    name: str
    function: str
    vendor: Vendor = "postgresql"
    stored: bool = False


class Sizes(NamedTuple):
    """How much to measure. The default shows a trend within minutes; the targets are stated for FULL_SIZES."""

    rounds: int
    batches: int  # of 1,000 events, per round
    logs: int  # rows of the large usage log
    requests: int  # rows of the large request log


DEFAULT_SIZES = Sizes(rounds=3, batches=16, logs=200_000, requests=200_000)
FULL_SIZES = Sizes(rounds=5, batches=64, logs=10_000_000, requests=10_000_000)

BENCHMARKS = (
    Benchmark("ingest-mixed", "http_ingest_rate:measure_mixed"),
    Benchmark("ingest-one", "http_ingest_rate:measure_one"),
    Benchmark("record-mixed", "record_rate:measure_mixed"),
    Benchmark("record-one", "record_rate:measure_one"),
    Benchmark("portable-sqlite", "portable_record_rate:measure", "sqlite"),
    Benchmark("portable-mariadb", "portable_record_rate:measure", "mysql"),
    Benchmark("single", "single_event_rate:measure"),
    Benchmark("pages", "page_times:measure_pages", stored=True),
    Benchmark("pages-sqlite", "page_times:measure_pages", "sqlite", stored=True),
    Benchmark("health", "page_times:measure_health"),
    Benchmark("request-log", "request_log_overhead:measure"),
    Benchmark("request-log-sqlite", "request_log_overhead:measure", "sqlite"),
    Benchmark("backfill", "backfill_rate:measure"),
    Benchmark("csv", "csv_export_rate:measure"),
    Benchmark("preflight", "limit_check_rates:measure_preflight"),
    Benchmark("reserve-settle", "limit_check_rates:measure_reserve_and_settle"),
    Benchmark("detection", "pure_rule_rates:measure_detection"),
    Benchmark("costing", "pure_rule_rates:measure_costing"),
)
