"""`python -m bench`: every target beside its limit or peer, as ratios of one run (`make bench`)."""

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
from bench.outcome import Outcome
from bench.rows import FULL, MODERATE, ROWS, Row
from bench.scratch import ROOT, Scratch

LINE = "{:<44} {:>18}  {:<42} {:>7}  {:>8}  {}"


def main() -> int:
    asked = _arguments()
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="tollgate-bench-") as folder:
        scratch = Scratch(Path(folder))
        try:
            for row in ROWS:
                if not asked.only or row.name in asked.only:
                    outcomes += _shown(_measured(row, scratch, full=asked.full), quiet=asked.json, first=not outcomes)
        finally:
            scratch.close()
    if asked.json:
        print(json.dumps([asdict(one) | {"status": one.status} for one in outcomes], indent=2))
    missed = sum(one.status == "missed" for one in outcomes)
    unknown = sum(one.status == "peer missing" for one in outcomes)
    print(f"{len(outcomes) - missed - unknown} met, {missed} missed, {unknown} without a peer", file=sys.stderr)
    return 1 if asked.check and missed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--full", action="store_true", help="at the sizes for which targets are stated; takes hours")
    parser.add_argument(
        "--only", action="append", choices=[row.name for row in ROWS], help="may be given several times"
    )
    return parser.parse_args()


def _measured(row: Row, scratch: Scratch, *, full: bool) -> list[Outcome]:
    command = [sys.executable, "-m", "bench.row", row.where, *(["--full"] if full else [])]
    with _environment(row, scratch, full=full) as environment:
        done = subprocess.run(command, cwd=ROOT, env=environment, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:  # why is on stderr; the other rows are measured all the same
        return [Outcome(row.name, "failed", "-", 0.0, 1.0)]
    return [Outcome(**outcome) for outcome in json.loads(done.stdout.splitlines()[-1])]


@contextmanager
def _environment(row: Row, scratch: Scratch, *, full: bool) -> Iterator[dict[str, str]]:
    if row.kept:
        yield stored_databases.environment(scratch, row.vendor, (FULL if full else MODERATE).logs)
        return
    with scratch.database(row.vendor) as url:
        yield scratch.environment(url)


def _shown(outcomes: list[Outcome], *, quiet: bool, first: bool) -> list[Outcome]:
    if not quiet:
        if first:
            print(LINE.format("what", "measured", "limit or peer, same run", "ratio", "target", ""))
        for one in outcomes:
            ratio = "-" if one.ratio is None else f"{one.ratio:.2f}"
            print(LINE.format(one.what, one.measured, one.peer, ratio, one.wanted, one.status), flush=True)
    return outcomes


if __name__ == "__main__":
    sys.exit(main())
