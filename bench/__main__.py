"""`python -m bench`: measures each target as a ratio to its limit or peer in the same run (`make bench`)."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from bench import stored_databases
from bench.benchmarks import BENCHMARKS, DEFAULT_SIZES, FULL_SIZES, Benchmark
from bench.measurement import Measurement
from bench.scratch_databases import ROOT, ScratchDatabases

LINE = "{:<44} {:>18}  {:<42} {:>7}  {:>8}  {}"


def main() -> int:
    arguments = _parse_arguments()
    measurements: list[Measurement] = []
    with tempfile.TemporaryDirectory(prefix="tollgate-bench-") as folder:
        scratch = ScratchDatabases(Path(folder))
        try:
            for benchmark in BENCHMARKS:
                if not arguments.only or benchmark.name in arguments.only:
                    results = _measure(benchmark, scratch, full=arguments.full)
                    if not arguments.json:
                        _print_lines(results, with_header=not measurements)
                    measurements += results
        finally:
            scratch.close()
    if arguments.json:
        print(json.dumps([asdict(result) | {"status": result.status} for result in measurements], indent=2))
    missed = sum(result.status == "missed" for result in measurements)
    without_peer = sum(result.status == "peer missing" for result in measurements)
    met = len(measurements) - missed - without_peer
    print(f"{met} met, {missed} missed, {without_peer} without a peer", file=sys.stderr)
    return 1 if arguments.check and missed else 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--full", action="store_true", help="at the sizes for which the targets are stated; takes hours"
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=[benchmark.name for benchmark in BENCHMARKS],
        help="run only this benchmark; may be repeated",
    )
    return parser.parse_args()


def _measure(benchmark: Benchmark, scratch: ScratchDatabases, *, full: bool) -> list[Measurement]:
    command = [sys.executable, "-m", "bench.run_benchmark", benchmark.function, *(["--full"] if full else [])]
    with _environment(benchmark, scratch, full=full) as environment:
        done = subprocess.run(command, cwd=ROOT, env=environment, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:  # the reason is on stderr; the other benchmarks still run
        return [Measurement(benchmark.name, "failed", "-", 0.0, 1.0)]
    return [Measurement(**result) for result in json.loads(done.stdout.splitlines()[-1])]


@contextmanager
def _environment(benchmark: Benchmark, scratch: ScratchDatabases, *, full: bool) -> Iterator[dict[str, str]]:
    if benchmark.stored:
        logs = (FULL_SIZES if full else DEFAULT_SIZES).logs
        yield stored_databases.environment(scratch, benchmark.vendor, logs)
        return
    with scratch.database(benchmark.vendor) as url:
        yield scratch.environment(url)


def _print_lines(results: list[Measurement], *, with_header: bool) -> None:
    if with_header:
        print(LINE.format("what", "measured", "limit or peer, same run", "ratio", "target", ""))
    for result in results:
        ratio = "-" if result.ratio is None else f"{result.ratio:.2f}"
        line = LINE.format(result.what, result.measured, result.peer, ratio, result.target_text, result.status)
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
